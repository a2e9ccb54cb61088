//! Schedules, as their callers use them: every value is checked here, before it is written.
use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::{
    Backfilled, Engine, Fired, NewSchedule, Page, Schedule, ScheduleError, Started, StorageError,
    storage::now, ticks::Ticks,
};

/// The most ticks that one backfill takes.
const BACKFILL: usize = 1000;
/// The most batches of due schedules that one look takes; what is left is due at once.
const BATCHES: usize = 32;
/// The least and the most of `catch_up`: ticks are looked for every second or so, and the process may be busy.
const CATCH_UP: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(31 * 24 * 3600));

/// The schedules of an engine. Where an `owner` is given, those of others are not there.
#[derive(Clone, Copy, Debug)]
pub struct Schedules<'a> {
    engine: &'a Engine,
}

impl Engine {
    /// The schedules.
    pub fn schedules(&self) -> Schedules<'_> {
        Schedules { engine: self }
    }

    /// Starts the runs of ticks that are due, each tick once over all processes. Workers call it.
    ///
    /// # Errors
    /// When the database does not answer; what was started stays started.
    pub async fn fire_due_schedules(&self) -> Result<Fired, StorageError> {
        self.fire_schedules_due_at(now()).await
    }

    /// The same, as if it were `at` by the clock.
    ///
    /// # Errors
    /// As [`Engine::fire_due_schedules`].
    pub async fn fire_schedules_due_at(&self, at: DateTime<Utc>) -> Result<Fired, StorageError> {
        let shared = &self.shared;
        let mut fired = Fired::default();
        for _ in 0..BATCHES {
            fired.next = shared.storage.next_tick().await?;
            if fired.next.is_none_or(|next| next > at) {
                break;
            }
            let batch = shared
                .storage
                .fire_due_schedules(at, &shared.settings.build)
                .await?;
            if batch.schedules == 0 {
                // Somebody else has them in hand.
                break;
            }
            if batch.missed > 0 {
                tracing::warn!(
                    batch.missed,
                    "ticks of schedules were found too late to be caught up"
                );
            }
            for (why, ticks) in [("late", batch.missed), ("overlap", batch.skipped)] {
                if ticks > 0 {
                    metrics::counter!("recado_schedule_ticks_passed_total", "why" => why).increment(ticks);
                }
            }
            fired.started += batch.started.len() as u64;
            for workflow in batch.started {
                count_start(workflow);
            }
        }
        Ok(fired)
    }
}

impl Schedules<'_> {
    /// Creates a schedule; its first tick is the next one from now.
    ///
    /// # Errors
    /// [`ScheduleError::Invalid`] names the field that is wrong; [`ScheduleError::Taken`] if the name is in use.
    pub async fn create(&self, new: NewSchedule) -> Result<Schedule, ScheduleError> {
        let first = self.check(&new)?;
        self.engine.shared.storage.create_schedule(new, Some(first)).await
    }

    /// Creates a schedule, or changes the one of that name. A paused one stays paused.
    ///
    /// # Errors
    /// As [`Schedules::create`]; the name is taken if the schedule is another owner's.
    pub async fn replace(&self, new: NewSchedule) -> Result<Schedule, ScheduleError> {
        let first = self.check(&new)?;
        self.engine
            .shared
            .storage
            .replace_schedule(new, Some(first))
            .await
    }

    /// Schedules by name, `limit` at most, those after `cursor`.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn list(
        &self,
        owner: Option<&str>,
        limit: u64,
        cursor: Option<&str>,
    ) -> Result<Page<Schedule>, StorageError> {
        self.engine.shared.storage.schedules(owner, limit, cursor).await
    }

    /// One schedule.
    ///
    /// # Errors
    /// [`ScheduleError::NoSuchSchedule`], or when the database does not answer.
    pub async fn get(&self, id: &str, owner: Option<&str>) -> Result<Schedule, ScheduleError> {
        self.engine.shared.storage.schedule(id, owner).await
    }

    /// Makes it start nothing by itself. Ticks that pass meanwhile are neither caught up nor counted.
    ///
    /// # Errors
    /// As [`Schedules::get`].
    pub async fn pause(&self, id: &str, owner: Option<&str>) -> Result<Schedule, ScheduleError> {
        self.engine.shared.storage.pause_schedule(id, owner).await
    }

    /// Lets it go on, with its next tick from now.
    ///
    /// # Errors
    /// As [`Schedules::get`].
    pub async fn resume(&self, id: &str, owner: Option<&str>) -> Result<Schedule, ScheduleError> {
        self.engine.shared.storage.resume_schedule(id, owner).await
    }

    /// Starts a run now, paused or not, and whatever is at work under [`Overlap::Skip`](crate::Overlap::Skip); under
    /// `Queue` it takes its turn.
    ///
    /// # Errors
    /// As [`Schedules::get`].
    pub async fn trigger(&self, id: &str, owner: Option<&str>) -> Result<Started, ScheduleError> {
        let shared = &self.engine.shared;
        let build = &shared.settings.build;
        let (schedule, started) = shared.storage.trigger_schedule(id, owner, build).await?;
        count_start(schedule.workflow);
        Ok(started)
    }

    /// Starts the runs of the ticks of `from <= tick < to` that were not started, all at once, as [`Schedules::trigger`]
    /// does; under `Queue` they take their turns. A tick is never started twice.
    ///
    /// # Errors
    /// [`ScheduleError::Invalid`] when `to` is not after `from` or in the future, or there are more than a thousand
    /// ticks between; else as [`Schedules::get`].
    pub async fn backfill(
        &self,
        id: &str,
        owner: Option<&str>,
        from: DateTime<Utc>,
        to: DateTime<Utc>,
    ) -> Result<Backfilled, ScheduleError> {
        let shared = &self.engine.shared;
        let schedule = shared.storage.schedule(id, owner).await?;
        if to <= from {
            return Err(ScheduleError::invalid("to", "it must be after `from`"));
        }
        if to > now() {
            return Err(ScheduleError::invalid("to", "it must not be in the future"));
        }
        let ticks = Ticks::parse(&schedule.cron, &schedule.time_zone)?.between(from, to, BACKFILL + 1);
        if ticks.len() > BACKFILL {
            let told = format!("there are more than {BACKFILL} ticks since `from`; take them in parts");
            return Err(ScheduleError::invalid("to", told));
        }
        let workflow = schedule.workflow.clone();
        let done = shared
            .storage
            .backfill_schedule(schedule, ticks, &shared.settings.build)
            .await?;
        for _ in &done.started {
            count_start(workflow.clone());
        }
        Ok(done)
    }

    /// Forgets it. Its runs stay, and a tick that was started stays started, whoever takes the name next.
    ///
    /// # Errors
    /// As [`Schedules::get`].
    pub async fn delete(&self, id: &str, owner: Option<&str>) -> Result<(), ScheduleError> {
        self.engine.shared.storage.delete_schedule(id, owner).await
    }

    /// Checks every field. Returns the first tick.
    fn check(&self, new: &NewSchedule) -> Result<DateTime<Utc>, ScheduleError> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        if !(1..=100).contains(&new.id.len()) || !new.id.chars().all(allowed) {
            let told = "it must be 1 to 100 letters, digits, dots, hyphens or underscores";
            return Err(ScheduleError::invalid("id", told));
        }
        if !(CATCH_UP.0..=CATCH_UP.1).contains(&new.catch_up) {
            let told = "it must be from 10 seconds to 31 days";
            return Err(ScheduleError::invalid("catch_up", told));
        }
        let registry = &self.engine.shared.registry;
        if !registry.knows(&new.workflow) {
            let told = format!("this build has no workflow `{}`", new.workflow);
            return Err(ScheduleError::invalid("workflow", told));
        }
        if let Err(told) = registry.accepts(&new.workflow, &new.input) {
            return Err(ScheduleError::invalid("input", told));
        }
        let ticks = Ticks::parse(&new.cron, &new.time_zone)?;
        let never = || ScheduleError::invalid("cron", format!("`{}` never comes", new.cron));
        ticks.after(now()).ok_or_else(never)
    }
}

fn count_start(workflow: String) {
    metrics::counter!("recado_runs_started_total", "workflow" => workflow).increment(1);
}
