//! `/runs/batch`: one act on all runs that a line asks for, looked at before it is done.
use askama::Template;
use chrono::{SecondsFormat, Utc};
use poem::{
    Response, handler,
    http::StatusCode,
    web::{Data, Form, Query},
};
use recado_engine::{Act, Mode, StorageError, Touched};
use serde::Deserialize;

use super::{columns::Columns, row::Row};
use crate::{
    app::App,
    line::Line,
    pages::{
        language::tell,
        layout::{Here, Layout, html},
        problem::{no_database, problem_at},
        runs::runs_like,
    },
    t,
};

/// The most runs that one act touches from here, the newest.
const MOST: usize = 1000;
/// How many of them are shown.
const SHOWN: usize = 20;

#[derive(Deserialize)]
pub(crate) struct Given {
    act: String,
    #[serde(default)]
    q: String,
    /// When the runs were looked at: what was started since then is not touched.
    #[serde(default)]
    before: String,
}

/// An act that can be done with many runs.
#[derive(Clone)]
struct Deed {
    act: Act,
    title: &'static str,
    told: &'static str,
    /// The same, of what was done.
    done: &'static str,
    danger: bool,
}

/// What is asked before anything is done.
#[derive(Template)]
#[template(path = "batch.html")]
struct Preview<'a> {
    layout: Layout,
    deed: &'a Deed,
    line: String,
    back: String,
    before: String,
    /// How many runs would be touched, and how many are found that the act does not fit.
    fit: usize,
    unfit: usize,
    is_cut: bool,
    rows: Vec<Row>,
    columns: Columns,
}

/// What was done.
#[derive(Template)]
#[template(path = "batch_done.html")]
struct Done<'a> {
    layout: Layout,
    deed: &'a Deed,
    line: String,
    back: String,
    touched: usize,
    refused: Vec<(String, String)>,
    unshown: usize,
}

impl Preview<'_> {
    /// What would be done with how many.
    fn asked(&self) -> String {
        let deed = ("act", self.deed.title.to_owned());
        match self.fit {
            1 => tell("{act} 1 run", &[deed]),
            n => tell("{act} {n} runs", &[deed, ("n", n.to_string())]),
        }
    }
}

impl Done<'_> {
    /// What was done with how many.
    fn told(&self) -> String {
        let done = ("done", self.deed.done.to_owned());
        match self.touched {
            1 => tell("1 run {done}", &[done]),
            n => tell("{n} runs {done}", &[("n", n.to_string()), done]),
        }
    }
}

/// Tells how many runs an act would touch, and shows the first; changes nothing.
#[handler]
pub(crate) async fn preview(Query(given): Query<Given>, Data(app): Data<&App>) -> Response {
    let (deed, line) = match read(&given) {
        Ok(read) => read,
        Err(told) => return unfit(&told),
    };
    let before = Utc::now();
    let touched = match batch(app, &deed, &line, Mode::DryRun).await {
        Ok(Ok(touched)) => touched,
        Ok(Err(told)) => return unfit(&told),
        Err(error) => return no_database(&error),
    };
    let fitting = || touched.iter().rev().filter(|one| one.done.is_ok());
    let page = Preview {
        layout: Layout::new(deed.title, Here::Runs, app.config.dev),
        deed: &deed,
        line: line.to_string(),
        back: runs_like(&line),
        before: before.to_rfc3339_opts(SecondsFormat::Micros, true),
        fit: fitting().count(),
        unfit: touched.len() - fitting().count(),
        is_cut: touched.len() >= MOST,
        columns: Columns::default(),
        rows: fitting().take(SHOWN).map(|one| Row::of(&one.run)).collect(),
    };
    html(StatusCode::OK, &page)
}

/// Does it, and tells what became of it.
#[handler]
pub(crate) async fn act(Form(given): Form<Given>, Data(app): Data<&App>) -> Response {
    let (deed, line) = match read(&given) {
        Ok(read) => read,
        Err(told) => return unfit(&told),
    };
    let seen = match line.get("before") {
        "" => line.with("before", &given.before),
        _ => line.clone(),
    };
    let touched = match batch(app, &deed, &seen, Mode::Act).await {
        Ok(Ok(touched)) => touched,
        Ok(Err(told)) => return unfit(&told),
        Err(error) => return no_database(&error),
    };
    tracing::info!(
        act = deed.act.as_str(),
        runs = touched.len(),
        "a batch was acted on by a person"
    );
    let refused: Vec<_> = touched
        .iter()
        .filter_map(|one| Some((one.run.id.to_string(), one.done.as_ref().err()?.to_string())))
        .collect();
    let page = Done {
        layout: Layout::new(deed.title, Here::Runs, app.config.dev),
        back: runs_like(&line),
        deed: &deed,
        line: line.to_string(),
        touched: touched.len() - refused.len(),
        unshown: refused.len().saturating_sub(SHOWN),
        refused: refused.into_iter().take(SHOWN).collect(),
    };
    html(StatusCode::OK, &page)
}

/// # Errors
/// The inner one says what is wrong with the line.
async fn batch(
    app: &App,
    deed: &Deed,
    line: &Line,
    mode: Mode,
) -> Result<Result<Vec<Touched>, String>, StorageError> {
    let filter = match line.filter() {
        Ok(filter) => filter,
        Err(told) => return Ok(Err(told)),
    };
    let touched = app
        .engine
        .storage()
        .batch(&filter, &deed.act, mode, MOST as u64)
        .await?;
    Ok(Ok(touched))
}

fn read(given: &Given) -> Result<(Deed, Line), String> {
    let line = Line::parse(&given.q)?;
    if line.is_empty() {
        return Err(t("An act on many runs needs words that say which. Filter the runs first.").to_owned());
    }
    Ok((deed(&given.act)?, line))
}

fn deed(word: &str) -> Result<Deed, String> {
    let (deed, title, told, done, danger) = match word {
        "retry" => (
            Act::Retry,
            t("Retry"),
            t(
                "Each goes on with the step that failed, which gets all its attempts anew. What it has done is not done again.",
            ),
            t("go on"),
            false,
        ),
        "resume" => (
            Act::Resume,
            t("Resume"),
            t("Each goes on where it stands."),
            t("go on"),
            false,
        ),
        "cancel" => (
            Act::Cancel,
            t("Cancel"),
            t(
                "Each workflow learns of it at its next step, and may make good what it did. What was sent stays sent.",
            ),
            t("were asked to end"),
            true,
        ),
        "terminate" => (
            Act::Terminate,
            t("Terminate"),
            t(
                "Each ends at once, without its workflow's knowledge: nothing is made good. Cancel asks it first.",
            ),
            t("have ended"),
            true,
        ),
        other => {
            return Err(tell(
                "“{act}” cannot be done with many runs; retry, resume, cancel and terminate can.",
                &[("act", other.to_owned())],
            ));
        }
    };
    Ok(Deed {
        act: deed,
        title,
        told,
        done,
        danger,
    })
}

fn unfit(told: &str) -> Response {
    problem_at(
        StatusCode::UNPROCESSABLE_ENTITY,
        t("That cannot be done so"),
        told,
        ("/", t("To the runs")),
    )
}
