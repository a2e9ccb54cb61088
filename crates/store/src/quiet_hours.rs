//! The hours in which an owner writes to nobody of its own accord.
use chrono::{DateTime, NaiveTime, TimeDelta, TimeZone, Utc};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};

/// How a time of the day is written.
const CLOCK: &str = "%H:%M";

/// From one time of the day to another, perhaps past midnight, on the clocks of a place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuietHours {
    /// When they begin, as in `21:00`.
    pub from: String,
    /// When they end, as in `08:00`; another time than `from`.
    pub to: String,
    /// Whose clocks, as in `America/Sao_Paulo`.
    pub zone: String,
}

/// Why hours cannot be taken: the field, and what is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field} {told}")]
pub struct InvalidHours {
    /// The field.
    pub field: &'static str,
    /// What it must be.
    pub told: &'static str,
}

impl QuietHours {
    /// When those end in which `now` lies; `None` if it lies in none.
    ///
    /// # Errors
    /// When they are no hours of any place.
    pub fn end(&self, now: DateTime<Utc>) -> Result<Option<DateTime<Utc>>, InvalidHours> {
        let (from, to, zone) = self.read()?;
        let local = now.with_timezone(&zone);
        let time = local.time();
        let past_midnight = from > to;
        let is_quiet = match past_midnight {
            false => from <= time && time < to,
            true => time >= from || time < to,
        };
        if !is_quiet {
            return Ok(None);
        }
        let day = match past_midnight && time >= from {
            true => local.date_naive() + TimeDelta::days(1),
            false => local.date_naive(),
        };
        // Where the clocks skip that time, the next hour has it.
        let end = [0, 1, 2].into_iter().find_map(|hours| {
            let at = day.and_time(to) + TimeDelta::hours(hours);
            let at = zone.from_local_datetime(&at);
            // Where they show it twice, the first may be over.
            [at.earliest(), at.latest()]
                .into_iter()
                .flatten()
                .find(|at| *at > now)
        });
        Ok(end.map(|end| end.with_timezone(&Utc)))
    }

    /// Checks them.
    ///
    /// # Errors
    /// [`InvalidHours`] names the field.
    pub fn check(&self) -> Result<(), InvalidHours> {
        self.read().map(drop)
    }

    fn read(&self) -> Result<(NaiveTime, NaiveTime, Tz), InvalidHours> {
        let clock = |field, text: &str| {
            NaiveTime::parse_from_str(text, CLOCK).map_err(|_| InvalidHours {
                field,
                told: "must be a time of the day, as in 21:00",
            })
        };
        let (from, to) = (clock("from", &self.from)?, clock("to", &self.to)?);
        if from == to {
            return Err(InvalidHours {
                field: "to",
                told: "must be another time than from",
            });
        }
        let zone = self.zone.parse().map_err(|_| InvalidHours {
            field: "zone",
            told: "must be a time zone, as in America/Sao_Paulo",
        })?;
        Ok((from, to, zone))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hours(from: &str, to: &str, zone: &str) -> QuietHours {
        QuietHours {
            from: from.to_owned(),
            to: to.to_owned(),
            zone: zone.to_owned(),
        }
    }

    fn at(text: &str) -> Option<DateTime<Utc>> {
        DateTime::parse_from_rfc3339(text).ok().map(|at| at.to_utc())
    }

    fn end(hours: &QuietHours, now: &str) -> Option<DateTime<Utc>> {
        hours.end(at(now)?).ok().flatten()
    }

    #[test]
    fn a_night_ends_on_the_next_morning_of_its_own_place() {
        let night = hours("21:00", "08:00", "America/Sao_Paulo");
        assert_eq!(end(&night, "2026-03-01T20:59:59-03:00"), None);
        let morning = at("2026-03-02T08:00:00-03:00");
        assert_eq!(end(&night, "2026-03-01T21:00:00-03:00"), morning);
        assert_eq!(end(&night, "2026-03-02T07:59:00-03:00"), morning);
        assert_eq!(end(&night, "2026-03-02T08:00:00-03:00"), None);
        let siesta = hours("12:00", "14:00", "Europe/Madrid");
        assert_eq!(end(&siesta, "2026-07-01T11:30:00Z"), at("2026-07-01T12:00:00Z"));
    }

    #[test]
    fn hours_end_where_the_clocks_skip_their_end() {
        // On 29 March 2026 Madrid's clocks go from 02:00 to 03:00.
        let night = hours("23:00", "02:30", "Europe/Madrid");
        assert_eq!(end(&night, "2026-03-28T23:30:00Z"), at("2026-03-29T01:30:00Z"));
    }

    #[test]
    fn hours_end_in_the_future_where_the_clocks_show_their_end_twice() {
        // On 25 October 2026 Madrid's clocks go from 03:00 back to 02:00.
        let night = hours("23:00", "02:30", "Europe/Madrid");
        assert_eq!(end(&night, "2026-10-25T00:10:00Z"), at("2026-10-25T00:30:00Z"));
        assert_eq!(end(&night, "2026-10-25T01:10:00Z"), at("2026-10-25T01:30:00Z"));
    }

    #[test]
    fn what_are_no_hours_names_the_field() {
        let field = |from, to, zone| hours(from, to, zone).check().err().map(|error| error.field);
        assert_eq!(field("25:00", "08:00", "UTC"), Some("from"));
        assert_eq!(field("21:00", "21:00", "UTC"), Some("to"));
        assert_eq!(field("21:00", "08:00", "Mars/Olympus"), Some("zone"));
        assert_eq!(field("21:00", "08:00", "UTC"), None);
    }
}
