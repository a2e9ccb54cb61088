//! Whom an owner wants to write to enters the books: contact, prospect, conversation.
use chrono::{DateTime, Utc};
use recado_domain::{Address, ContactId, ConversationId, OwnerId};
use recado_engine::{Activity, Attempt, Effect, Fault, Joint};
use recado_store::{
    StoreError, billing, contacts,
    conversations::{self, Parties},
    prospects,
};
use sea_orm::DatabaseTransaction;
use serde::{Deserialize, Serialize};

use crate::{
    Environment,
    check_billing::MESSAGES,
    faults::of_store,
    group::{self, Member},
};

/// Finds or opens the conversation in which an owner writes to somebody, and reserves the message.
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
    /// Whether the plan has no message left for it, so that nothing may be sent.
    #[serde(default, skip_serializing_if = "is_false")]
    pub over_quota: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn is_false(value: &bool) -> bool {
    !value
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
    let (tx, now) = group::act(members)?;
    write(tx, members, now).await.map_err(of_store)
}

async fn write(
    tx: &DatabaseTransaction,
    members: &[Member<'_, OpenConversation>],
    now: DateTime<Utc>,
) -> Result<Vec<Opened>, StoreError> {
    let writers: Vec<_> = members
        .iter()
        .map(|Member { call, attempt }| contacts::Writer {
            owner: &call.owner,
            address: &call.to,
            also: None,
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
    // Nobody is told of a refusal: the notice, once a period, is for those who wrote themselves.
    let want = |member| {
        let Member { call, .. }: &Member<'_, OpenConversation> = member;
        billing::Want {
            owner: &call.owner,
            run: member.run(),
            features: &[MESSAGES],
            quantity: 1,
            contact: &call.from,
        }
    };
    let wants: Vec<_> = members.iter().map(want).collect();
    let grants = billing::reserve_each(tx, &wants, now).await?;
    let opened = contacts.iter().zip(conversations).zip(grants);
    let opened = opened.map(|((contact, conversation), grant)| Opened {
        contact: contact.clone(),
        conversation: conversation.id,
        over_quota: grant != billing::Grant::Granted,
    });
    Ok(opened.collect())
}
