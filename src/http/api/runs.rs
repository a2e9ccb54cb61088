//! Runs, as JSON.
use chrono::{DateTime, Utc};
use poem::web::Data;
use poem_openapi::{Object, OpenApi, param::Path, param::Query, payload::Json};
use recado_engine::{Event, Filter, Link, Run, RunId, RunState};
use serde_json::Value;

use super::{Operator, Tag, lists};
use crate::{
    app::App,
    http::{Problem, rejected::RejectedWebhook},
};

/// Runs.
pub(super) struct Runs;

/// Webhooks that were turned away.
pub(super) struct Webhooks;

/// A run, and where it stands.
#[derive(Object)]
pub(super) struct RunItem {
    /// Its id, a ULID.
    id: String,
    /// The durable name of its workflow.
    workflow: String,
    /// The key that names it for ever.
    key: String,
    /// queued, running, waiting, parked, completed, failed, cancelled or terminated.
    state: String,
    /// How it ended, in the workflow's words.
    outcome: Option<String>,
    /// What an unfinished run waits for.
    waiting_for: Option<String>,
    /// Since when.
    since: DateTime<Utc>,
    /// Until when at the latest.
    until: Option<DateTime<Utc>>,
    /// The lane whose order it keeps.
    lane: Option<String>,
    /// Whose run it is.
    owner: Option<String>,
    /// The attempt at the present activity.
    attempt: i64,
    /// Why it is parked, or the last failed attempt.
    error: Option<String>,
    /// The run that started it as a child.
    parent: Option<String>,
    /// When it was started.
    created_at: DateTime<Utc>,
    /// When it ended.
    finished_at: Option<DateTime<Utc>>,
}

impl RunItem {
    /// Its id.
    pub(super) fn id(&self) -> &str {
        &self.id
    }
}

impl From<Run> for RunItem {
    fn from(run: Run) -> Self {
        Self {
            id: run.id.to_string(),
            workflow: run.workflow,
            key: run.key,
            state: run.state.to_string(),
            outcome: run.outcome,
            waiting_for: run.waiting_for,
            since: run.since,
            until: run.until,
            lane: run.lane,
            owner: run.owner,
            attempt: run.attempt,
            error: run.error,
            parent: run.parent.map(|parent| parent.to_string()),
            created_at: run.created_at,
            finished_at: run.finished_at,
        }
    }
}

/// A page of runs, newest first.
#[derive(Object)]
pub(super) struct RunPage {
    items: Vec<RunItem>,
    /// The cursor of the next page, if there is one.
    next: Option<String>,
}

/// A run with its journal.
#[derive(Object)]
pub(super) struct RunDetail {
    #[oai(flatten)]
    run: RunItem,
    /// The workflow's input.
    input: Value,
    /// The workflow's result.
    output: Option<Value>,
    /// Its tags.
    tags: Vec<TagItem>,
    /// The runs that it came of or went into, and those that came of it.
    links: Vec<LinkItem>,
    /// The runs that it started as children.
    children: Vec<String>,
    /// Its events, in order.
    journal: Vec<JournalEvent>,
}

/// A tag, by which a run can be found.
#[derive(Object)]
pub(super) struct TagItem {
    name: String,
    value: String,
}

/// A tie between two runs.
#[derive(Object)]
pub(super) struct LinkItem {
    /// The run that came of the other, or went into it.
    run: String,
    /// forked_from, continued_from or merged_into.
    kind: String,
    /// The other.
    other: String,
}

/// An event of a journal.
#[derive(Object)]
pub(super) struct JournalEvent {
    /// Its number.
    seq: i64,
    /// The step of the workflow that it belongs to.
    op: Option<i64>,
    /// What it says.
    kind: String,
    /// The activity.
    name: Option<String>,
    /// The attempt.
    attempt: Option<i64>,
    /// When the attempt began.
    started_at: Option<DateTime<Utc>>,
    /// When it was written down.
    at: DateTime<Utc>,
    /// The step's input.
    input: Option<Value>,
    /// The result or the fault.
    data: Option<Value>,
}

impl From<Link> for LinkItem {
    fn from(link: Link) -> Self {
        Self {
            run: link.run.to_string(),
            kind: link.kind,
            other: link.other.to_string(),
        }
    }
}

impl From<Event> for JournalEvent {
    fn from(event: Event) -> Self {
        Self {
            seq: event.seq,
            op: event.op,
            kind: event.kind.as_str().to_owned(),
            name: event.name,
            attempt: event.attempt,
            started_at: event.started_at,
            at: event.at,
            input: event.input,
            data: event.data,
        }
    }
}

#[OpenApi(tag = "Tag::Runs")]
impl Runs {
    /// Lists runs, newest first
    #[oai(path = "/runs", method = "get")]
    #[expect(clippy::too_many_arguments, reason = "each is a parameter of the URL")]
    async fn list(
        &self,
        Data(app): Data<&App>,
        _operator: Operator,
        /// One line that says which: `state:parked error:timeout: since:2h text`. The other parameters narrow it. Where
        /// it takes long to find them, a page may have fewer than `limit` and a `next` that leads on.
        q: Query<Option<String>>,
        workflow: Query<Option<String>>,
        state: Query<Option<String>>,
        outcome: Query<Option<String>>,
        owner: Query<Option<String>>,
        limit: Query<Option<u64>>,
        cursor: Query<Option<String>>,
    ) -> poem::Result<Json<RunPage>> {
        let line = lists::line(q.0)?;
        let given = |text: Query<Option<String>>| text.0.filter(|text| !text.is_empty());
        let filter = Filter {
            workflow: given(workflow).or(line.workflow),
            state: lists::word("state", state.0, RunState::parse)?.or(line.state),
            outcome: given(outcome).or(line.outcome),
            owner: given(owner).or(line.owner),
            ..line
        };
        let limit = lists::limit(limit.0)?;
        let page = app
            .engine
            .storage()
            .runs(&filter, limit, cursor.0.as_deref())
            .await
            .map_err(Problem::from)?;
        Ok(Json(RunPage {
            items: page.items.into_iter().map(RunItem::from).collect(),
            next: page.next,
        }))
    }

    /// Shows a run with its journal
    #[oai(path = "/runs/:id", method = "get")]
    async fn show(
        &self,
        Data(app): Data<&App>,
        _operator: Operator,
        id: Path<String>,
    ) -> poem::Result<Json<RunDetail>> {
        let id = RunId::from(id.0);
        let storage = app.engine.storage();
        let run = storage.run(&id).await.map_err(Problem::from)?;
        let run = run.ok_or_else(|| Problem::not_found("run"))?;
        let journal = storage.journal(&id).await.map_err(Problem::from)?;
        let tags = storage.tags(&id).await.map_err(Problem::from)?;
        let links = storage.links(&id).await.map_err(Problem::from)?;
        let children = storage.children(&id).await.map_err(Problem::from)?;
        let (input, output) = (run.input.clone(), run.output.clone());
        let journal = journal.into_iter().map(JournalEvent::from).collect();
        Ok(Json(RunDetail {
            run: run.into(),
            input,
            output,
            tags: tags
                .into_iter()
                .map(|(name, value)| TagItem { name, value })
                .collect(),
            links: links.into_iter().map(LinkItem::from).collect(),
            children: children.into_iter().map(|run| run.id.to_string()).collect(),
            journal,
        }))
    }
}

/// Webhooks that were turned away, newest first.
#[derive(Object)]
pub(super) struct RejectedPage {
    items: Vec<RejectedWebhook>,
    /// Always null: the list is short and in the memory of this process.
    next: Option<String>,
}

#[OpenApi(tag = "Tag::Webhooks")]
impl Webhooks {
    /// Lists the last webhooks that this process turned away, without their bodies
    #[oai(path = "/webhooks/rejected", method = "get")]
    async fn rejected(&self, Data(app): Data<&App>, _operator: Operator) -> Json<RejectedPage> {
        Json(RejectedPage {
            items: app.rejected.list(),
            next: None,
        })
    }
}
