//! What messages cost, roughly: an estimate before Twilio's bill.
//!
//! Prices change, and differ by carrier, volume and contract. Looked up on 21 November 2026: what Twilio takes for a
//! WhatsApp message, besides what Meta takes for templates (<https://www.twilio.com/en-us/whatsapp/pricing>), and an SMS in
//! the United States and Canada, besides what carriers take. Those of the other countries could not be looked up: they are
//! of the order of Twilio's list prices for one segment, in US dollars. What an account really pays Twilio tells it alone
//! (<https://www.twilio.com/docs/messaging/api/pricing>).
use std::collections::BTreeMap;

use chrono::{DateTime, Datelike, NaiveDate, NaiveTime, Utc};
use recado_domain::{Address, Channel, Direction, OwnerId};
use recado_store::{StoreError, calls, messages};
use sea_orm::ConnectionTrait;

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
const WHATSAPP: i64 = 5_000;

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
pub(super) fn estimate_call(theirs: &Address, direction: Direction, seconds: i64) -> Option<i64> {
    let minutes = (seconds.max(0) + 59) / 60;
    Some(minute(theirs.phone()?.as_str(), direction)? * minutes)
}

fn minute(number: &str, direction: Direction) -> Option<i64> {
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
pub(super) fn estimate(theirs: &Address, direction: Direction, body: &str) -> Option<i64> {
    match theirs.channel() {
        Channel::Whatsapp => Some(WHATSAPP),
        Channel::Sms => Some(sms(theirs.phone()?.as_str(), direction)? * segments(body)),
    }
}

/// What one segment of an SMS costs, by how the contact's number begins.
fn sms(number: &str, direction: Direction) -> Option<i64> {
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
/// and 67 where a character is none of it. Source, of 9 December 2025:
/// <https://www.twilio.com/docs/glossary/what-sms-character-limit>.
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

/// An amount of millionths of a dollar.
pub(super) fn written(micros: i64) -> String {
    format!("US$ {:.4}", micros as f64 / 1e6)
}

/// What Twilio charged, in millionths of a currency.
pub(super) fn charged(millionths: i64, unit: &str) -> String {
    match unit {
        "USD" => written(millionths),
        unit => format!("{unit} {:.4}", millionths as f64 / 1e6),
    }
}

/// What an owner sent and received in the present month.
pub(super) struct Month {
    pub(super) begins: NaiveDate,
    pub(super) lines: Vec<Line>,
}

/// One channel and way of a month.
pub(super) struct Line {
    pub(super) channel: &'static str,
    pub(super) ours: bool,
    pub(super) count: i64,
    /// As far as the table knows the countries.
    pub(super) cost: String,
    /// What Twilio charged, as far as it has told: one amount for each currency.
    pub(super) charged: Vec<String>,
    /// For how many of them.
    pub(super) priced: i64,
}

/// What is added up.
#[derive(Default)]
struct Sum {
    count: i64,
    estimate: i64,
    priced: i64,
    charged: BTreeMap<String, i64>,
}

impl Month {
    /// The month of `now`, by the clocks of UTC.
    ///
    /// # Errors
    /// Those of the database.
    pub(super) async fn of(
        conn: &impl ConnectionTrait,
        owner: &OwnerId,
        now: DateTime<Utc>,
    ) -> Result<Self, StoreError> {
        let today = now.date_naive();
        let begins = today.with_day(1).unwrap_or(today);
        let counts = messages::counts_since(conn, owner, begins.and_time(NaiveTime::MIN).and_utc()).await?;
        let mut sums: BTreeMap<(&str, bool), Sum> = BTreeMap::new();
        for count in counts {
            let each = match count.channel {
                Channel::Whatsapp => Some((WHATSAPP, count.count)),
                Channel::Sms => sms(&count.prefix, count.direction).map(|each| (each, count.pieces)),
            };
            let ours = count.direction == Direction::Outbound;
            let sum = sums.entry((count.channel.as_str(), ours)).or_default();
            sum.count += count.count;
            sum.estimate += each.map_or(0, |(each, times)| each * times);
            sum.priced += count.priced;
            if let Some(unit) = count.price_unit {
                *sum.charged.entry(unit).or_default() += count.price;
            }
        }
        for count in calls::counts_since(conn, owner, begins.and_time(NaiveTime::MIN).and_utc()).await? {
            let sum = sums
                .entry(("call", count.direction == Direction::Outbound))
                .or_default();
            sum.count += count.count;
            sum.estimate += minute(&count.prefix, count.direction).map_or(0, |each| each * count.minutes);
            sum.priced += count.priced;
            if let Some(unit) = count.price_unit {
                *sum.charged.entry(unit).or_default() += count.price;
            }
        }
        let line = |((channel, ours), sum): ((&'static str, bool), Sum)| Line {
            channel,
            ours,
            count: sum.count,
            cost: written(sum.estimate),
            charged: sum
                .charged
                .iter()
                .map(|(unit, sum)| charged(*sum, unit))
                .collect(),
            priced: sum.priced,
        };
        Ok(Self {
            begins,
            lines: sums.into_iter().map(line).collect(),
        })
    }

    pub(super) fn name(&self) -> String {
        self.begins.format("%Y-%m").to_string()
    }
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
        assert!(
            SMS.iter()
                .map(|(code, ..)| code)
                .eq(CALLS.iter().map(|(code, _)| code))
        );
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
        assert_eq!(written(66_900), "US$ 0.0669");
        let call = |seconds| {
            let to = Address::parse("+5511987654321").ok();
            to.and_then(|to| estimate_call(&to, Direction::Outbound, seconds))
        };
        assert_eq!(
            (call(0), call(60), call(61)),
            (Some(0), Some(60_000), Some(120_000))
        );
    }
}
