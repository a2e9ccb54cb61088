//! What a person can do with a schedule, and the doing of it.
use askama::Template;
use chrono::{DateTime, NaiveDateTime, SubsecRound, TimeDelta, Utc};
use poem::{
    IntoResponse, Response, handler,
    http::StatusCode,
    web::{Data, Form, Path, Redirect},
};
use recado_engine::{Backfilled, Schedule, ScheduleError};
use serde::Deserialize;

use crate::{
    app::App,
    pages::{
        layout::{Here, Layout, html},
        problem::{no_database, not_found, problem_at},
    },
    t,
};

/// How a browser writes the fields of a time.
const FIELD: &str = "%Y-%m-%dT%H:%M";

#[derive(Deserialize)]
pub(crate) struct Given {
    act: String,
    #[serde(default)]
    from: String,
    #[serde(default)]
    to: String,
}

/// Asks which ticks, and afterwards tells what came of them.
#[derive(Template)]
#[template(path = "backfill.html")]
struct Backfill<'a> {
    layout: Layout,
    schedule: &'a Schedule,
    from: String,
    to: String,
    done: Option<Backfilled>,
}

/// The form of a backfill: the last day, unless something else is asked for.
#[handler]
pub(crate) async fn ask(Path(id): Path<String>, Data(app): Data<&App>) -> Response {
    let to = Utc::now().trunc_subsecs(0);
    match app.engine.schedules().get(&id, None).await {
        Ok(schedule) => backfill(app, &schedule, (to - TimeDelta::days(1), to), None),
        Err(error) => refused(error),
    }
}

/// Does what was asked for, and shows what came of it.
#[handler]
pub(crate) async fn act(Path(id): Path<String>, Form(given): Form<Given>, Data(app): Data<&App>) -> Response {
    let done = act_on(app, &id, &given).await;
    if done.is_ok() {
        tracing::info!(schedule = %id, act = %given.act, "acted on by a person");
    }
    done.unwrap_or_else(refused)
}

async fn act_on(app: &App, id: &str, given: &Given) -> Result<Response, ScheduleError> {
    let schedules = app.engine.schedules();
    match given.act.as_str() {
        "pause" => schedules.pause(id, None).await?,
        "resume" => schedules.resume(id, None).await?,
        "trigger" => {
            let run = schedules.trigger(id, None).await?.run;
            return Ok(Redirect::see_other(format!("/runs/{run}")).into_response());
        }
        "backfill" => {
            let (from, to) = (time("from", &given.from)?, time("to", &given.to)?);
            let schedule = schedules.get(id, None).await?;
            let done = schedules.backfill(id, None, from, to).await?;
            return Ok(backfill(app, &schedule, (from, to), Some(done)));
        }
        other => return Err(invalid("act", format!("there is no act `{other}`"))),
    };
    Ok(Redirect::see_other("/schedules").into_response())
}

fn time(field: &'static str, text: &str) -> Result<DateTime<Utc>, ScheduleError> {
    let read = NaiveDateTime::parse_from_str(text, FIELD);
    let read = read.map_err(|_| {
        invalid(
            field,
            "must be a day and a time, like 2026-01-31T10:00".to_owned(),
        )
    })?;
    Ok(read.and_utc())
}

fn invalid(field: &'static str, told: String) -> ScheduleError {
    ScheduleError::Invalid { field, told }
}

fn backfill(
    app: &App,
    schedule: &Schedule,
    (from, to): (DateTime<Utc>, DateTime<Utc>),
    done: Option<Backfilled>,
) -> Response {
    let page = Backfill {
        layout: Layout::new(
            format!("{} {}", t("Backfill"), schedule.id),
            Here::Schedules,
            app.config.dev,
        ),
        schedule,
        from: from.format(FIELD).to_string(),
        to: to.format(FIELD).to_string(),
        done,
    };
    html(StatusCode::OK, &page)
}

fn refused(error: ScheduleError) -> Response {
    match error {
        ScheduleError::NoSuchSchedule(_) => not_found(),
        ScheduleError::Storage(error) => no_database(&error),
        error @ (ScheduleError::Invalid { .. } | ScheduleError::Taken(_)) => problem_at(
            StatusCode::UNPROCESSABLE_ENTITY,
            t("That cannot be done so"),
            &error.to_string(),
            ("/schedules", t("To the schedules")),
        ),
    }
}
