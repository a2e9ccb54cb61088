//! What an owner's messages of a month cost, roughly.
use std::collections::BTreeMap;

use chrono::{DateTime, Datelike, NaiveDate, NaiveTime, Utc};
use recado_domain::{
    Channel, Direction, OwnerId,
    price::{WHATSAPP, sms},
};
use recado_store::{StoreError, messages};
use sea_orm::ConnectionTrait;

/// An amount of millionths of a dollar.
pub(super) fn written(micros: i64) -> String {
    format!("US$ {:.4}", micros as f64 / 1e6)
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
        let mut sums: BTreeMap<(&str, bool), (i64, i64)> = BTreeMap::new();
        for count in counts {
            let each = match count.channel {
                Channel::Whatsapp => Some((WHATSAPP, count.count)),
                Channel::Sms => sms(&count.prefix, count.direction).map(|each| (each, count.pieces)),
            };
            let ours = count.direction == Direction::Outbound;
            let sum = sums.entry((count.channel.as_str(), ours)).or_default();
            sum.0 += count.count;
            sum.1 += each.map_or(0, |(each, times)| each * times);
        }
        let line = |((channel, ours), (count, cost))| Line {
            channel,
            ours,
            count,
            cost: written(cost),
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
