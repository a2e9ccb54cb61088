//! The schedules that compare each account's books with Twilio's, once a day.
use std::time::Duration;

use anyhow::Context as _;
use recado_domain::OwnerId;
use recado_engine::{NewSchedule, Overlap, ScheduleError, Workflow};
use recado_store::{accounts, owners};
use recado_workflows::Reconcile;

use crate::app::App;

/// When: at night in America and before work in Europe, so that little waits for the answers.
const DAILY: &str = "40 6 * * *";

/// Gives every account of every owner its schedule, unless it has one. One that somebody changed or paused stays so.
///
/// # Errors
/// When the database does not answer.
pub(crate) async fn schedule(app: &App) -> anyhow::Result<()> {
    let database = &app.environment.database;
    for owner in owners::list(database).await? {
        let owner = OwnerId::from(owner.id);
        for account in accounts::sids_of(database, &owner).await? {
            let id = format!("reconcile.{account}.{owner}");
            let call = Reconcile {
                owner: owner.clone(),
                account,
                grace_seconds: None,
            };
            let new = NewSchedule {
                id: id.clone(),
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
                Ok(_) | Err(ScheduleError::Taken(_)) => {}
                Err(ScheduleError::Invalid { field, told }) => {
                    tracing::warn!(
                        schedule = id,
                        field,
                        told,
                        "an account is not compared with Twilio's books"
                    );
                }
                Err(error) => return Err(error).context("the schedules cannot be set up"),
            }
        }
    }
    Ok(())
}
