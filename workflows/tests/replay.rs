//! The recorded histories, replayed by the workflows of this build: what would lead a run that is under way astray fails here.
#![expect(clippy::unwrap_used, reason = "tests")]
use std::path::{Path, PathBuf};

use recado_engine::{
    Export, Workflow,
    testing::{Unreplayable, replay, replay_export},
};
use recado_workflows::InboundMessage;
use serde_json::Value;

fn histories() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/histories");
    let files = std::fs::read_dir(folder)
        .unwrap()
        .map(|file| file.unwrap().path());
    let mut files: Vec<_> = files
        .filter(|file| file.extension().is_some_and(|extension| extension == "json"))
        .collect();
    files.sort();
    files
}

fn read(name: &str) -> Export {
    let file = histories().into_iter().find(|file| file.ends_with(name)).unwrap();
    serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap()
}

#[test]
fn every_recorded_history_replays() {
    let histories = histories();
    assert!(histories.len() >= 12, "{histories:?}");
    for history in histories {
        replay::<InboundMessage>(history);
    }
}

#[test]
fn the_histories_hold_every_word_of_an_end_and_only_fictional_numbers() {
    let mut words = Vec::new();
    for history in histories() {
        let text = std::fs::read_to_string(&history).unwrap();
        let export: Export = serde_json::from_str(&text).unwrap();
        assert_eq!(export.workflow, InboundMessage::NAME);
        words.extend(export.outcome);
        for number in text.split("whatsapp:").skip(1) {
            let number: String = number
                .chars()
                .take_while(|c| *c == '+' || c.is_ascii_digit())
                .collect();
            let ours = number == "+14155238886";
            assert!(
                ours || number.starts_with("+141555501"),
                "{number} in {}",
                history.display()
            );
        }
    }
    for word in [
        "answered",
        "handed_over",
        "left_to_people",
        "refused",
        "silent",
        "unread",
        "withheld",
    ] {
        assert!(words.iter().any(|found| found == word), "none ended as {word}");
    }
}

#[test]
fn a_workflow_that_asks_for_something_else_is_caught() {
    let at = |export: &Export, name: &str| {
        let named = |event: &recado_engine::ExportedEvent| event.name.as_deref() == Some(name);
        export.events.iter().position(named).unwrap()
    };
    let told = |export: &Export| match replay_export::<InboundMessage>(export) {
        Err(Unreplayable::Mismatch(told)) => told,
        other => panic!("{other:?}"),
    };
    // As if the workflow had changed since: an activity has another name, another input, or is not there any more.
    let mut renamed = read("answered.json");
    let routed = at(&renamed, "route_agent");
    renamed.events[routed].name = Some("pick_agent".into());
    let shown = told(&renamed);
    assert!(
        shown.contains("the journal has pick_agent") && shown.contains("asks for route_agent"),
        "{shown}"
    );

    let mut otherwise = read("answered.json");
    let owner = at(&otherwise, "resolve_owner");
    otherwise.events[owner].data.as_mut().unwrap()["id"] = Value::from("somebody else");
    let shown = told(&otherwise);
    assert!(
        shown.contains("recorded: {") && shown.contains("\n  asked:    {"),
        "{shown}"
    );
    assert!(shown.contains("somebody else"), "{shown}");

    let mut fewer = read("long_text.json");
    let last = fewer
        .events
        .iter()
        .rposition(|event| event.name.as_deref() == Some("reply"))
        .unwrap();
    let op = fewer.events[last].op;
    fewer.events.retain(|event| event.op != op);
    let shown = told(&fewer);
    assert!(shown.contains("without reply"), "{shown}");
}
