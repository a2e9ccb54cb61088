//! That a line means what it says, and says what it does not understand.
use chrono::TimeDelta;
use recado_domain::Address;
use recado_engine::{Order, RunId, RunState};

use super::*;

fn now() -> DateTime<Utc> {
    "2026-02-01T12:00:00Z".parse().expect("a time")
}

#[test]
fn a_line_becomes_a_filter() {
    let line = "state:parked workflow:inbound_message owner:x tag:colour=red error:\"twilio 1:\" waits:lane \
        since:2h before:2026-01-31 step:- for:90s attempts:3 contact:+14155238886 \
        parent:01kag000000000000000000000 sort:oldest \"a:b\" c";
    let filter = Line::parse(line)
        .and_then(|line| line.filter_at(now()))
        .expect("a filter");
    let text = |text: &str| Some(text.to_owned());
    let expected = Filter {
        workflow: text("inbound_message"),
        state: Some(RunState::Parked),
        owner: text("x"),
        created_from: Some(now() - TimeDelta::hours(2)),
        created_before: "2026-01-31T00:00:00Z".parse().ok(),
        error: text("twilio 1:"),
        waiting_for: text("lane"),
        tag: Some(("colour".to_owned(), "red".to_owned())),
        still_since: Some(now() - TimeDelta::seconds(90)),
        attempt_from: Some(3),
        lane_ends: ["whatsapp:+14155238886", "+14155238886"]
            .map(str::to_owned)
            .to_vec(),
        parent: Some(RunId::from("01KAG000000000000000000000")),
        step: text(""),
        text: text("a:b c"),
        order: Order::Oldest,
        depth: Some(DEPTH_OF_TEXT),
        ..Filter::default()
    };
    assert_eq!(filter, expected);
    assert!(
        Line::parse("state:open")
            .and_then(|line| line.filter())
            .expect("a filter")
            .unfinished
    );
}

#[test]
fn what_is_written_is_read_again() {
    for line in [
        "",
        "state:parked a b",
        "error:\"a b\" \"x:y\"",
        "owner:\"q\\\"\\\\ z\"",
        "since:2026-01-31T10:00:00Z",
    ] {
        let read = Line::parse(line).expect(line);
        assert_eq!(Line::parse(&read.to_string()), Ok(read), "{line}");
    }
    let line = Line::parse("state:parked x")
        .expect("a line")
        .with("state", "")
        .with("owner", "a b");
    assert_eq!(line.to_string(), "x owner:\"a b\"");
}

#[test]
fn nothing_is_passed_over_in_silence() {
    for (line, told) in [
        ("foo:bar", "There is no “foo:”"),
        ("State:parked", "There is no “State:”"),
        ("state:", "Nothing stands behind"),
        ("state:parked state:failed", "twice"),
        (
            "state:lost",
            "“lost” is no state; it must be one of queued, running",
        ),
        ("tag:colour", "tag:name=value"),
        ("since:yesterday", "since:2h"),
        ("since:2fortnights", "since:2h"),
        ("since:4294967295w", "since:2h"),
        ("since:é", "since:2h"),
        ("for:2026-01-31", "for:2h"),
        ("attempts:0", "from 1 on"),
        ("sort:owner", "sort:oldest"),
        ("contact:\"nobody, ever\"", "contact:+55"),
        ("parent:me", "the id of a run"),
        ("error:\"open", "not closed"),
        ("\"\"", "between the quotes"),
        ("\" \"", "between the quotes"),
        ("a\0b", "U+0000"),
    ] {
        let refused = Line::parse(line)
            .and_then(|line| line.filter_at(now()))
            .expect_err(line);
        assert!(refused.contains(told), "{line}: {refused}");
    }
}

#[test]
fn a_number_is_meant_on_each_channel_and_in_each_spelling() {
    let found: Vec<_> = addresses("+55 (11) 98765-4321")
        .iter()
        .map(Address::to_twilio)
        .collect();
    assert_eq!(
        found,
        [
            "whatsapp:+551187654321",
            "whatsapp:+5511987654321",
            "+551187654321",
            "+5511987654321"
        ]
    );
    assert_eq!(addresses("whatsapp:+5511987654321").len(), 1);
    assert!(addresses("nobody at all, ever").is_empty());
}
