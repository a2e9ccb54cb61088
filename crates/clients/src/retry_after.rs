//! The `Retry-After` header (RFC 9110, section 10.2.3).

use std::time::Duration;

use chrono::{DateTime, Utc};
use reqwest::header::{HeaderMap, RETRY_AFTER};

/// A vendor that asks for more is asked again after this; nobody's answer should wait on a typing error.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// How long the vendor asks us to wait, in either of the header's two forms; `None` if it does not say or is unreadable.
pub(crate) fn retry_after(headers: &HeaderMap, now: DateTime<Utc>) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = seconds(text).or_else(|| until(text, now))?;
    Some(wait.min(LONGEST))
}

/// Whole seconds by the standard; some model providers send fractions.
fn seconds(text: &str) -> Option<Duration> {
    let seconds: f64 = text.parse().ok()?;
    Duration::try_from_secs_f64(seconds).ok()
}

/// A date that has passed means "now".
fn until(text: &str, now: DateTime<Utc>) -> Option<Duration> {
    let date = DateTime::parse_from_rfc2822(text).ok()?;
    Some(
        (date.with_timezone(&Utc) - now)
            .to_std()
            .unwrap_or(Duration::ZERO),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(value: &str) -> Option<Duration> {
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, value.parse().expect("a header value"));
        let now = DateTime::parse_from_rfc3339("2025-11-21T12:00:00Z").expect("a date");
        retry_after(&headers, now.with_timezone(&Utc))
    }

    #[test]
    fn seconds_and_fractions_are_read() {
        assert_eq!(read("7"), Some(Duration::from_secs(7)));
        assert_eq!(read("0.25"), Some(Duration::from_millis(250)));
    }

    #[test]
    fn a_date_is_the_time_until_then() {
        assert_eq!(
            read("Fri, 21 Nov 2025 12:01:30 GMT"),
            Some(Duration::from_secs(90))
        );
        assert_eq!(read("Fri, 21 Nov 2025 11:00:00 GMT"), Some(Duration::ZERO));
    }

    #[test]
    fn nonsense_is_no_wish_and_too_long_is_a_day() {
        for nonsense in ["soon", "-3", "NaN", "inf", ""] {
            assert_eq!(read(nonsense), None, "{nonsense:?}");
        }
        assert_eq!(read("999999999999"), Some(LONGEST));
    }
}
