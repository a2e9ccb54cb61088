//! For whom the operator looks at what belongs to one owner alone.
use recado_domain::OwnerId;
use recado_engine::StorageError;
use recado_store::owners;

use super::problem::of_store;
use crate::app::App;

/// The owner that is used where nobody names one.
const DEFAULT: &str = "default";

/// The owner that was chosen, and those that can be.
pub(super) struct Choice {
    pub(super) owner: OwnerId,
    pub(super) all: Vec<String>,
}

impl Choice {
    /// The one that is named; else `default`; where that is none, the first.
    pub(super) async fn of(app: &App, named: &str) -> Result<Self, StorageError> {
        let all = owners::list(&app.environment.database).await.map_err(of_store)?;
        let all: Vec<String> = all.into_iter().map(|owner| owner.id).collect();
        let named = Some(named.trim()).filter(|named| !named.is_empty());
        let usual = all.iter().find(|owner| *owner == DEFAULT).or(all.first());
        let owner = named.or(usual.map(String::as_str)).unwrap_or(DEFAULT);
        Ok(Self {
            owner: OwnerId::from(owner),
            all,
        })
    }
}
