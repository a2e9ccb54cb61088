//! A call that comes in enters the books.
use recado_domain::{Address, ContactId, OwnerId};
use recado_engine::{Activity, Attempt, Effect, Fault};
use recado_store::{
    StoreError,
    calls::{self, Name, NewCall},
    contacts,
};
use serde::{Deserialize, Serialize};

use crate::{Environment, faults::of_store};

/// Writes down who calls whom.
#[derive(Debug, Serialize, Deserialize)]
pub struct RecordCall {
    /// Who is called.
    pub owner: OwnerId,
    /// Twilio's id of the call.
    pub sid: String,
    /// Who calls, as Twilio tells; a withheld number is a word.
    pub from: String,
    /// Our number.
    pub to: Address,
    /// The whole form.
    pub form: Vec<(String, String)>,
}

impl Activity<Environment> for RecordCall {
    const NAME: &'static str = "record_call";
    const EFFECT: Effect = Effect::Database;
    /// The caller, where the number is not withheld.
    type Output = Option<ContactId>;

    async fn run(&self, _: &Environment, attempt: &Attempt<'_>) -> Result<Option<ContactId>, Fault> {
        self.write(attempt).await
    }
}

impl RecordCall {
    async fn write(&self, attempt: &Attempt<'_>) -> Result<Option<ContactId>, Fault> {
        let (tx, now) = (attempt.transaction()?, attempt.now());
        let write = async {
            let caller = Address::parse(&self.from)
                .ok()
                .filter(|from| from.phone().is_some());
            let contact = match caller {
                Some(caller) => Some(contacts::find_or_create(tx, &self.owner, &caller, None, now).await?),
                None => None,
            };
            let call = NewCall {
                contact: contact.as_ref(),
                ours: &self.to.to_twilio(),
                theirs: &self.from,
                name: Name::Sid(&self.sid),
                run: attempt.run().as_str(),
                form: &serde_json::to_string(&self.form)?,
            };
            calls::insert(tx, &self.owner, &call, now).await?;
            Ok::<_, StoreError>(contact)
        };
        write.await.map_err(of_store)
    }
}
