//! Histories of real runs, as `recado runs export` writes them, and their replay by the workflow that made them.
//!
//! With `RECORD_HISTORIES=1` they go to `workflows/tests/histories`, where `workflows/tests/replay.rs` takes them.
#![expect(clippy::unwrap_used, reason = "tests")]
#[expect(dead_code, reason = "each file of tests uses a part of the world")]
mod world;

use std::path::{Path, PathBuf};

use recado_engine::{Export, testing::replay};
use recado_simulator::{Answer, CreateFault, Inbound};
use recado_testkit::Backend;
use recado_workflows::InboundMessage;
use sea_orm::ConnectionTrait;
use tempfile::TempDir;
use world::World;

/// Where the recorded ones are.
const RECORDED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/workflows/tests/histories");

/// A number that is nobody's: 555-0100 to 555-0199 are kept free for stories.
fn fictional(number: u32) -> String {
    format!("whatsapp:+14155550{number}")
}

/// Where histories are written.
struct Shelf {
    folder: PathBuf,
    _temporary: TempDir,
}

impl Shelf {
    fn new() -> Self {
        let temporary = TempDir::with_prefix("recado-histories-").unwrap();
        let folder = match std::env::var_os("RECORD_HISTORIES") {
            Some(_) => PathBuf::from(RECORDED),
            None => temporary.path().to_owned(),
        };
        std::fs::create_dir_all(&folder).unwrap();
        Self {
            folder,
            _temporary: temporary,
        }
    }

    /// Exports the run of a message, once it is in `state`, and replays it.
    async fn keep(&self, world: &World, name: &str, sid: &str, state: &str, outcome: Option<&str>) -> Export {
        let run = world.until(sid, state).await;
        assert_eq!(run["outcome"].as_str(), outcome, "{name}: {run}");
        let file = self.folder.join(format!("{name}.json"));
        let (id, path) = (run["id"].as_str().unwrap(), file.to_str().unwrap());
        let (code, told) = world.run(&["runs", "export", id, "--output", path]).await;
        assert_eq!(code, 0, "{told}");
        replay::<InboundMessage>(&file);
        let recorded = Path::new(RECORDED).join(format!("{name}.json"));
        assert!(
            recorded.is_file(),
            "{} is missing; CONTRIBUTING.md says how to record it",
            recorded.display()
        );
        serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap()
    }
}

fn routed(specialist: &str) -> Answer {
    Answer::Text(format!(
        r#"{{"specialist": "{specialist}", "confidence": 0.93, "reason": "a price is asked"}}"#
    ))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_end_of_an_inbound_message_is_recorded_and_replays() {
    let shelf = Shelf::new();
    let world = World::new(Backend::Sqlite).await;
    let speech = format!("{}/v1", world.simulator.url());
    let world = world.set("TRANSCRIBE_URL", &speech);
    let (code, told) = world.run(&["seed"]).await;
    assert_eq!(code, 0, "{told}");
    let mut process = world.serve_and_work().await;

    world
        .simulator
        .script([routed("sales"), Answer::Text("O de 2 kg custa R$ 120.".into())]);
    let sid = world.say(&fictional(101), "quanto custa um bolo?").await;
    shelf
        .keep(&world, "answered", &sid, "completed", Some("answered"))
        .await;

    let long = "Uma frase de uma resposta longa. ".repeat(100);
    world.simulator.script([routed("general"), Answer::Text(long)]);
    let sid = world.say(&fictional(102), "conte tudo").await;
    let export = shelf
        .keep(&world, "long_text", &sid, "completed", Some("answered"))
        .await;
    let intended = |export: &Export| {
        let intended = recado_engine::EventKind::ActivityIntended;
        export
            .events
            .iter()
            .filter(|event| event.kind == intended)
            .count()
    };
    assert!(intended(&export) > 1, "several parts");

    world
        .simulator
        .script([routed("general"), Answer::Text("HANDOFF".into())]);
    let sid = world.say(&fictional(103), "quero falar com alguém").await;
    shelf
        .keep(&world, "handed_over", &sid, "completed", Some("handed_over"))
        .await;
    let sid = world.say(&fictional(103), "alguém aí?").await;
    shelf
        .keep(
            &world,
            "left_to_people",
            &sid,
            "completed",
            Some("left_to_people"),
        )
        .await;

    let sid = world.say(&fictional(104), "STOP").await;
    shelf
        .keep(&world, "silent", &sid, "completed", Some("silent"))
        .await;

    world.misbehave(|faults| {
        faults.twilio.create = CreateFault::Refuse(21610);
        faults.twilio.times = Some(1);
    });
    let sid = world.say(&fictional(105), "oi").await;
    shelf
        .keep(&world, "withheld", &sid, "completed", Some("withheld"))
        .await;

    world.misbehave(|faults| {
        faults.twilio.create = CreateFault::Status(503);
        faults.twilio.times = Some(1);
        faults.listing_lag_ms = 0;
    });
    let sid = world.say(&fictional(106), "oi").await;
    let export = shelf
        .keep(&world, "sent_again", &sid, "completed", Some("answered"))
        .await;
    assert_eq!(intended(&export), 2, "it was sent again after a definite no");

    world.misbehave(|faults| {
        faults.twilio.create = CreateFault::Refuse(21211);
        faults.twilio.times = Some(1);
    });
    let sid = world.say(&fictional(107), "oi").await;
    let parked = shelf.keep(&world, "parked", &sid, "parked", None).await;
    let (code, told) = world.run(&["runs", "retry", parked.run.as_str()]).await;
    assert_eq!(code, 0, "{told}");
    shelf
        .keep(&world, "parked_then_retried", &sid, "completed", Some("answered"))
        .await;

    world.misbehave(|faults| faults.twilio.create = CreateFault::AcceptAndNeverAnswer);
    let sid = world.say(&fictional(108), "oi").await;
    world.answers(&fictional(108), 1).await;
    process.kill9();
    world.misbehave(|_| {});
    let _process = world.serve_and_work().await;
    let export = shelf
        .keep(&world, "taken_over", &sid, "completed", Some("answered"))
        .await;
    assert_eq!(intended(&export), 1, "it was found, and not sent again");

    world.misbehave(|faults| faults.model.down = true);
    let sid = world
        .say(&fictional(109), "Qual é o horário de funcionamento?")
        .await;
    shelf
        .keep(&world, "model_fallback", &sid, "completed", Some("answered"))
        .await;

    world.misbehave(|_| {});
    world
        .simulator
        .script([routed("general"), Answer::Text("Das 7 às 19h.".into())]);
    let voice = Inbound {
        from: fictional(111),
        voice: Some("que horas vocês abrem?".into()),
        ..Inbound::default()
    };
    let sid = world.deliver(voice).await.sid;
    shelf
        .keep(&world, "voice", &sid, "completed", Some("answered"))
        .await;
    world.misbehave(|faults| faults.media.status = Some(403));
    let voice = Inbound {
        from: fictional(112),
        voice: Some("alô?".into()),
        ..Inbound::default()
    };
    let sid = world.deliver(voice).await.sid;
    shelf
        .keep(&world, "unread", &sid, "completed", Some("unread"))
        .await;
    world.misbehave(|_| {});

    let used_up = "update plan_features set quota = 0";
    let database = world.database.connect().await;
    let changed = database.execute_unprepared(used_up).await.unwrap();
    assert!(changed.rows_affected() > 0);
    let sid = world.say(&fictional(110), "oi").await;
    shelf
        .keep(&world, "refused", &sid, "completed", Some("refused"))
        .await;
    let sid = world.say(&fictional(110), "oi?").await;
    shelf
        .keep(&world, "refused_again", &sid, "completed", Some("refused"))
        .await;
}
