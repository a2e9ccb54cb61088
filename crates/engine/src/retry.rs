//! When a failed attempt is repeated.
use std::time::Duration;

/// A retry policy: exponential with jitter, bounded in wait and in number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retry {
    first: Duration,
    cap: Duration,
    attempts: u32,
    finals: &'static [&'static str],
}

impl Retry {
    /// Waits `first`, then twice as long each time, five minutes at most, up to 8 attempts.
    pub const fn exponential(first: Duration) -> Self {
        Self {
            first,
            cap: Duration::from_secs(300),
            attempts: 8,
            finals: &[],
        }
    }

    /// No second attempt.
    pub const fn never() -> Self {
        Self {
            first: Duration::ZERO,
            cap: Duration::ZERO,
            attempts: 1,
            finals: &[],
        }
    }

    /// At most `attempts` attempts in all.
    pub const fn up_to(self, attempts: u32) -> Self {
        Self { attempts, ..self }
    }

    /// Never waits longer than `cap`, unless the other side asks for more.
    pub const fn at_most(self, cap: Duration) -> Self {
        Self { cap, ..self }
    }

    /// Faults of these classes are not tried again, whatever they say.
    pub const fn not_for(self, classes: &'static [&'static str]) -> Self {
        Self {
            finals: classes,
            ..self
        }
    }

    pub(crate) fn is_final(&self, class: &str) -> bool {
        self.finals.contains(&class)
    }

    /// The wait before attempt `failed + 1`, or `None` when `failed` attempts were all there may be.
    /// `after` is the least wait that the other side asked for; `jitter` is in 0..1 and takes up to a quarter off.
    pub(crate) fn wait(&self, failed: u32, after: Option<Duration>, jitter: f64) -> Option<Duration> {
        if failed >= self.attempts {
            return None;
        }
        let doubled = self
            .first
            .saturating_mul(1u32 << failed.saturating_sub(1).min(20));
        let wait = doubled.min(self.cap).mul_f64(1.0 - 0.25 * jitter.clamp(0.0, 1.0));
        Some(wait.max(after.unwrap_or_default()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn waits_double_up_to_the_cap_and_then_end() {
        let retry = Retry::exponential(SECOND).at_most(SECOND * 3).up_to(4);
        let waits: Vec<_> = (1..=4).map(|failed| retry.wait(failed, None, 0.0)).collect();
        assert_eq!(waits, [Some(SECOND), Some(SECOND * 2), Some(SECOND * 3), None]);
    }

    #[test]
    fn the_other_side_may_ask_for_more_but_not_for_less() {
        let retry = Retry::exponential(SECOND);
        assert_eq!(retry.wait(1, Some(SECOND * 30), 0.0), Some(SECOND * 30));
        assert_eq!(retry.wait(1, Some(Duration::from_millis(1)), 0.0), Some(SECOND));
    }

    #[test]
    fn jitter_takes_off_a_quarter_at_most() {
        let retry = Retry::exponential(SECOND);
        assert_eq!(retry.wait(1, None, 1.0), Some(Duration::from_millis(750)));
    }
}
