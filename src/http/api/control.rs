//! What can be done with runs, as JSON: with one, or with all that a filter finds.
use chrono::{DateTime, Utc};
use poem::web::Data;
use poem_openapi::{
    Object, OpenApi,
    param::{Header, Path},
    payload::Json,
};
use recado_engine::{Act, Decision, Filter, Mode, Order, Run, RunId, RunState};
use serde_json::Value;

use super::{Operator, Tag, lists, runs::RunItem};
use crate::{app::App, http::Problem};

/// Acts on runs.
pub(super) struct Control;

/// The most runs that one batch touches.
const MOST: u64 = 10_000;

/// A signal to be sent.
#[derive(Object)]
pub(super) struct SignalBody {
    /// What the signal is called.
    #[oai(validator(min_length = 1, max_length = 200))]
    name: String,
    /// What it says.
    data: Option<Value>,
    /// A second signal with this key is ignored.
    #[oai(validator(min_length = 1, max_length = 500))]
    key: Option<String>,
}

/// The result that a step is to have.
#[derive(Object)]
pub(super) struct SkipBody {
    /// What the activity is to have returned.
    result: Value,
}

/// Where a new run begins.
#[derive(Object)]
pub(super) struct ForkBody {
    /// The number of the last event that it shares; 0 for none.
    from: i64,
    /// Its input, if it is to have another.
    input: Option<Value>,
}

/// What became of a call whose fate nobody can tell.
#[derive(Object)]
pub(super) struct DecideBody {
    /// happened, resend or give_up.
    decision: String,
    /// What the call returned, if it happened.
    result: Option<Value>,
}

/// What the acts need that need more than their name.
#[derive(Object, Default)]
#[oai(default)]
pub(super) struct With {
    /// signal: what it is called.
    name: Option<String>,
    /// signal: what it says.
    data: Option<Value>,
    /// signal: a second one with this key is ignored.
    key: Option<String>,
    /// skip: what the activity is to have returned. decide: what the call returned, if it happened.
    result: Option<Value>,
    /// decide: happened, resend or give_up.
    decision: Option<String>,
    /// fork: the number of the last event that the new run shares; 0 for none.
    from: Option<i64>,
    /// fork: the new run's input, if it is to have another.
    input: Option<Value>,
}

/// Which runs; at least one field is needed.
#[derive(Object, Default)]
#[oai(default)]
pub(super) struct BatchFilter {
    /// One line that says which: `state:parked error:timeout: since:2h text`. The other fields narrow it.
    q: Option<String>,
    workflow: Option<String>,
    state: Option<String>,
    outcome: Option<String>,
    owner: Option<String>,
    /// The error begins so.
    error: Option<String>,
    /// What it waits for begins so.
    waiting_for: Option<String>,
    /// `name=value`.
    tag: Option<String>,
    /// Started at this time or later.
    created_from: Option<DateTime<Utc>>,
    /// Started before this time.
    created_before: Option<DateTime<Utc>>,
}

/// An act on all runs that a filter finds.
#[derive(Object)]
pub(super) struct BatchBody {
    /// cancel, terminate, pause, resume, retry, skip, fork, signal or decide.
    act: String,
    /// Which runs. Those that have ended only where it names a state, or the act is fork.
    filter: BatchFilter,
    /// What the act needs more.
    #[oai(default)]
    with: With,
    /// Only tells what would be touched.
    #[oai(default)]
    dry_run: bool,
    /// The most runs to touch, the newest; 1000 if absent, 10000 at most.
    limit: Option<u64>,
}

/// What became of one run of a batch.
#[derive(Object)]
pub(super) struct BatchItem {
    /// The run.
    run: String,
    /// Whether the act was done, or would be.
    ok: bool,
    /// The run that goes on: after a fork a new one.
    goes_on_as: Option<String>,
    /// Why it was refused.
    error: Option<String>,
}

/// What became of a batch, oldest run first.
#[derive(Object)]
pub(super) struct BatchResult {
    items: Vec<BatchItem>,
    /// Always null: the list is whole.
    next: Option<String>,
    /// Whether nothing was touched because nothing was to be.
    dry_run: bool,
}

/// Named state that a run publishes.
#[derive(Object)]
pub(super) struct ValueItem {
    /// Its name.
    name: String,
    /// What it is.
    data: Value,
    /// Since when.
    at: DateTime<Utc>,
}

/// All that a run publishes.
#[derive(Object)]
pub(super) struct ValuePage {
    items: Vec<ValueItem>,
    /// Always null: the list is whole.
    next: Option<String>,
}

/// The owner for whom to act: runs of others are not there. All runs if absent.
type Owner = Header<Option<String>>;

#[OpenApi(tag = "Tag::Runs")]
impl Control {
    /// Asks a run to end
    ///
    /// Its workflow learns of it at its next step, and may make good what it did. A parked or paused run goes on for it.
    #[oai(path = "/runs/:id/cancel", method = "post")]
    async fn cancel(
        &self,
        Data(app): Data<&App>,
        _operator: Operator,
        id: Path<String>,
        #[oai(name = "Recado-Owner")] owner: Owner,
    ) -> poem::Result<Json<RunItem>> {
        act(app, id.0, owner, Act::Cancel).await
    }

    /// Ends a run at once
    #[oai(path = "/runs/:id/terminate", method = "post")]
    async fn terminate(
        &self,
        Data(app): Data<&App>,
        _operator: Operator,
        id: Path<String>,
        #[oai(name = "Recado-Owner")] owner: Owner,
    ) -> poem::Result<Json<RunItem>> {
        act(app, id.0, owner, Act::Terminate).await
    }

    /// Keeps a run from going on until it is resumed
    #[oai(path = "/runs/:id/pause", method = "post")]
    async fn pause(
        &self,
        Data(app): Data<&App>,
        _operator: Operator,
        id: Path<String>,
        #[oai(name = "Recado-Owner")] owner: Owner,
    ) -> poem::Result<Json<RunItem>> {
        act(app, id.0, owner, Act::Pause).await
    }

    /// Lets a paused run go on
    #[oai(path = "/runs/:id/resume", method = "post")]
    async fn resume(
        &self,
        Data(app): Data<&App>,
        _operator: Operator,
        id: Path<String>,
        #[oai(name = "Recado-Owner")] owner: Owner,
    ) -> poem::Result<Json<RunItem>> {
        act(app, id.0, owner, Act::Resume).await
    }

    /// Gives a parked run another try at what failed
    #[oai(path = "/runs/:id/retry", method = "post")]
    async fn retry(
        &self,
        Data(app): Data<&App>,
        _operator: Operator,
        id: Path<String>,
        #[oai(name = "Recado-Owner")] owner: Owner,
    ) -> poem::Result<Json<RunItem>> {
        act(app, id.0, owner, Act::Retry).await
    }

    /// Gives the step at which a run was parked its result
    #[oai(path = "/runs/:id/skip", method = "post")]
    async fn skip(
        &self,
        Data(app): Data<&App>,
        _operator: Operator,
        id: Path<String>,
        #[oai(name = "Recado-Owner")] owner: Owner,
        body: Json<SkipBody>,
    ) -> poem::Result<Json<RunItem>> {
        let result = body.0.result;
        act(app, id.0, owner, Act::Skip { result }).await
    }

    /// Starts a new run from the beginning of this one, which is terminated if it has not ended
    ///
    /// The answer is the new run.
    #[oai(path = "/runs/:id/fork", method = "post")]
    async fn fork(
        &self,
        Data(app): Data<&App>,
        _operator: Operator,
        id: Path<String>,
        #[oai(name = "Recado-Owner")] owner: Owner,
        body: Json<ForkBody>,
    ) -> poem::Result<Json<RunItem>> {
        let ForkBody { from, input } = body.0;
        act(app, id.0, owner, Act::Fork { from, input }).await
    }

    /// Sends a run a signal
    #[oai(path = "/runs/:id/signal", method = "post")]
    async fn signal(
        &self,
        Data(app): Data<&App>,
        _operator: Operator,
        id: Path<String>,
        #[oai(name = "Recado-Owner")] owner: Owner,
        body: Json<SignalBody>,
    ) -> poem::Result<Json<RunItem>> {
        let SignalBody { name, data, key } = body.0;
        let data = data.unwrap_or_default();
        act(app, id.0, owner, Act::Signal { name, data, key }).await
    }

    /// Says what became of a call whose fate nobody can tell
    #[oai(path = "/runs/:id/decide", method = "post")]
    async fn decide(
        &self,
        Data(app): Data<&App>,
        _operator: Operator,
        id: Path<String>,
        #[oai(name = "Recado-Owner")] owner: Owner,
        body: Json<DecideBody>,
    ) -> poem::Result<Json<RunItem>> {
        let decision = decision(&body.0.decision, body.0.result)?;
        let run = find(app, id.0, &owner).await?;
        app.engine
            .decide(&run.id, decision)
            .await
            .map_err(Problem::from)?;
        tracing::info!(run.id = %run.id, act = "decide", "acted on by a person");
        Ok(Json(find(app, run.id.to_string(), &owner).await?.into()))
    }

    /// Does one thing with all runs that a filter finds
    ///
    /// Each run is changed by itself: what is refused of one keeps nothing from the others.
    #[oai(path = "/runs/batch", method = "post")]
    async fn batch(
        &self,
        Data(app): Data<&App>,
        _operator: Operator,
        #[oai(name = "Recado-Owner")] owner: Owner,
        body: Json<BatchBody>,
    ) -> poem::Result<Json<BatchResult>> {
        let body = body.0;
        let filter = filter(body.filter, owner)?;
        let act = named(&body.act, body.with)?;
        let limit = body.limit.unwrap_or(1000);
        if !(1..=MOST).contains(&limit) {
            let told = format!("limit must be from 1 to {MOST}, not {limit}");
            return Err(Problem::unprocessable("limit", told).into());
        }
        let mode = if body.dry_run { Mode::DryRun } else { Mode::Act };
        let storage = app.engine.storage();
        let touched = storage
            .batch(&filter, &act, mode, limit)
            .await
            .map_err(Problem::from)?;
        if mode == Mode::Act {
            tracing::info!(act = act.as_str(), runs = touched.len(), "a batch was acted on");
        }
        let items = touched.into_iter().map(|one| BatchItem {
            run: one.run.id.to_string(),
            ok: one.done.is_ok(),
            error: one.done.as_ref().err().map(ToString::to_string),
            goes_on_as: one
                .done
                .ok()
                .filter(|new| *new != one.run.id)
                .map(|new| new.to_string()),
        });
        Ok(Json(BatchResult {
            items: items.collect(),
            next: None,
            dry_run: body.dry_run,
        }))
    }

    /// Shows a run and its journal as one document, which a replay test takes
    #[oai(path = "/runs/:id/export", method = "get")]
    async fn export(
        &self,
        Data(app): Data<&App>,
        _operator: Operator,
        id: Path<String>,
        #[oai(name = "Recado-Owner")] owner: Owner,
    ) -> poem::Result<Json<Value>> {
        let run = find(app, id.0, &owner).await?;
        let export = app
            .engine
            .storage()
            .export(&run.id)
            .await
            .map_err(Problem::from)?;
        let export = export.ok_or_else(|| Problem::not_found("run"))?;
        Ok(Json(
            serde_json::to_value(export).map_err(poem::error::InternalServerError)?,
        ))
    }

    /// Lists the named state that a run publishes
    #[oai(path = "/runs/:id/values", method = "get")]
    async fn values(
        &self,
        Data(app): Data<&App>,
        _operator: Operator,
        id: Path<String>,
        #[oai(name = "Recado-Owner")] owner: Owner,
    ) -> poem::Result<Json<ValuePage>> {
        let run = find(app, id.0, &owner).await?;
        let values = app
            .engine
            .storage()
            .values(&run.id)
            .await
            .map_err(Problem::from)?;
        let items = values.into_iter().map(|value| ValueItem {
            name: value.name,
            data: value.data,
            at: value.at,
        });
        Ok(Json(ValuePage {
            items: items.collect(),
            next: None,
        }))
    }
}

/// Does `act` with a run, and shows the one that goes on.
async fn act(app: &App, id: String, owner: Owner, act: Act) -> poem::Result<Json<RunItem>> {
    let run = find(app, id, &owner).await?;
    let storage = app.engine.storage();
    let goes_on = storage.act(&run.id, &act).await.map_err(Problem::from)?;
    tracing::info!(run.id = %run.id, act = act.as_str(), "acted on by a person");
    let run = storage.run(&goes_on).await.map_err(Problem::from)?;
    Ok(Json(run.ok_or_else(|| Problem::not_found("run"))?.into()))
}

/// A run; for an owner, only one of its own.
async fn find(app: &App, id: String, owner: &Owner) -> Result<Run, Problem> {
    let run = app.engine.storage().run(&RunId::from(id)).await?;
    let owner = owner.0.as_ref().filter(|owner| !owner.is_empty());
    run.filter(|run| owner.is_none_or(|owner| run.owner.as_ref() == Some(owner)))
        .ok_or_else(|| Problem::not_found("run"))
}

fn filter(given: BatchFilter, owner: Owner) -> Result<Filter, Problem> {
    let text = |text: Option<String>| text.filter(|text| !text.is_empty());
    let tag = match text(given.tag) {
        Some(tag) => match tag.split_once('=') {
            Some((name, value)) => Some((name.to_owned(), value.to_owned())),
            None => return Err(Problem::unprocessable("tag", "tag must be name=value")),
        },
        None => None,
    };
    let line = Filter {
        depth: None,
        ..lists::line(text(given.q))?
    };
    let filter = Filter {
        workflow: both("workflow", text(given.workflow), line.workflow)?,
        state: both(
            "state",
            lists::word("state", given.state, RunState::parse)?,
            line.state,
        )?,
        outcome: both("outcome", text(given.outcome), line.outcome)?,
        owner: both("owner", text(given.owner), line.owner)?,
        created_from: given.created_from.max(line.created_from),
        created_before: [given.created_before, line.created_before]
            .into_iter()
            .flatten()
            .min(),
        error: longer("error", text(given.error), line.error)?,
        waiting_for: longer("waiting_for", text(given.waiting_for), line.waiting_for)?,
        tag: both("tag", tag, line.tag)?,
        order: Order::Newest,
        ..line
    };
    if filter == Filter::default() {
        let told = "a batch needs a filter: name at least one of its fields";
        return Err(Problem::unprocessable("filter", told));
    }
    // Whoever acts for an owner reaches no others, whatever the filter says.
    match (text(owner.0), &filter.owner) {
        (Some(owner), Some(named)) if owner != *named => Err(Problem::not_found("owner")),
        (Some(owner), _) => Ok(Filter {
            owner: Some(owner),
            ..filter
        }),
        (None, _) => Ok(filter),
    }
}

/// What field and line ask for together. A batch never touches more than either of them says.
fn both<T: PartialEq>(name: &'static str, field: Option<T>, line: Option<T>) -> Result<Option<T>, Problem> {
    match (field, line) {
        (Some(field), Some(line)) if field != line => Err(contradiction(name)),
        (field, line) => Ok(field.or(line)),
    }
}

/// The same of what something begins with: the longer of the two says more, if it begins with the other.
fn longer(
    name: &'static str,
    field: Option<String>,
    line: Option<String>,
) -> Result<Option<String>, Problem> {
    match (field, line) {
        (Some(field), Some(line)) if field.starts_with(&line) => Ok(Some(field)),
        (Some(field), Some(line)) if line.starts_with(&field) => Ok(Some(line)),
        (Some(_), Some(_)) => Err(contradiction(name)),
        (field, line) => Ok(field.or(line)),
    }
}

fn contradiction(name: &'static str) -> Problem {
    let told = format!("filter.{name} and the line in filter.q ask for different things: no run is both");
    Problem::unprocessable(name, told)
}

/// The act of that name.
fn named(word: &str, with: With) -> Result<Act, Problem> {
    let missing = |field: &str| Problem::unprocessable(field, format!("{word} needs `with.{field}`"));
    Ok(match word {
        "cancel" => Act::Cancel,
        "terminate" => Act::Terminate,
        "pause" => Act::Pause,
        "resume" => Act::Resume,
        "retry" => Act::Retry,
        "skip" => Act::Skip {
            result: with.result.ok_or_else(|| missing("result"))?,
        },
        "fork" => Act::Fork {
            from: with.from.ok_or_else(|| missing("from"))?,
            input: with.input,
        },
        "signal" => Act::Signal {
            name: with
                .name
                .filter(|name| !name.is_empty())
                .ok_or_else(|| missing("name"))?,
            data: with.data.unwrap_or_default(),
            key: with.key,
        },
        "decide" => {
            let word = with.decision.ok_or_else(|| missing("decision"))?;
            Act::Decide(decision(&word, with.result)?)
        }
        other => {
            return Err(Problem::unprocessable(
                "act",
                format!("there is no act `{other}`"),
            ));
        }
    })
}

fn decision(word: &str, result: Option<Value>) -> Result<Decision, Problem> {
    match word {
        "happened" => match result {
            Some(result) => Ok(Decision::Happened(result)),
            None => Err(Problem::unprocessable(
                "result",
                "what happened has a result; it is missing",
            )),
        },
        "resend" => Ok(Decision::Resend),
        "give_up" => Ok(Decision::GiveUp),
        other => {
            let told = format!("there is no decision `{other}`; happened, resend or give_up");
            Err(Problem::unprocessable("decision", told))
        }
    }
}
