//! From the start of a run to its first step, by the times in the journal.
use recado_engine::Workflow;
use recado_workflows::BenchSteps;
use serde_json::json;

use super::{figures::Figures, load::Load, world::World};

pub(super) async fn measure(world: &mut World, load: &Load) -> anyhow::Result<Figures> {
    let series = ulid::Ulid::generate();
    let before = world.reading().await?;
    let (_, took) = load
        .run(async |number, _| {
            let key = format!("{series}-{number}");
            let body = json!({"workflow": BenchSteps::NAME, "input": {"MessageSid": key}});
            let request = world
                .post("/runs")
                .header("Idempotency-Key", key)
                .header("Prefer", "wait=60");
            let answer = request.json(&body).send().await?;
            anyhow::ensure!(answer.status() == 200, "a start was answered {}", answer.status());
            Ok(())
        })
        .await?;
    let waited = world
        .until_first_step(BenchSteps::NAME, &format!("{series}-"))
        .await?;
    anyhow::ensure!(
        waited.len() as u64 == load.count,
        "{} of {} runs have a first step",
        waited.len(),
        load.count
    );
    world
        .figures("wakeup", load, before, took, vec![("", waited)])
        .await
}
