//! Six steps without work: what the engine itself costs.
use std::time::Instant;

use anyhow::Context as _;
use recado_engine::Workflow;
use recado_workflows::BenchSteps;
use serde_json::{Value, json};

use super::{
    figures::Figures,
    load::{Load, millis},
    world::World,
};

/// Events that a run of six steps leaves, each with the result of its step.
const EVENTS: u64 = 6;

pub(super) async fn measure(world: &mut World, load: &Load) -> anyhow::Result<Figures> {
    let series = format!("{}-", ulid::Ulid::generate());
    let before = world.reading().await?;
    let (times, took) = load
        .run(|number, begun| one(world, format!("{series}{number}"), begun))
        .await?;
    let figures = world
        .figures("steps", load, before, took, vec![("", times)])
        .await?;
    world
        .require_events(BenchSteps::NAME, &series, load.count, EVENTS)
        .await?;
    Ok(figures)
}

/// Starts a run by key and waits for its result. Returns how long that took, in milliseconds.
///
/// # Errors
/// When it does not end well within a minute.
pub(super) async fn one(world: &World, key: String, begun: Instant) -> anyhow::Result<f64> {
    let body = json!({"workflow": BenchSteps::NAME, "input": {"MessageSid": key}});
    let request = world
        .post("/runs")
        .header("Idempotency-Key", &key)
        .header("Prefer", "wait=60")
        .json(&body);
    let answer = request.send().await.context("a start was not answered")?;
    let status = answer.status();
    let ended: Value = answer.json().await?;
    anyhow::ensure!(
        status == 200 && ended["state"] == "completed",
        "a start was answered {status}: {ended}"
    );
    Ok(millis(begun))
}
