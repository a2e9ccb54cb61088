//! How long an owner's finished runs are kept, as JSON.
use poem::web::Data;
use poem_openapi::{Object, OpenApi, param::Header, payload::Json};
use recado_domain::OwnerId;
use recado_store::owners;

use super::{Operator, Tag, lists};
use crate::{app::App, http::Problem};

/// Retention.
pub(super) struct Retention;

/// For how many days the runs of an owner are kept after their end.
#[derive(Object)]
pub(super) struct RetentionItem {
    /// The owner's own time; null where the rule for all holds.
    days: Option<u32>,
    /// The rule for all who have none of their own; null: for ever.
    default_days: Option<u32>,
}

/// What an owner's retention shall be.
#[derive(Object)]
pub(super) struct NewRetention {
    /// Days after the end of a run, from 1 to 36500; null for the rule for all.
    #[oai(validator(minimum(value = "1"), maximum(value = "36500")))]
    days: Option<u32>,
}

#[OpenApi(tag = "Tag::Runs")]
impl Retention {
    /// Shows how long an owner's finished runs are kept
    #[oai(path = "/retention", method = "get")]
    async fn show(
        &self,
        Data(app): Data<&App>,
        _operator: Operator,
        /// The owner for whom to act; `default` if absent.
        #[oai(name = "Recado-Owner")]
        owner: Header<Option<String>>,
    ) -> poem::Result<Json<RetentionItem>> {
        Ok(Json(find(app, &lists::owner(owner.0)).await?))
    }

    /// Sets how long an owner's finished runs are kept
    #[oai(path = "/retention", method = "put")]
    async fn set(
        &self,
        Data(app): Data<&App>,
        _operator: Operator,
        /// The owner for whom to act; `default` if absent.
        #[oai(name = "Recado-Owner")]
        owner: Header<Option<String>>,
        retention: Json<NewRetention>,
    ) -> poem::Result<Json<RetentionItem>> {
        let owner = lists::owner(owner.0);
        let known = owners::find(&app.environment.database, &owner).await;
        if known.map_err(Problem::from)?.is_none() {
            return Err(Problem::not_found("owner").into());
        }
        let storage = app.engine.storage();
        storage
            .set_retention(owner.as_str(), retention.0.days)
            .await
            .map_err(Problem::from)?;
        Ok(Json(find(app, &owner).await?))
    }
}

async fn find(app: &App, owner: &OwnerId) -> Result<RetentionItem, Problem> {
    let all = app.engine.storage().retention().await?;
    let days = |owner: &str| all.iter().find(|one| one.owner == owner).map(|one| one.days);
    Ok(RetentionItem {
        days: days(owner.as_str()),
        default_days: days(""),
    })
}
