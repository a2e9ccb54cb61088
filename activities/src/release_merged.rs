//! Messages that are answered together with an earlier one use no answer of their own.
use recado_domain::OwnerId;
use recado_engine::{Activity, Attempt, Effect, Fault, RunId};
use recado_store::billing;
use serde::{Deserialize, Serialize};

use crate::{Environment, check_billing::AGENT_ANSWERS, faults::of_store};

/// Gives back the answers that merged runs reserved.
#[derive(Debug, Serialize, Deserialize)]
pub struct ReleaseMerged {
    /// Whose plan.
    pub owner: OwnerId,
    /// The runs, which have ended.
    pub runs: Vec<RunId>,
}

impl Activity<Environment> for ReleaseMerged {
    const NAME: &'static str = "release_merged";
    const EFFECT: Effect = Effect::Database;
    type Output = ();

    async fn run(&self, _: &Environment, attempt: &Attempt<'_>) -> Result<(), Fault> {
        let (tx, now) = (attempt.transaction()?, attempt.now());
        for run in &self.runs {
            billing::release(tx, &self.owner, run.as_str(), AGENT_ANSWERS, now)
                .await
                .map_err(of_store)?;
        }
        Ok(())
    }
}
