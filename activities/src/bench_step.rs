//! A step that does nothing, by which the engine's own cost is measured.
use recado_engine::{Activity, Attempt, Effect, Fault, Retry};
use serde::{Deserialize, Serialize};

use crate::Environment;

/// A step without work. Its checkpoint is awaited like that of any call with an effect.
#[derive(Debug, Serialize, Deserialize)]
pub struct BenchStep {
    /// What the step stands for.
    pub step: String,
    /// The message that the run stands for.
    pub sid: String,
}

/// What a step without work returns: as much as a real one would.
#[derive(Debug, Serialize, Deserialize)]
pub struct BenchStepDone {
    /// What the step stands for.
    pub step: String,
    /// The message that the run stands for.
    pub sid: String,
    /// Always true.
    pub ok: bool,
    /// 120 characters.
    pub pad: String,
}

impl Activity<Environment> for BenchStep {
    const NAME: &'static str = "bench_step";
    const EFFECT: Effect = Effect::Idempotent;
    const RETRY: Retry = Retry::never();
    type Output = BenchStepDone;

    async fn run(&self, _: &Environment, _: &Attempt<'_>) -> Result<BenchStepDone, Fault> {
        Ok(BenchStepDone {
            step: self.step.clone(),
            sid: self.sid.clone(),
            ok: true,
            pad: "x".repeat(120),
        })
    }
}
