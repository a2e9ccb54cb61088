//! A conversation in which one run answers for all that wait behind it.
use std::time::Duration;

use recado_engine::{Context, Fault, Outcome, Patience, RunId, Workflow};
use serde::{Deserialize, Serialize};

use super::{Look, Send};

/// Waits for a quiet moment, looks at all that is there, as often as somebody comes by meanwhile, and sends it.
#[derive(Clone, Default, Serialize, Deserialize)]
pub(crate) struct Chat {
    pub(crate) what: String,
    #[serde(default)]
    pub(crate) quiet: Duration,
    #[serde(default)]
    pub(crate) at_most: Duration,
    /// How often its look may be superseded.
    #[serde(default)]
    pub(crate) again: u32,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Said {
    Sent(String),
    Merged { into: RunId },
}

impl Outcome for Said {
    fn word(&self) -> &'static str {
        match self {
            Self::Sent(_) => "sent",
            Self::Merged { .. } => "merged",
        }
    }
}

impl Workflow for Chat {
    const NAME: &'static str = "chat";
    type Output = Said;

    async fn run(self, ctx: &mut Context) -> Result<Said, Fault> {
        ctx.enter_lane_with(&self.what).await?;
        let patience = Patience {
            quiet: self.quiet,
            at_most: self.at_most,
        };
        let mut all = vec![self.what];
        for round in 0..=self.again {
            let into = ctx.run_id().clone();
            let others = ctx.gather::<String>(patience, &Said::Merged { into }).await?;
            all.extend(others.into_iter().map(|other| other.offer));
            let what = format!("look {}", all.join("+"));
            if round == self.again {
                ctx.run(Look { what }).await?;
            } else if ctx.run_unless_followed(Look { what }).await?.is_none() {
                continue;
            }
            break;
        }
        let what = all.join("+");
        ctx.run(Send { what: what.clone() }).await?;
        Ok(Said::Sent(what))
    }
}
