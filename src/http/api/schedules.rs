//! Runs that the clock starts, as JSON.
use std::time::Duration;

use chrono::{DateTime, Utc};
use poem::web::Data;
use poem_openapi::{
    ApiResponse, Object, OpenApi,
    param::{Header, Path, Query},
    payload::Json,
};
use recado_domain::OwnerId;
use recado_engine::{NewSchedule, Overlap, Schedule};
use recado_store::owners;
use serde_json::Value;

use super::{Operator, Tag, lists};
use crate::{app::App, http::Problem};

/// Schedules.
pub(super) struct Schedules;

/// A schedule, and where it stands.
#[derive(Object)]
pub(super) struct ScheduleItem {
    id: String,
    /// The durable name of the workflow that it starts.
    workflow: String,
    /// The workflow's input.
    input: Value,
    /// Whose runs they are.
    owner: Option<String>,
    /// When, as a cron expression.
    cron: String,
    /// The zone in which that is read.
    time_zone: String,
    /// skip, queue, allow, cancel or terminate: what becomes of a tick, or of that run, while an earlier run is at work.
    overlap: String,
    /// How old a tick may be when it is found, in seconds.
    catch_up_seconds: u64,
    /// Whether it starts nothing by itself.
    paused: bool,
    /// The next tick; none while it is paused.
    next_at: Option<DateTime<Utc>>,
    /// The tick, or the moment of the trigger, of `last_run`.
    last_at: Option<DateTime<Utc>>,
    /// The run that it started last.
    last_run: Option<String>,
    /// How many ticks were found too late.
    missed: i64,
    /// How many ticks started nothing because an earlier run was at work.
    skipped: i64,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl From<Schedule> for ScheduleItem {
    fn from(schedule: Schedule) -> Self {
        Self {
            id: schedule.id,
            workflow: schedule.workflow,
            input: schedule.input,
            owner: schedule.owner,
            cron: schedule.cron,
            time_zone: schedule.time_zone,
            overlap: schedule.overlap.to_string(),
            catch_up_seconds: schedule.catch_up.as_secs(),
            paused: schedule.paused,
            next_at: schedule.next_at,
            last_at: schedule.last_at,
            last_run: schedule.last_run.map(|run| run.to_string()),
            missed: schedule.missed,
            skipped: schedule.skipped,
            created_at: schedule.created_at,
            updated_at: schedule.updated_at,
        }
    }
}

/// A page of schedules, by name.
#[derive(Object)]
pub(super) struct SchedulePage {
    items: Vec<ScheduleItem>,
    /// The cursor of the next page, if there is one.
    next: Option<String>,
}

/// What a schedule is to be.
#[derive(Object)]
pub(super) struct ScheduleBody {
    /// The durable name of the workflow that it starts.
    workflow: String,
    /// The workflow's input, the same at every tick.
    input: Value,
    /// Five fields, minute to day of the week, or six with seconds in front.
    cron: String,
    /// The zone in which that is read, by its IANA name.
    #[oai(default = "utc")]
    time_zone: String,
    /// skip, queue, allow, cancel or terminate: what becomes of a tick, or of that run, while an earlier run is at work.
    #[oai(default = "skip")]
    overlap: String,
    /// How old a tick may be when it is found, in seconds: 10 to 2678400.
    #[oai(default = "a_minute")]
    catch_up_seconds: u64,
}

fn utc() -> String {
    "UTC".to_owned()
}

fn skip() -> String {
    Overlap::Skip.to_string()
}

fn a_minute() -> u64 {
    60
}

/// A schedule to be created.
#[derive(Object)]
pub(super) struct NamedScheduleBody {
    /// Its name: 1 to 100 of `A-Z a-z 0-9 . _ -`, unique over all owners.
    id: String,
    #[oai(flatten)]
    schedule: ScheduleBody,
}

/// Which ticks to start after the fact.
#[derive(Object)]
pub(super) struct Span {
    /// The first moment.
    from: DateTime<Utc>,
    /// The end, which is not part of it.
    to: DateTime<Utc>,
}

/// What a trigger came to.
#[derive(Object)]
pub(super) struct Triggered {
    /// The run that it started.
    run: String,
}

/// What a backfill came to.
#[derive(Object)]
pub(super) struct BackfilledItem {
    /// The runs that it started, in the order of their ticks.
    started: Vec<String>,
    /// How many ticks had been started before.
    already: u64,
}

/// A schedule that was created.
#[derive(ApiResponse)]
pub(super) enum Created {
    /// The schedule.
    #[oai(status = 201)]
    Created(Json<ScheduleItem>),
}

fn new(id: String, owner: &OwnerId, body: ScheduleBody) -> Result<NewSchedule, Problem> {
    let overlap = lists::word("overlap", Some(body.overlap), Overlap::parse)?;
    Ok(NewSchedule {
        id,
        workflow: body.workflow,
        input: body.input,
        owner: Some(owner.to_string()),
        cron: body.cron,
        time_zone: body.time_zone,
        overlap: overlap.unwrap_or_default(),
        catch_up: Duration::from_secs(body.catch_up_seconds),
    })
}

/// The owner for whom the operator acts, who must be there.
async fn known(app: &App, header: Option<String>) -> Result<OwnerId, Problem> {
    let owner = lists::owner(header);
    match owners::find(&app.environment.database, &owner).await? {
        Some(_) => Ok(owner),
        None => Err(Problem::not_found("owner")),
    }
}

#[OpenApi(tag = "Tag::Schedules")]
impl Schedules {
    /// Lists an owner's schedules, by name
    #[oai(path = "/schedules", method = "get")]
    async fn list(
        &self,
        Data(app): Data<&App>,
        _operator: Operator,
        /// The owner for whom to act; `default` if absent.
        #[oai(name = "Recado-Owner")]
        owner: Header<Option<String>>,
        limit: Query<Option<u64>>,
        cursor: Query<Option<String>>,
    ) -> poem::Result<Json<SchedulePage>> {
        let (owner, limit) = (lists::owner(owner.0), lists::limit(limit.0)?);
        let schedules = app.engine.schedules();
        let page = schedules
            .list(Some(owner.as_str()), limit, cursor.0.as_deref())
            .await
            .map_err(Problem::from)?;
        Ok(Json(SchedulePage {
            items: page.items.into_iter().map(ScheduleItem::from).collect(),
            next: page.next,
        }))
    }

    /// Creates a schedule
    #[oai(path = "/schedules", method = "post")]
    async fn create(
        &self,
        Data(app): Data<&App>,
        _operator: Operator,
        /// The owner for whom to act; `default` if absent.
        #[oai(name = "Recado-Owner")]
        owner: Header<Option<String>>,
        body: Json<NamedScheduleBody>,
    ) -> poem::Result<Created> {
        let owner = known(app, owner.0).await?;
        let new = new(body.0.id, &owner, body.0.schedule)?;
        let created = app.engine.schedules().create(new).await.map_err(Problem::from)?;
        Ok(Created::Created(Json(created.into())))
    }

    /// Shows a schedule
    #[oai(path = "/schedules/:id", method = "get")]
    async fn show(
        &self,
        Data(app): Data<&App>,
        _operator: Operator,
        /// The owner for whom to act; `default` if absent.
        #[oai(name = "Recado-Owner")]
        owner: Header<Option<String>>,
        id: Path<String>,
    ) -> poem::Result<Json<ScheduleItem>> {
        let owner = lists::owner(owner.0);
        let found = app.engine.schedules().get(&id.0, Some(owner.as_str())).await;
        Ok(Json(found.map_err(Problem::from)?.into()))
    }

    /// Creates a schedule, or changes the one of that name; a paused one stays paused
    #[oai(path = "/schedules/:id", method = "put")]
    async fn replace(
        &self,
        Data(app): Data<&App>,
        _operator: Operator,
        /// The owner for whom to act; `default` if absent.
        #[oai(name = "Recado-Owner")]
        owner: Header<Option<String>>,
        id: Path<String>,
        body: Json<ScheduleBody>,
    ) -> poem::Result<Json<ScheduleItem>> {
        let owner = known(app, owner.0).await?;
        let new = new(id.0, &owner, body.0)?;
        let written = app.engine.schedules().replace(new).await;
        Ok(Json(written.map_err(Problem::from)?.into()))
    }

    /// Forgets a schedule; its runs stay
    #[oai(path = "/schedules/:id", method = "delete")]
    async fn delete(
        &self,
        Data(app): Data<&App>,
        _operator: Operator,
        /// The owner for whom to act; `default` if absent.
        #[oai(name = "Recado-Owner")]
        owner: Header<Option<String>>,
        id: Path<String>,
    ) -> poem::Result<()> {
        let owner = lists::owner(owner.0);
        let deleted = app.engine.schedules().delete(&id.0, Some(owner.as_str())).await;
        Ok(deleted.map_err(Problem::from)?)
    }

    /// Makes a schedule start nothing by itself
    #[oai(path = "/schedules/:id/pause", method = "post")]
    async fn pause(
        &self,
        Data(app): Data<&App>,
        _operator: Operator,
        /// The owner for whom to act; `default` if absent.
        #[oai(name = "Recado-Owner")]
        owner: Header<Option<String>>,
        id: Path<String>,
    ) -> poem::Result<Json<ScheduleItem>> {
        let owner = lists::owner(owner.0);
        let paused = app.engine.schedules().pause(&id.0, Some(owner.as_str())).await;
        Ok(Json(paused.map_err(Problem::from)?.into()))
    }

    /// Lets a schedule go on with its next tick from now
    #[oai(path = "/schedules/:id/resume", method = "post")]
    async fn resume(
        &self,
        Data(app): Data<&App>,
        _operator: Operator,
        /// The owner for whom to act; `default` if absent.
        #[oai(name = "Recado-Owner")]
        owner: Header<Option<String>>,
        id: Path<String>,
    ) -> poem::Result<Json<ScheduleItem>> {
        let owner = lists::owner(owner.0);
        let resumed = app.engine.schedules().resume(&id.0, Some(owner.as_str())).await;
        Ok(Json(resumed.map_err(Problem::from)?.into()))
    }

    /// Starts a run of a schedule now
    #[oai(path = "/schedules/:id/trigger", method = "post")]
    async fn trigger(
        &self,
        Data(app): Data<&App>,
        _operator: Operator,
        /// The owner for whom to act; `default` if absent.
        #[oai(name = "Recado-Owner")]
        owner: Header<Option<String>>,
        id: Path<String>,
    ) -> poem::Result<Json<Triggered>> {
        let owner = lists::owner(owner.0);
        let started = app.engine.schedules().trigger(&id.0, Some(owner.as_str())).await;
        let run = started.map_err(Problem::from)?.run.to_string();
        Ok(Json(Triggered { run }))
    }

    /// Starts the runs of past ticks that were not started, a thousand at most
    #[oai(path = "/schedules/:id/backfill", method = "post")]
    async fn backfill(
        &self,
        Data(app): Data<&App>,
        _operator: Operator,
        /// The owner for whom to act; `default` if absent.
        #[oai(name = "Recado-Owner")]
        owner: Header<Option<String>>,
        id: Path<String>,
        span: Json<Span>,
    ) -> poem::Result<Json<BackfilledItem>> {
        let owner = lists::owner(owner.0);
        let schedules = app.engine.schedules();
        let done = schedules
            .backfill(&id.0, Some(owner.as_str()), span.0.from, span.0.to)
            .await
            .map_err(Problem::from)?;
        Ok(Json(BackfilledItem {
            started: done.started.iter().map(ToString::to_string).collect(),
            already: done.already,
        }))
    }
}
