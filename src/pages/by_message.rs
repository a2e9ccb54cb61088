//! `/runs/by-message/{account}/{sid}`: from a message to the run that answers it.
use poem::{
    IntoResponse, Response, handler,
    http::{StatusCode, header},
    web::{Data, Json, Path, Redirect},
};
use recado_engine::{Run, RunId, RunState, StorageError, Workflow};
use recado_workflows::InboundMessage;
use serde_json::json;

use super::{
    language::tell,
    problem::{no_database, problem},
    runs::Waits,
    state::Mark,
};
use crate::{app::App, t};

/// Opens the page of the run.
#[handler]
pub(crate) async fn open(Path((account, sid)): Path<(String, String)>, Data(app): Data<&App>) -> Response {
    match find(app, &account, &sid).await {
        Ok(Some(run)) => Redirect::see_other(format!("/runs/{run}")).into_response(),
        Ok(None) => {
            let detail = tell(
                "No run was started by message {sid} of account {account}. If it was sent just now, load this page \
                 again. If it stays away, its webhook did not reach us, or was refused: see whether the account's \
                 webhook points at /api/v1/twilio/webhooks/inbound, and whether its auth token is the one we know.",
                &[("sid", sid), ("account", account)],
            );
            problem(StatusCode::NOT_FOUND, t("No run answers this message"), &detail)
        }
        Err(error) => no_database(&error),
    }
}

/// How the run stands, for the telephone.
#[handler]
pub(crate) async fn state(Path((account, sid)): Path<(String, String)>, Data(app): Data<&App>) -> Response {
    let found = async {
        let Some(id) = find(app, &account, &sid).await? else {
            return Ok(None);
        };
        app.engine.storage().run(&id).await
    };
    let body = match found.await {
        Ok(Some(run)) => json!({
            "id": run.id,
            "state": run.state,
            "final": run.state.is_final(),
            "told": told(&run),
        }),
        Ok(None) => json!(null),
        Err(error) => return no_database(&error),
    };
    Json(body)
        .with_header(header::CACHE_CONTROL, "no-store")
        .into_response()
}

/// How a run stands, in a sentence.
fn told(run: &Run) -> String {
    let stands = Mark(run.state).told();
    let Some(waits) = Waits::of(run) else {
        let how = run.outcome.as_deref().unwrap_or(stands).replace('_', " ");
        return tell("the run ended: {how}", &[("how", how)]);
    };
    match run.attempt {
        _ if run.state == RunState::Parked => t("the run is parked: it needs a person").to_owned(),
        2.. => tell(
            "{state}: {waits}, attempt {n}",
            &[
                ("state", stands.to_owned()),
                ("waits", waits.what),
                ("n", run.attempt.to_string()),
            ],
        ),
        _ => format!("{stands}: {}", waits.what),
    }
}

async fn find(app: &App, account: &str, sid: &str) -> Result<Option<RunId>, StorageError> {
    app.engine
        .storage()
        .run_by_key(InboundMessage::NAME, &InboundMessage::key(account, sid))
        .await
}
