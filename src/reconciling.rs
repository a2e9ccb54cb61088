//! The schedules that compare each account's books with Twilio's, once a day.
use std::{collections::HashSet, time::Duration};

use anyhow::Context as _;
use recado_domain::OwnerId;
use recado_engine::{NewSchedule, Overlap, ScheduleError, Workflow};
use recado_store::accounts;
use recado_workflows::Reconcile;

use crate::app::App;

/// When: at night in America and before work in Europe, so that little waits for the answers.
const DAILY: &str = "40 6 * * *";

/// The accounts that were seen to have their schedules, so that each is looked at once.
#[derive(Default)]
pub(crate) struct Compared(HashSet<String>);

impl Compared {
    /// Gives every account of every owner its schedule, unless it has one. One that somebody changed or paused stays so;
    /// one that was deleted comes again when the next process starts.
    ///
    /// # Errors
    /// When the database does not answer.
    pub(crate) async fn schedule(&mut self, app: &App) -> anyhow::Result<()> {
        for (owner, account) in accounts::all(&app.environment.database).await? {
            let id = format!("reconcile.{account}.{owner}");
            if !self.0.contains(&id) {
                schedule(app, &id, owner, account).await?;
                self.0.insert(id);
            }
        }
        Ok(())
    }
}

async fn schedule(app: &App, id: &str, owner: OwnerId, account: String) -> anyhow::Result<()> {
    let call = Reconcile {
        owner: owner.clone(),
        account,
        grace_seconds: None,
    };
    let new = NewSchedule {
        id: id.to_owned(),
        workflow: Reconcile::NAME.to_owned(),
        input: serde_json::to_value(&call)?,
        owner: Some(owner.to_string()),
        cron: DAILY.to_owned(),
        time_zone: "UTC".to_owned(),
        overlap: Overlap::Skip,
        // A process that was down over night makes up for it.
        catch_up: Duration::from_hours(24),
    };
    match app.engine.schedules().create(new).await {
        Ok(_) | Err(ScheduleError::Taken(_)) => Ok(()),
        Err(ScheduleError::Invalid { field, told }) => {
            tracing::warn!(
                schedule = id,
                field,
                told,
                "an account is not compared with Twilio's books"
            );
            Ok(())
        }
        Err(error) => Err(error).context("the schedules cannot be set up"),
    }
}
