//! What went within the last minute.
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use crate::StoreError;

/// The time in which messages are counted.
const WINDOW: TimeDelta = TimeDelta::minutes(1);

/// How many went when, oldest first: milliseconds since 1970, and how many.
pub(super) struct Window {
    went: Vec<(i64, u32)>,
}

impl Window {
    /// Of the times at which single ones went.
    pub(super) fn of_times(times: Vec<i64>, now: DateTime<Utc>) -> Self {
        Self::of(times.into_iter().map(|at| (at, 1)).collect(), now)
    }

    /// As it was [`written`](Self::written).
    ///
    /// # Errors
    /// When it was not.
    pub(super) fn read(text: &str, now: DateTime<Utc>) -> Result<Self, StoreError> {
        let seconds: Vec<(i64, u32)> = serde_json::from_str(text)?;
        // At the end of their second, so that no minute ever has more than its limit.
        let went = seconds
            .into_iter()
            .map(|(second, count)| (second * 1000 + 999, count));
        Ok(Self::of(went.collect(), now))
    }

    fn of(mut went: Vec<(i64, u32)>, now: DateTime<Utc>) -> Self {
        let now = now.timestamp_millis();
        went.retain(|(at, _)| now - at < WINDOW.num_milliseconds());
        went.sort_unstable();
        Self { went }
    }

    /// After which time one more fits; `None` if it does now.
    pub(super) fn wait(&self, per_minute: u32, now: DateTime<Utc>) -> Option<Duration> {
        let count: u32 = self.went.iter().map(|(_, count)| count).sum();
        let mut left = count.checked_sub(per_minute)?;
        // It fits when so many have left that there are fewer than may be.
        for (at, count) in &self.went {
            match left.checked_sub(*count) {
                Some(more) => left = more,
                None => {
                    let millis = at + WINDOW.num_milliseconds() - now.timestamp_millis();
                    return Some(Duration::from_millis(millis.try_into().unwrap_or(1)));
                }
            }
        }
        None
    }

    /// One more goes.
    pub(super) fn add(&mut self, now: DateTime<Utc>) {
        self.went.push((now.timestamp_millis(), 1));
    }

    /// The time of each, as JSON.
    pub(super) fn times(&self) -> Result<String, StoreError> {
        let times: Vec<i64> = self
            .went
            .iter()
            .flat_map(|(at, count)| std::iter::repeat_n(*at, *count as usize))
            .collect();
        Ok(serde_json::to_string(&times)?)
    }

    /// How many in each second, as JSON.
    pub(super) fn written(&self) -> Result<String, StoreError> {
        let mut seconds: Vec<(i64, u32)> = Vec::new();
        for (at, count) in &self.went {
            let second = at.div_euclid(1000);
            match seconds.last_mut() {
                Some((last, sum)) if *last == second => *sum += count,
                _ => seconds.push((second, *count)),
            }
        }
        Ok(serde_json::to_string(&seconds)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::days(1) + TimeDelta::milliseconds(millis)
    }

    #[test]
    fn ten_go_in_a_minute_and_one_more_when_the_first_is_a_minute_old() {
        let mut window = Window::of_times(Vec::new(), at(0));
        let go = |window: &mut Window, per_minute, now| match window.wait(per_minute, now) {
            None => {
                window.add(now);
                None
            }
            wait => wait,
        };
        for _ in 0..4 {
            assert_eq!(go(&mut window, 10, at(0)), None);
        }
        for _ in 0..6 {
            assert_eq!(go(&mut window, 10, at(20_000)), None);
        }
        assert_eq!(go(&mut window, 10, at(20_000)), Some(Duration::from_secs(40)));
        let times: Vec<i64> =
            serde_json::from_str(&window.times().ok().unwrap_or_default()).unwrap_or_default();
        assert_eq!(times.len(), 10);
        let window = Window::of_times(times, at(60_000));
        assert_eq!(window.wait(10, at(60_000)), None);
        let lowered = window.wait(5, at(61_000));
        assert_eq!(
            lowered,
            Some(Duration::from_secs(19)),
            "until two of the six of the 20th second are left"
        );
    }

    #[test]
    fn a_window_by_seconds_never_lets_more_through() {
        let mut window = Window::of_times(Vec::new(), at(0));
        (0..3).for_each(|_| window.add(at(400)));
        let text = window.written().ok().unwrap_or_default();
        let read = |now| Window::read(&text, now).map(|window| window.wait(3, now));
        assert_eq!(read(at(60_500)).ok().flatten(), Some(Duration::from_millis(499)));
        assert_eq!(read(at(61_000)).ok(), Some(None));
    }
}
