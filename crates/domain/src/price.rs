//! What messages and calls cost, roughly: an estimate before Twilio's bill.
//!
//! Prices change, and differ by carrier, volume and contract. Looked up on 21 November 2026: what Twilio takes for a
//! WhatsApp message, besides what Meta takes for templates (<https://www.twilio.com/en-us/whatsapp/pricing>), and an SMS in
//! the United States and Canada, besides what carriers take. Those of the other countries could not be looked up: they are
//! of the order of Twilio's list prices for one segment, in US dollars. What an account really pays Twilio tells it alone
//! (<https://www.twilio.com/docs/messaging/api/pricing>).
use crate::{Address, Channel, Direction};

/// A country's calling code, and what one segment of an SMS to it, and one from it, costs: in millionths of a dollar.
const SMS: [(u16, i64, i64); 16] = [
    (1, 8_300, 8_300),
    (33, 79_800, 7_500),
    (34, 74_900, 7_500),
    (351, 47_600, 7_500),
    (39, 89_900, 7_500),
    (44, 51_600, 7_500),
    (49, 112_000, 7_500),
    (51, 67_200, 7_500),
    (52, 60_000, 7_500),
    (54, 71_300, 7_500),
    (55, 66_900, 7_500),
    (56, 58_500, 7_500),
    (57, 53_000, 7_500),
    (595, 51_000, 7_500),
    (598, 73_600, 7_500),
    (91, 83_200, 7_500),
];
/// Twilio's fee for a WhatsApp message either way, in millionths of a dollar.
pub const WHATSAPP: i64 = 5_000;

/// A country's calling code, and what a minute of a call to a mobile there costs, in millionths of a dollar.
const CALLS: [(u16, i64); 16] = [
    (1, 14_000),
    (33, 45_000),
    (34, 40_000),
    (351, 50_000),
    (39, 50_000),
    (44, 32_000),
    (49, 40_000),
    (51, 40_000),
    (52, 20_000),
    (54, 110_000),
    (55, 60_000),
    (56, 35_000),
    (57, 30_000),
    (595, 100_000),
    (598, 120_000),
    (91, 45_000),
];
/// What a minute of a call that comes in costs, in millionths of a dollar.
const CALLED: i64 = 10_000;

/// What a call costs that has ended, in millionths of a dollar; `None` where the table does not know the country. Each
/// minute that was begun counts.
#[must_use]
pub fn estimate_call(theirs: &Address, direction: Direction, seconds: i64) -> Option<i64> {
    let minutes = (seconds.max(0) + 59) / 60;
    Some(minute(theirs.phone()?.as_str(), direction)? * minutes)
}

/// What a minute of a call costs, in millionths of a dollar, by how the contact's number begins; `None` where the table does
/// not know the country.
#[must_use]
pub fn minute(number: &str, direction: Direction) -> Option<i64> {
    let digits = number.trim_start_matches('+');
    match direction {
        Direction::Inbound => Some(CALLED),
        Direction::Outbound => CALLS
            .iter()
            .find(|(code, _)| digits.starts_with(&code.to_string()))
            .map(|(_, each)| *each),
    }
}

/// What a message costs, in millionths of a dollar; `None` where the table does not know the country.
#[must_use]
pub fn estimate(theirs: &Address, direction: Direction, body: &str) -> Option<i64> {
    match theirs.channel() {
        Channel::Whatsapp => Some(WHATSAPP),
        Channel::Sms => Some(sms(theirs.phone()?.as_str(), direction)? * segments(body)),
    }
}

/// What one segment of an SMS costs, in millionths of a dollar, by how the contact's number begins; `None` where the table
/// does not know the country.
#[must_use]
pub fn sms(number: &str, direction: Direction) -> Option<i64> {
    let digits = number.trim_start_matches('+');
    // No calling code is the beginning of another.
    let (_, to, from) = SMS
        .iter()
        .find(|(code, ..)| digits.starts_with(&code.to_string()))?;
    Some(match direction {
        Direction::Outbound => *to,
        Direction::Inbound => *from,
    })
}

/// In how many segments a text goes: 160 characters of the alphabet of telephones in one, 153 in each of several; 70
/// and 67 where a character is none of it. Source: <https://www.twilio.com/docs/glossary/what-sms-character-limit>.
fn segments(body: &str) -> i64 {
    const BASIC: &str = "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà";
    const DOUBLE: &str = "^{}\\[~]|€";
    let width = |character: char| match (BASIC.contains(character), DOUBLE.contains(character)) {
        (true, _) => Some(1),
        (_, true) => Some(2),
        _ => None,
    };
    let basic: Option<usize> = body.chars().map(width).sum();
    let (length, alone, together) = match basic {
        Some(length) => (length, 160, 153),
        None => (body.encode_utf16().count(), 70, 67),
    };
    let count = match length <= alone {
        true => 1,
        false => length.div_ceil(together),
    };
    i64::try_from(count).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_counted_in_segments_as_telephones_do() {
        assert_eq!(segments(""), 1);
        assert_eq!(segments(&"a".repeat(160)), 1);
        assert_eq!(segments(&"a".repeat(161)), 2);
        assert_eq!(segments(&"€".repeat(80)), 1);
        assert_eq!(segments(&"ã".repeat(70)), 1);
        assert_eq!(segments(&"ã".repeat(71)), 2);
        assert_eq!(segments(&"🙂".repeat(36)), 2);
    }

    #[test]
    fn no_calling_code_of_the_table_is_the_beginning_of_another() {
        let called = CALLS.iter().map(|(code, _)| code);
        assert!(SMS.iter().map(|(code, ..)| code).eq(called));
        for (code, ..) in SMS {
            let mut others = SMS.iter().filter(|(other, ..)| *other != code);
            assert!(
                !others.any(|(other, ..)| other.to_string().starts_with(&code.to_string())),
                "{code}"
            );
        }
        let cost = |text: &str| {
            Address::parse(text)
                .ok()
                .and_then(|to| estimate(&to, Direction::Outbound, "oi"))
        };
        assert_eq!(cost("+5511987654321"), Some(66_900));
        assert_eq!(cost("+14155238886"), Some(8_300));
        assert_eq!(cost("whatsapp:+5511987654321"), Some(WHATSAPP));
        assert_eq!(cost("+35312345678"), None);
    }
}
