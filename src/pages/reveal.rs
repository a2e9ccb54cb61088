//! `POST /runs/{id}/reveal` and the like: shows what is masked, and writes down that it was shown.
use chrono::Utc;
use poem::{
    IntoResponse, Response, handler,
    web::{Data, Form, Path, Redirect},
};
use recado_domain::{AuditId, ConversationId, OwnerId};
use recado_engine::{RunId, StorageError};
use recado_store::{
    audit::{self, Deed},
    conversations,
};
use serde::Deserialize;

use super::{
    problem::{no_database, not_found, of_store},
    sight::REVEAL,
};
use crate::app::App;

/// Who has the operator's token, as the audit names them: there is one token.
const OPERATOR: &str = "operator";

/// What the page showed, and is to show again.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Given {
    /// The query of the page, without what reveals.
    back: String,
    owner: String,
}

#[handler]
pub(super) async fn run(Path(id): Path<String>, Form(given): Form<Given>, Data(app): Data<&App>) -> Response {
    let run = match app.engine.storage().run(&RunId::from(id)).await {
        Ok(Some(run)) => run,
        Ok(None) => return not_found(),
        Err(error) => return no_database(&error),
    };
    let page = format!("/runs/{}", run.id);
    let subject = format!("run:{}", run.id);
    reveal(app, run.owner.as_deref(), subject, &page, &given.back).await
}

#[handler]
pub(super) async fn conversation(
    Path(id): Path<String>,
    Form(given): Form<Given>,
    Data(app): Data<&App>,
) -> Response {
    let (owner, id) = (OwnerId::from(given.owner), ConversationId::from(id));
    match conversations::get(&app.environment.database, &owner, &id).await {
        Ok(Some(_)) => {}
        Ok(None) => return not_found(),
        Err(error) => return no_database(&of_store(error)),
    }
    let page = format!("/conversations/{id}");
    let subject = format!("conversation:{id}");
    reveal(app, Some(owner.as_str()), subject, &page, &given.back).await
}

/// Writes down that `subject` is shown whole, and leads back to `page`.
pub(super) async fn reveal(
    app: &App,
    owner: Option<&str>,
    subject: String,
    page: &str,
    back: &str,
) -> Response {
    match write_down(app, owner, REVEAL, subject).await {
        Ok(id) => Redirect::see_other(address(page, back, &id)).into_response(),
        Err(error) => no_database(&error),
    }
}

/// Writes down what the operator is about to see. Returns the id of the row.
///
/// # Errors
/// When the database does not answer: nothing may be seen then.
pub(super) async fn write_down(
    app: &App,
    owner: Option<&str>,
    act: &'static str,
    subject: String,
) -> Result<AuditId, StorageError> {
    let owner = owner.map(str::to_owned);
    let written = app.engine.storage().transaction(move |tx| {
        Box::pin(async move {
            let deed = Deed {
                owner: owner.as_deref(),
                actor: OPERATOR,
                act,
                subject: &subject,
            };
            audit::record(tx, deed, Utc::now()).await.map_err(of_store)
        })
    });
    written.await
}

/// The page with its query as it was, and with what reveals.
fn address(page: &str, back: &str, id: &AuditId) -> String {
    let kept = url::form_urlencoded::parse(back.trim_start_matches('?').as_bytes())
        .filter(|(name, _)| name != "reveal");
    let query = url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs(kept)
        .append_pair("reveal", id.as_str())
        .finish();
    format!("{page}?{query}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_comes_back_as_it_was_and_leads_nowhere_else() {
        let id = AuditId::from("01A");
        let address = |back| address("/runs/01R", back, &id);
        assert_eq!(address(""), "/runs/01R?reveal=01A");
        assert_eq!(
            address("?view=full&reveal=old&after=200"),
            "/runs/01R?view=full&after=200&reveal=01A"
        );
        assert_eq!(
            address("\r\nLocation: x&//evil"),
            "/runs/01R?%0D%0ALocation%3A+x=&%2F%2Fevil=&reveal=01A"
        );
    }
}
