//! Ticks by example, on the days on which clocks change above all.
#![expect(clippy::unwrap_used, reason = "tests")]
use std::time::{Duration, Instant};

use super::*;

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

/// The first ticks after `from`, in local time.
fn local(cron: &str, zone: &str, from: &str, n: usize) -> Vec<String> {
    let ticks = Ticks::parse(cron, zone).unwrap();
    let zone: Tz = zone.parse().unwrap();
    std::iter::successors(ticks.after(at(from)), |tick| ticks.after(*tick))
        .take(n)
        .map(|tick| tick.with_timezone(&zone).format("%d %H:%M:%S %Z").to_string())
        .collect()
}

#[test]
fn a_tick_is_read_in_its_own_time_zone() {
    let ticks = Ticks::parse("0 9 * * *", "America/Sao_Paulo").unwrap();
    assert_eq!(
        ticks.after(at("2026-11-21T12:00:00Z")),
        Some(at("2026-11-22T12:00:00Z"))
    );
    assert_eq!(
        ticks.after(at("2026-11-21T11:59:59.999999Z")),
        Some(at("2026-11-21T12:00:00Z"))
    );
    let weekly = local("0 9 * * MON", "UTC", "2026-11-21T00:00:00Z", 2);
    assert_eq!(weekly, ["23 09:00:00 UTC", "30 09:00:00 UTC"]);
    let seconds = local("*/20 * * * * *", "UTC", "2026-11-21T00:00:01.5Z", 2);
    assert_eq!(seconds, ["21 00:00:20 UTC", "21 00:00:40 UTC"]);
}

#[test]
fn a_tick_in_a_skipped_hour_comes_right_after_it() {
    // In Berlin 02:00 to 03:00 of 29 March 2026 is not there.
    let ticks = local("30 2 * * *", "Europe/Berlin", "2026-03-28T00:00:00Z", 3);
    assert_eq!(ticks, ["28 02:30:00 CET", "29 03:00:00 CEST", "30 02:30:00 CEST"]);
}

#[test]
fn an_expression_of_several_minutes_leaves_a_skipped_hour_out() {
    let ticks = local("*/30 * * * *", "Europe/Berlin", "2026-03-29T00:30:00Z", 2);
    assert_eq!(ticks, ["29 03:00:00 CEST", "29 03:30:00 CEST"]);
    let hours = local("30 1,2 * * *", "Europe/Berlin", "2026-03-29T00:00:00Z", 2);
    assert_eq!(hours, ["29 01:30:00 CET", "30 01:30:00 CEST"]);
}

#[test]
fn a_tick_in_a_doubled_hour_comes_once_at_the_first() {
    // In Berlin 02:00 to 03:00 of 25 October 2026 is there twice.
    let ticks = local("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z", 2);
    assert_eq!(ticks, ["25 02:30:00 CEST", "26 02:30:00 CET"]);
    // Also for those who ask between the two.
    let between = local("30 2 * * *", "Europe/Berlin", "2026-10-25T00:45:00Z", 1);
    assert_eq!(between, ["26 02:30:00 CET"]);
}

#[test]
fn an_expression_of_several_minutes_comes_in_both_of_a_doubled_hour() {
    let ticks = local("*/30 * * * *", "Europe/Berlin", "2026-10-24T23:59:00Z", 5);
    assert_eq!(
        ticks,
        [
            "25 02:00:00 CEST",
            "25 02:30:00 CEST",
            "25 02:00:00 CET",
            "25 02:30:00 CET",
            "25 03:00:00 CET"
        ]
    );
}

#[test]
fn what_cannot_be_read_is_named() {
    let field = |cron: &str, zone: &str| match Ticks::parse(cron, zone) {
        Err(ScheduleError::Invalid { field, .. }) => field,
        other => panic!("{other:?}"),
    };
    for wrong in ["", "every day", "61 * * * *", "* * * *", "0 0 9 * * MON 2027"] {
        assert_eq!(field(wrong, "UTC"), "cron", "{wrong}");
    }
    assert_eq!(field("* * * * *", "Brasilia"), "time_zone");
}

#[test]
fn an_expression_that_never_comes_is_known_soon() {
    let begun = Instant::now();
    let ticks = Ticks::parse("0 0 30 2 *", "America/Sao_Paulo").unwrap();
    assert_eq!(ticks.after(at("2026-11-21T00:00:00Z")), None);
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
}

#[test]
fn ticks_within_the_window_are_caught_up_and_older_ones_counted() {
    let ticks = Ticks::parse("* * * * *", "UTC").unwrap();
    let due = |catch_up, limit| {
        let (next, now) = (at("2026-11-21T09:00:00Z"), at("2026-11-21T09:10:30Z"));
        let due = ticks.due(next, now, Duration::from_secs(catch_up), limit);
        let minutes: Vec<_> = due
            .ticks
            .iter()
            .map(|tick| tick.format("%M").to_string())
            .collect();
        (
            due.missed,
            minutes.join(" "),
            due.next.unwrap().format("%M").to_string(),
        )
    };
    assert_eq!(due(60, 9), (10, "10".to_owned(), "11".to_owned()));
    assert_eq!(due(150, 9), (8, "08 09 10".to_owned(), "11".to_owned()));
    // What does not fit is left for the next look.
    assert_eq!(due(150, 2), (8, "08 09".to_owned(), "10".to_owned()));
    assert_eq!(due(3600, 2), (0, "00 01".to_owned(), "02".to_owned()));
}

#[test]
fn a_long_absence_is_not_counted_tick_by_tick() {
    let ticks = Ticks::parse("* * * * * *", "UTC").unwrap();
    let (next, now) = (at("2020-01-01T00:00:00Z"), at("2026-11-21T09:10:30Z"));
    let due = ticks.due(next, now, Duration::from_secs(10), 100);
    assert_eq!((due.missed, due.ticks.len()), (COUNTED, 11));
    assert_eq!(due.next, Some(at("2026-11-21T09:10:31Z")));
}
