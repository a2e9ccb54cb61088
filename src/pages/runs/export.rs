//! `/runs/export`: the runs that a line asks for, as JSON, one a line, however many there are. What may be a
//! person's is masked in it, as in the list.
use futures::stream;
use poem::{
    Body, Response, handler,
    http::{StatusCode, header},
    web::{Data, Query},
};
use recado_engine::{Filter, StorageError};
use serde_json::json;

use super::{Asked, Given};
use crate::{
    app::App,
    pages::{problem::problem, text::masked},
    t,
};

/// Runs that are read at once.
const PAGE: u64 = 500;

/// Sends a page of runs at a time, each when the reader has taken the one before. If the database fails on the way,
/// the connection breaks, so that nobody takes the half for the whole.
#[handler]
pub(crate) async fn export(Query(given): Query<Given>, Data(app): Data<&App>) -> Response {
    let filter = match Asked::from(given).filter() {
        Ok(filter) => filter,
        Err(told) => return problem(StatusCode::BAD_REQUEST, t("That cannot be exported"), &told),
    };
    let app = app.clone();
    let pages = stream::try_unfold(Some(None), move |from| {
        let (app, filter) = (app.clone(), filter.clone());
        async move {
            let Some(cursor) = from else { return Ok(None) };
            let (lines, next) = page(&app, &filter, cursor).await.map_err(std::io::Error::other)?;
            Ok::<_, std::io::Error>(Some((lines, next.map(Some))))
        }
    });
    Response::builder()
        .content_type("application/x-ndjson; charset=utf-8")
        .header(header::CACHE_CONTROL, "no-store")
        .header(header::CONTENT_DISPOSITION, "attachment; filename=\"runs.jsonl\"")
        .body(Body::from_bytes_stream(pages))
}

async fn page(
    app: &App,
    filter: &Filter,
    cursor: Option<String>,
) -> Result<(String, Option<String>), StorageError> {
    let page = app.engine.storage().runs(filter, PAGE, cursor.as_deref()).await?;
    let mut lines = String::new();
    for run in page.items {
        let line = json!({
            "id": run.id, "workflow": run.workflow, "key": masked(&run.key), "owner": run.owner, "state": run.state,
            "outcome": run.outcome, "waiting_for": run.waiting_for, "since": run.since, "until": run.until,
            "lane": run.lane.as_deref().map(masked), "attempt": run.attempt, "error": run.error.as_deref().map(masked),
            "worker": run.worker, "build": run.build, "parent": run.parent,
            "created_at": run.created_at, "finished_at": run.finished_at,
        });
        lines.push_str(&line.to_string());
        lines.push('\n');
    }
    Ok((lines, page.next))
}
