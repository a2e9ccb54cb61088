//! What an owner's messages and calls of a month cost: roughly, and what Twilio charged.
use std::collections::BTreeMap;

use chrono::{DateTime, Datelike, NaiveDate, NaiveTime, Utc};
use recado_domain::{
    Channel, Direction, OwnerId,
    price::{WHATSAPP, minute, sms},
};
use recado_store::{StoreError, calls, messages};
use sea_orm::ConnectionTrait;

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
