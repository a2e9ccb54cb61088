//! The ticks of a schedule: a cron expression, read in a time zone. Pure functions of the time that they are given.
//!
//! Where the clock goes forward, a tick of one hour and one minute that falls into the hour that is not there comes at
//! the first moment after it; an expression of several hours or minutes leaves it out. Where the clock goes back, the
//! former comes once, at the first of its two moments, the latter at both.
use std::{str::FromStr, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;
use croner::{
    Cron,
    parser::{CronParser, Seconds, Year},
};

use crate::ScheduleError;

/// The most missed ticks that are counted one by one.
const COUNTED: i64 = 1000;

/// When a schedule ticks.
#[derive(Debug)]
pub(crate) struct Ticks {
    cron: Cron,
    zone: Tz,
}

/// What is to be done about a schedule whose next tick is over.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Due {
    /// The ticks to start, oldest first.
    pub(crate) ticks: Vec<DateTime<Utc>>,
    /// How many were found too late.
    pub(crate) missed: i64,
    /// The tick after these.
    pub(crate) next: Option<DateTime<Utc>>,
}

impl Ticks {
    /// Reads both.
    ///
    /// # Errors
    /// [`ScheduleError::Invalid`], which names `cron` or `time_zone`.
    pub(crate) fn parse(cron: &str, zone: &str) -> Result<Self, ScheduleError> {
        let parser = CronParser::builder().seconds(Seconds::Optional);
        let cron = parser
            .year(Year::Disallowed)
            .build()
            .parse(cron)
            .map_err(|error| ScheduleError::invalid("cron", format!("`{cron}` cannot be read: {error}")))?;
        let zone = Tz::from_str(zone).map_err(|_| {
            let told = format!("there is no time zone `{zone}`; `America/Sao_Paulo` or `UTC` would be one");
            ScheduleError::invalid("time_zone", told)
        })?;
        Ok(Self { cron, zone })
    }

    /// The first tick later than `at`.
    pub(crate) fn after(&self, at: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let next = self
            .cron
            .find_next_occurrence(&at.with_timezone(&self.zone), false);
        // Whatever a zone's history holds: ticks go forward, or whoever counts them would never end.
        next.ok().map(|next| next.to_utc()).filter(|next| *next > at)
    }

    /// The first tick that is not earlier than `at`.
    fn from(&self, at: DateTime<Utc>) -> Option<DateTime<Utc>> {
        self.after(at - TimeDelta::microseconds(1))
    }

    /// The ticks of `from <= tick < to`, `limit` at most.
    pub(crate) fn between(&self, from: DateTime<Utc>, to: DateTime<Utc>, limit: usize) -> Vec<DateTime<Utc>> {
        std::iter::successors(self.from(from), |tick| self.after(*tick))
            .take_while(|tick| *tick < to)
            .take(limit)
            .collect()
    }

    /// Sorts the ticks from `next` to `now` by whether they are older than `catch_up`; starts `limit` at most.
    pub(crate) fn due(
        &self,
        next: DateTime<Utc>,
        now: DateTime<Utc>,
        catch_up: Duration,
        limit: usize,
    ) -> Due {
        let oldest = TimeDelta::from_std(catch_up).map_or(DateTime::UNIX_EPOCH, |catch_up| now - catch_up);
        let (mut missed, mut next) = (0, Some(next));
        while let Some(tick) = next.filter(|tick| *tick < oldest) {
            missed += 1;
            next = match missed {
                COUNTED => self.from(oldest),
                _ => self.after(tick),
            };
        }
        let mut ticks = Vec::new();
        while let Some(tick) = next.filter(|tick| *tick <= now && ticks.len() < limit) {
            ticks.push(tick);
            next = self.after(tick);
        }
        Due { ticks, missed, next }
    }
}

#[cfg(test)]
#[path = "ticks_tests.rs"]
mod tests;
