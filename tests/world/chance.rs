//! Chance that can be repeated.
use std::time::{Duration, SystemTime};

/// A source of random numbers whose seed is printed, so that a failure can be repeated with `RECADO_TEST_SEED`.
/// The generator is xorshift64* (Vigna, 2016).
pub(crate) struct Chance(u64);

impl Chance {
    pub(crate) fn new() -> Self {
        let given = std::env::var("RECADO_TEST_SEED")
            .ok()
            .and_then(|text| text.parse().ok());
        let seed: u64 = given.unwrap_or_else(|| {
            let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
            since.as_nanos() as u64
        });
        eprintln!("RECADO_TEST_SEED={seed}");
        Self(seed.max(1))
    }

    /// Another source, which the same seed always makes the same.
    pub(crate) fn fork(&mut self) -> Self {
        Self(self.between(1, u64::from(u32::MAX)))
    }

    /// A number from `low` to `high`.
    pub(crate) fn between(&mut self, low: u64, high: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        low + (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16) % (high - low + 1)
    }

    /// Lets a random time pass, of so many milliseconds. It waits for nothing: its end is the event.
    pub(crate) async fn pass(&mut self, low: u64, high: u64) {
        tokio::time::sleep(Duration::from_millis(self.between(low, high))).await;
    }
}
