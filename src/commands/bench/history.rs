//! A run with a long history whose worker dies: how long it takes another one to go on with it.
use std::time::{Duration, Instant};

use anyhow::Context as _;
use recado_engine::Workflow;
use recado_workflows::BenchSteps;
use serde_json::json;

use super::{figures::Figures, usage::Usage, world::World};

/// Events of one time through the six steps.
const ROUND: u64 = 6;
/// The run goes on for so long after the events that are wanted, so that the worker dies in the middle of it.
const MORE: u64 = 1000;
/// No event of a run without work takes longer, however slow the machine.
const PATIENCE: Duration = Duration::from_secs(300);

pub(super) async fn measure(world: &mut World, events: u64) -> anyhow::Result<Figures> {
    let key = format!("{}-0", ulid::Ulid::generate());
    let again = u32::try_from((events + MORE).div_ceil(ROUND) - 1)?;
    let input = json!({"MessageSid": key, "again": again});
    let body = json!({"workflow": BenchSteps::NAME, "input": input});
    let request = world.post("/runs").header("Idempotency-Key", &key);
    let answer = request.json(&body).send().await?;
    anyhow::ensure!(answer.status() == 202, "a start was answered {}", answer.status());
    answer.bytes().await?;
    let begun = Instant::now();
    let run: String = world
        .one(
            "select run from run_keys where workflow = $1 and key = $2",
            vec![BenchSteps::NAME.into(), key.as_str().into()],
        )
        .await?
        .try_get("", "run")?;
    wait_for(world, &run, events as i64).await?;
    let ran = begun.elapsed();
    let before = world.resident();
    world.kill_workers().await?;
    world.start_workers().await?;
    let fresh = world.resident();
    let (resumed, resume) = resumption(world, &run, events as i64).await?;
    world.require_ended(BenchSteps::NAME, &key, 1).await?;
    let total = (u64::from(again) + 1) * ROUND;
    world.require_events(BenchSteps::NAME, &key, 1, total).await?;
    let mut told = vec![
        ("events".to_owned(), resume.events as f64),
        ("resume_ms".to_owned(), resume.millis),
        ("events_per_second".to_owned(), events as f64 / ran.as_secs_f64()),
    ];
    for (when, resident) in [("before", before), ("fresh", fresh), ("resumed", resumed)] {
        for (name, mebibytes) in resident.iter().filter(|(name, _)| **name != "simulator") {
            told.push((format!("resident_{when}_mib_{name}"), *mebibytes));
        }
    }
    Ok(Figures {
        resident: world.resident(),
        ..Figures::told("history", "resume", told)
    })
}

struct Resume {
    /// How many events there were.
    events: i64,
    /// From the claim to the next step's completion.
    millis: f64,
}

/// Waits until the run goes on. Returns the memory at that moment too.
async fn resumption(world: &World, run: &str, events: i64) -> anyhow::Result<(Usage, Resume)> {
    // A step changes nothing of the run's row, so that it still tells when the run was claimed.
    let sql = "select r.since, j.at, j.seq, r.state from runs r join journal j on j.run = r.id
        where r.id = $1 and j.seq > $2 and j.at >= r.since and j.kind = 'activity_completed' and r.epoch > 1
        order by j.seq limit 1";
    let resumed = async {
        loop {
            let rows = world.all(sql, vec![run.into(), events.into()]).await?;
            let Some(row) = rows.first() else {
                tokio::time::sleep(Duration::from_millis(5)).await;
                continue;
            };
            let at = |column| row.try_get::<chrono::DateTime<chrono::Utc>>("", column);
            let state: String = row.try_get("", "state")?;
            anyhow::ensure!(
                state == "running",
                "the run is {state} before it was seen to go on"
            );
            let resume = Resume {
                events: row.try_get::<i64>("", "seq")? - 1,
                millis: (at("at")? - at("since")?).as_seconds_f64() * 1e3,
            };
            return Ok((world.resident(), resume));
        }
    };
    tokio::time::timeout(PATIENCE, resumed)
        .await
        .context("nobody has gone on with the run after five minutes")?
}

async fn wait_for(world: &World, run: &str, seq: i64) -> anyhow::Result<()> {
    let reached = async {
        while last_event(world, run).await? < seq {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        anyhow::Ok(())
    };
    tokio::time::timeout(PATIENCE, reached)
        .await
        .with_context(|| format!("event {seq} is not there after five minutes"))?
}

/// The number of the run's last event, 0 if it has none.
async fn last_event(world: &World, run: &str) -> anyhow::Result<i64> {
    let sql = "select coalesce(max(seq), 0) as seq from journal where run = $1";
    Ok(world.one(sql, vec![run.into()]).await?.try_get("", "seq")?)
}
