//! Steps without work, by which the engine's own cost is measured.
use std::time::Duration;

use recado_activities::{BenchStep, BenchStepDone};
use recado_engine::{Context, Fault, Outcome, Workflow};
use serde::{Deserialize, Serialize};

/// What the steps stand for.
const STEPS: [&str; 6] = [
    "resolve_owner",
    "check_billing",
    "persist",
    "transcribe",
    "route_agent",
    "reply",
];

/// A run whose six steps do nothing; each waits until the one before is on the disk. More of them make a long history,
/// a sleep a timer.
#[derive(Debug, Serialize, Deserialize)]
pub struct BenchSteps {
    /// The message that the run stands for.
    #[serde(rename = "MessageSid")]
    pub sid: String,
    /// How often it goes through the six beyond the first time.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub again: u32,
    /// How long it sleeps before, in milliseconds.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub sleep_ms: u32,
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// The result of the last step.
#[derive(Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BenchStepsDone(Option<BenchStepDone>);

impl Outcome for BenchStepsDone {
    fn word(&self) -> &'static str {
        "measured"
    }
}

impl Workflow for BenchSteps {
    const NAME: &'static str = "bench_steps";
    type Output = BenchStepsDone;

    async fn run(self, ctx: &mut Context) -> Result<BenchStepsDone, Fault> {
        if self.sleep_ms > 0 {
            ctx.sleep(Duration::from_millis(self.sleep_ms.into())).await?;
        }
        let mut done = None;
        for _ in 0..=self.again {
            for step in STEPS {
                let (step, sid) = (step.to_owned(), self.sid.clone());
                done = Some(ctx.run(BenchStep { step, sid }).await?);
            }
        }
        Ok(BenchStepsDone(done))
    }
}
