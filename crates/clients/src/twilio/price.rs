//! What Twilio charges: told some time after a message or call has ended.
use serde::{Deserialize, Deserializer, Serialize};

/// What Twilio charges for a message or call.
///
/// Source: <https://www.twilio.com/docs/messaging/api/message-resource>, `price` and `price_unit`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Price {
    /// In millionths of the unit; more than 0 is to be paid.
    pub millionths: i64,
    /// The currency: `USD`, ….
    pub unit: String,
}

impl Price {
    /// Of the two fields of a resource. Twilio writes what is to be paid as less than 0. What cannot be read is as good as
    /// none.
    pub(super) fn read(price: Option<&str>, unit: Option<&str>) -> Option<Self> {
        let (text, unit) = (price?.trim(), unit?.trim());
        let is_unit = unit.len() == 3 && unit.bytes().all(|byte| byte.is_ascii_alphabetic());
        let (sign, digits) = match text.strip_prefix('-') {
            Some(digits) => (1, digits),
            None => (-1, text),
        };
        let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
        let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if !is_unit || digits.is_empty() || digits == "." || !is_number(whole) || !is_number(part) {
            return None;
        }
        // A price of more than a million is none, and what is below a millionth does not count.
        let part: String = part.chars().chain("000000".chars()).take(6).collect();
        let whole: i64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
        let millionths = whole.checked_mul(1_000_000)?.checked_add(part.parse().ok()?)?;
        (millionths <= 1_000_000_000_000).then(|| Self {
            millionths: sign * millionths,
            unit: unit.to_ascii_uppercase(),
        })
    }
}

/// A decimal number as text, or as a number; anything else is as good as none.
pub(super) fn decimal<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Decimal {
        Text(String),
        Number(serde_json::Number),
        Other(serde::de::IgnoredAny),
    }
    Ok(match Decimal::deserialize(from)? {
        Decimal::Text(text) => Some(text),
        Decimal::Number(number) => Some(number.to_string()),
        Decimal::Other(_) => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_price_is_read_to_the_millionth_and_what_is_none_is_none() {
        let read = |price: &str| Price::read(Some(price), Some("usd")).map(|price| price.millionths);
        for (text, millionths) in [
            ("-0.00750", Some(7_500)),
            ("-1", Some(1_000_000)),
            ("-.5", Some(500_000)),
            ("-0.00000099", Some(0)),
            ("0", Some(0)),
            ("0.02", Some(-20_000)),
            ("-12.345678", Some(12_345_678)),
            ("", None),
            ("-", None),
            (".", None),
            ("-1e3", None),
            ("-0,5", None),
            ("--1", None),
            ("-99999999999999999999", None),
            ("-1000001", None),
        ] {
            assert_eq!(read(text), millionths, "{text}");
        }
        assert_eq!(Price::read(None, Some("USD")), None);
        assert_eq!(Price::read(Some("-1"), Some("dollars")), None);
    }
}
