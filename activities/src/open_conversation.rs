//! Whom an owner wants to write to enters the books: contact, prospect, conversation.
use recado_domain::{Address, ContactId, ConversationId, OwnerId};
use recado_engine::{Activity, Attempt, Effect, Fault, Joint};
use recado_store::{
    StoreError, contacts,
    conversations::{self, Parties},
    prospects,
};
use sea_orm::DatabaseTransaction;
use serde::{Deserialize, Serialize};

use crate::{
    Environment,
    faults::of_store,
    group::{self, Member},
};

/// Finds or opens the conversation in which an owner writes to somebody.
#[derive(Debug, Serialize, Deserialize)]
pub struct OpenConversation {
    /// Who writes.
    pub owner: OwnerId,
    /// The owner's own id of whom it writes to.
    pub prospect: String,
    /// The owner's address.
    pub from: Address,
    /// The contact's address.
    pub to: Address,
}

/// The conversation, and with whom it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Opened {
    /// The contact.
    pub contact: ContactId,
    /// The conversation.
    pub conversation: ConversationId,
}

impl Activity<Environment> for OpenConversation {
    const NAME: &'static str = "open_conversation";
    const EFFECT: Effect = Effect::Database;
    const TOGETHER: bool = true;
    type Output = Opened;

    async fn run(&self, _: &Environment, attempt: &Attempt<'_>) -> Result<Opened, Fault> {
        group::only(open(&group::of_one(self, attempt)).await?)
    }

    async fn run_together(_: &Environment, calls: &[Joint<'_, Self>]) -> Result<Vec<Opened>, Fault> {
        open(&group::of(calls)).await
    }
}

async fn open(members: &[Member<'_, OpenConversation>]) -> Result<Vec<Opened>, Fault> {
    let (tx, _) = group::act(members)?;
    write(tx, members).await.map_err(of_store)
}

async fn write(
    tx: &DatabaseTransaction,
    members: &[Member<'_, OpenConversation>],
) -> Result<Vec<Opened>, StoreError> {
    let writers: Vec<_> = members
        .iter()
        .map(|Member { call, attempt }| contacts::Writer {
            owner: &call.owner,
            address: &call.to,
            profile_name: None,
            at: attempt.now(),
        })
        .collect();
    let contacts = contacts::find_or_create_each(tx, &writers).await?;
    let each = || members.iter().zip(&contacts);
    let encounters: Vec<_> = each()
        .map(|(Member { call, attempt }, contact)| conversations::Encounter {
            owner: &call.owner,
            parties: Parties {
                contact,
                ours: &call.from,
                theirs: &call.to,
            },
            at: attempt.now(),
            heard_at: None,
        })
        .collect();
    let conversations = conversations::open_or_find_each(tx, &encounters).await?;
    let links: Vec<_> = each()
        .map(|(Member { call, attempt }, contact)| prospects::Link {
            owner: &call.owner,
            prospect: &call.prospect,
            address: &call.to,
            contact,
            at: attempt.now(),
        })
        .collect();
    prospects::link_each(tx, &links).await?;
    let opened = contacts
        .iter()
        .zip(conversations)
        .map(|(contact, conversation)| Opened {
            contact: contact.clone(),
            conversation: conversation.id,
        });
    Ok(opened.collect())
}
