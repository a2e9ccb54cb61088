//! The message enters the books: contact, conversation, message.
use recado_domain::{Address, ContactId, ConversationId, ConversationState, MessageId, OptOut, OwnerId};
use recado_engine::{Activity, Attempt, Effect, Fault};
use recado_store::{
    billing, contacts,
    conversations::{self, Parties},
    messages, opt_outs,
};
use serde::{Deserialize, Serialize};

use crate::{
    Environment,
    check_billing::{AGENT_ANSWERS, MESSAGES},
    faults::of_store,
};

/// Writes an inbound message down.
#[derive(Debug, Serialize, Deserialize)]
pub struct Persist {
    /// Whose message.
    pub owner: OwnerId,
    /// Twilio's id of it.
    pub sid: String,
    /// The contact's address.
    pub from: Address,
    /// Our address.
    pub to: Address,
    /// The text; empty for a message without one.
    pub body: String,
    /// How many attachments it has.
    #[serde(default)]
    pub media: u32,
    /// The name that the contact shows.
    pub profile_name: Option<String>,
    /// Where Twilio itself saw an opt-out word.
    pub opt_out_type: Option<String>,
    /// The whole form.
    pub form: Vec<(String, String)>,
}

/// Where the message landed.
#[derive(Debug, Serialize, Deserialize)]
pub struct Arrival {
    /// The contact.
    pub contact: ContactId,
    /// The conversation.
    pub conversation: ConversationId,
    /// The message.
    pub message: MessageId,
    /// The state of the conversation, the message included.
    pub state: ConversationState,
    /// What the message says about being written to.
    pub opt_out: Option<OptOut>,
}

impl Activity<Environment> for Persist {
    const NAME: &'static str = "persist";
    const EFFECT: Effect = Effect::Database;
    type Output = Arrival;

    async fn run(&self, _: &Environment, attempt: &Attempt<'_>) -> Result<Arrival, Fault> {
        let (tx, run, now) = (attempt.transaction()?, attempt.run().as_str(), attempt.now());
        let owner = &self.owner;
        let contact = contacts::find_or_create(tx, owner, &self.from, self.profile_name.as_deref(), now);
        let contact = contact.await.map_err(of_store)?;
        let parties = Parties {
            contact: &contact,
            ours: &self.to,
            theirs: &self.from,
        };
        let conversation = conversations::open_or_find(tx, owner, parties, now)
            .await
            .map_err(of_store)?;
        conversations::heard(tx, owner, &conversation.id, now)
            .await
            .map_err(of_store)?;
        let form = serde_json::to_string(&self.form).unwrap_or_default();
        let message = messages::NewInbound {
            conversation: &conversation.id,
            contact: &contact,
            twilio_sid: &self.sid,
            kind: if self.media > 0 { "media" } else { "text" },
            body: &self.body,
            run,
            form: &form,
            received_at: now,
        };
        let message = messages::insert_inbound(tx, owner, &message)
            .await
            .map_err(of_store)?
            .id()
            .clone();
        // Twilio answers HELP itself only where it says so; elsewhere it is a question like any other.
        let opt_out = OptOut::of(&self.body, self.opt_out_type.as_deref())
            .filter(|word| *word != OptOut::Help || self.opt_out_type.is_some());
        match opt_out {
            Some(OptOut::Stop) => opt_outs::set(tx, owner, &self.from, "message", now)
                .await
                .map_err(of_store)?,
            Some(OptOut::Start) => opt_outs::clear(tx, owner, &self.from).await.map_err(of_store)?,
            Some(OptOut::Help) | None => {}
        }
        billing::commit(tx, owner, run, MESSAGES, now)
            .await
            .map_err(of_store)?;
        if conversation.state == ConversationState::HumanHandoff || opt_out.is_some() {
            billing::release(tx, owner, run, AGENT_ANSWERS, now)
                .await
                .map_err(of_store)?;
        }
        Ok(Arrival {
            contact,
            conversation: conversation.id,
            message,
            state: conversation.state,
            opt_out,
        })
    }
}
