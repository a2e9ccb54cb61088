//! How soon a worker is at it: from the start of a run to its first step, and from the moment at which a timer is due to
//! its firing. By the times in the journal.
use recado_engine::Workflow;
use recado_workflows::BenchSteps;
use serde_json::json;

use super::{figures::Figures, load::Load, steps, world::World};

/// Longer than the engine keeps a waiting run in memory, so that the timer is a row.
const SLEEP_MS: u64 = 2500;

pub(super) async fn measure(world: &mut World, load: &Load) -> anyhow::Result<Vec<Figures>> {
    Ok(vec![first_steps(world, load).await?, timers(world, load).await?])
}

/// From the start of a run to its first step.
pub(super) async fn first_steps(world: &World, load: &Load) -> anyhow::Result<Figures> {
    let series = format!("{}-", ulid::Ulid::generate());
    let before = world.reading().await?;
    let (_, took) = load
        .run(|number, begun| steps::one(world, format!("{series}{number}"), begun))
        .await?;
    let waited = world.until_first_step(BenchSteps::NAME, &series).await?;
    anyhow::ensure!(
        waited.len() as u64 == load.count,
        "{} of {} runs have a first step",
        waited.len(),
        load.count
    );
    let figures = world
        .figures("wakeup", load, before, took, vec![("", waited)])
        .await?;
    Ok(figures.of_part("wakeup", "first step"))
}

/// From the moment at which a timer is due to its firing.
async fn timers(world: &World, load: &Load) -> anyhow::Result<Figures> {
    let series = format!("{}-", ulid::Ulid::generate());
    let before = world.reading().await?;
    let began = std::time::Instant::now();
    load.run(|number, _| sleep(world, format!("{series}{number}")))
        .await?;
    world.require_ended(BenchSteps::NAME, &series, load.count).await?;
    let took = began.elapsed();
    let fired = world.until_fired(BenchSteps::NAME, &series).await?;
    let late = fired.into_iter().map(|after| after - SLEEP_MS as f64).collect();
    let figures = world
        .figures("wakeup", load, before, took, vec![("", late)])
        .await?;
    Ok(figures.of_part("wakeup", "timer late"))
}

async fn sleep(world: &World, key: String) -> anyhow::Result<()> {
    let input = json!({"MessageSid": key, "sleep_ms": SLEEP_MS});
    let body = json!({"workflow": BenchSteps::NAME, "input": input});
    let request = world.post("/runs").header("Idempotency-Key", key);
    let answer = request.json(&body).send().await?;
    let status = answer.status();
    // Read to its end, so that the connection is used again.
    answer.bytes().await?;
    anyhow::ensure!(status == 202, "a start was answered {status}");
    Ok(())
}
