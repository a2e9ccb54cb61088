//! What many runs ask of the database at the same time.
use std::sync::Arc;

use recado_domain::{Address, OwnerId};
use recado_engine::Fault;
use recado_store::{
    Resolution, StoreError,
    accounts::{self, Signers},
    knowledge::Knowledge,
};

use crate::{Environment, asked::Asked, faults::of_store};

/// Reads that are shared by those who ask at the same time, never by who asks later.
#[derive(Debug, Default)]
pub struct InCommon {
    resolutions: Asked<(String, Address, Option<String>), Result<Resolution, Fault>>,
    knowledge: Asked<OwnerId, Result<Arc<Knowledge>, Fault>>,
    signers: Asked<(String, String), Result<Arc<Signers>, StoreError>>,
    credentials: Asked<(OwnerId, String), Result<Option<accounts::Credentials>, Fault>>,
}

impl Environment {
    /// Who may have sent a webhook to `to`, as [`accounts::signers`]; shared by webhooks that come at the same time.
    ///
    /// # Errors
    /// As of [`accounts::signers`].
    pub async fn signers(&self, account: &str, to: &str) -> Result<Arc<Signers>, StoreError> {
        let key = (account.to_owned(), to.to_owned());
        let query = || async move {
            let signers = accounts::signers(&self.database, &self.secret, account, to).await;
            signers.map(Arc::new)
        };
        self.in_common.signers.ask(key, query).await
    }

    /// Whose a message is.
    pub(crate) async fn resolve(
        &self,
        account: &str,
        to: &Address,
        service: Option<&str>,
    ) -> Result<Resolution, Fault> {
        let key = (account.to_owned(), to.clone(), service.map(str::to_owned));
        let query = || async move {
            let resolution = recado_store::resolve(&self.database, account, to, service).await;
            resolution.map_err(of_store)
        };
        self.in_common.resolutions.ask(key, query).await
    }

    /// What an owner's agents know.
    pub(crate) async fn knowledge(&self, owner: &OwnerId) -> Result<Arc<Knowledge>, Fault> {
        let query = || async move {
            let found = recado_store::knowledge::of(&self.database, owner).await;
            let known = found.map_err(of_store)?.map(Arc::new);
            known.ok_or_else(|| Fault::fatal("no_owner", "the owner of this run is gone"))
        };
        self.in_common.knowledge.ask(owner.clone(), query).await
    }

    /// What Twilio asks of who acts for an owner in an account.
    pub(crate) async fn credentials(
        &self,
        owner: &OwnerId,
        account: &str,
    ) -> Result<Option<accounts::Credentials>, Fault> {
        let key = (owner.clone(), account.to_owned());
        let query = || async move {
            let found = accounts::credentials(&self.database, &self.secret, owner, account).await;
            found.map_err(of_store)
        };
        self.in_common.credentials.ask(key, query).await
    }
}
