//! The message enters the books: contact, conversation, message.
use chrono::{DateTime, Utc};
use recado_clients::twilio::InboundContent;
use recado_domain::{
    Address, Channel, ContactId, ConversationId, ConversationState, Direction, MessageId, OptOut, OwnerId,
};
use recado_engine::{Activity, Attempt, Effect, Fault, Joint};
use recado_store::{
    StoreError,
    billing::{self, End, Settlement},
    contacts,
    conversations::{self, Conversation, Parties},
    messages, opt_outs,
};
use sea_orm::DatabaseTransaction;
use serde::{Deserialize, Serialize};

use crate::{
    Environment,
    check_billing::{AGENT_ANSWERS, MESSAGES},
    faults::of_store,
    group::{self, Member},
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
    /// When the contact wrote it; now if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub received_at: Option<DateTime<Utc>>,
    /// The whole form.
    pub form: Vec<(String, String)>,
}

/// Where the message landed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
    /// How the message reads, where that is more than its text: a place, what it answers, …
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub said: Option<String>,
}

impl Activity<Environment> for Persist {
    const NAME: &'static str = "persist";
    const EFFECT: Effect = Effect::Database;
    const TOGETHER: bool = true;
    type Output = Arrival;

    async fn run(&self, env: &Environment, attempt: &Attempt<'_>) -> Result<Arrival, Fault> {
        group::only(write(env, &group::of_one(self, attempt)).await?)
    }

    async fn run_together(env: &Environment, calls: &[Joint<'_, Self>]) -> Result<Vec<Arrival>, Fault> {
        write(env, &group::of(calls)).await
    }
}

async fn write(env: &Environment, members: &[Member<'_, Persist>]) -> Result<Vec<Arrival>, Fault> {
    let (tx, now) = group::act(members)?;
    let also: Vec<_> = members.iter().map(|member| member.call.also()).collect();
    let contacts = contacts_of(tx, members, &also).await.map_err(of_store)?;
    let conversations = conversations_of(tx, members, &contacts).await.map_err(of_store)?;
    let contents: Vec<_> = members
        .iter()
        .map(|member| InboundContent::of(&member.call.form))
        .collect();
    let said = said(tx, members, &contents).await.map_err(of_store)?;
    let messages = insert(tx, members, (&contents, &said), (&contacts, &conversations))
        .await
        .map_err(of_store)?;
    let mut arrivals = Vec::with_capacity(members.len());
    for ((contact, conversation), ((member, message), (content, said))) in contacts
        .into_iter()
        .zip(conversations)
        .zip(members.iter().zip(messages).zip(contents.iter().zip(said)))
    {
        arrivals.push(Arrival {
            contact,
            conversation: conversation.id,
            message,
            state: conversation.state,
            opt_out: member.call.opt_out(content),
            said,
        });
    }
    obey(tx, members, &arrivals).await.map_err(of_store)?;
    settle(tx, members, &arrivals, now).await.map_err(of_store)?;
    for Member { call, .. } in members {
        env.spent
            .message(&call.owner, &call.from, Direction::Inbound, &call.body);
    }
    Ok(arrivals)
}

impl Persist {
    /// Twilio answers HELP itself only where it says so; elsewhere it is a question like any other.
    fn opt_out(&self, content: &InboundContent) -> Option<OptOut> {
        OptOut::of(content.words(&self.body), self.opt_out_type.as_deref())
            .filter(|word| *word != OptOut::Help || self.opt_out_type.is_some())
    }

    /// The other address of who wrote it, where WhatsApp tells both: it is moving from telephones to ids that it gives to
    /// each business.
    fn also(&self) -> Option<Address> {
        let field = |wanted: &str| {
            let found = self.form.iter().find(|(name, _)| name == wanted);
            found.map(|(_, value)| value.trim())
        };
        let written = match (self.from.channel(), self.from.phone()) {
            (Channel::Whatsapp, Some(_)) => format!("whatsapp:{}", field("ExternalUserId")?),
            (Channel::Whatsapp, None) => format!("whatsapp:+{}", field("WaId")?.trim_start_matches('+')),
            _ => return None,
        };
        Address::parse(&written).ok().filter(|also| *also != self.from)
    }

    /// What it is, in a word: by its first attachment, else by what it carries.
    fn kind(&self, content: &InboundContent) -> &'static str {
        let declared = self.form.iter().find(|(name, _)| name == "MediaContentType0");
        let declared = declared.map_or("", |(_, declared)| declared.as_str());
        match declared.split(['/', ';']).next() {
            _ if self.media == 0 && content.location.is_some() => "location",
            _ if self.media == 0 && content.choice.is_some() => "choice",
            _ if self.media == 0 => "text",
            Some("image") => "image",
            Some("audio") => "audio",
            Some("video") => "video",
            _ if declared.contains("vcard") => "contact",
            _ => "document",
        }
    }
}

/// How the messages read, where that is more than their texts. What one answers is looked up, which is rare enough to be
/// done one by one.
async fn said(
    tx: &DatabaseTransaction,
    members: &[Member<'_, Persist>],
    contents: &[InboundContent],
) -> Result<Vec<Option<String>>, StoreError> {
    let mut said = Vec::with_capacity(members.len());
    for (Member { call, .. }, content) in members.iter().zip(contents) {
        let quoted = match &content.replied_to {
            Some(replied_to) => messages::by_sid(tx, &call.owner, &replied_to.sid).await?,
            None => None,
        };
        let quoted = quoted
            .map(|message| message.body)
            .filter(|body| !body.trim().is_empty());
        let read = content.read(&call.body, quoted.as_deref());
        said.push((read != call.body).then_some(read));
    }
    Ok(said)
}

async fn contacts_of(
    tx: &DatabaseTransaction,
    members: &[Member<'_, Persist>],
    also: &[Option<Address>],
) -> Result<Vec<ContactId>, StoreError> {
    let mut writers = Vec::with_capacity(members.len());
    for (Member { call, attempt }, also) in members.iter().zip(also) {
        writers.push(contacts::Writer {
            owner: &call.owner,
            address: &call.from,
            also: also.as_ref(),
            profile_name: call.profile_name.as_deref(),
            at: attempt.now(),
        });
    }
    contacts::find_or_create_each(tx, &writers).await
}

async fn conversations_of(
    tx: &DatabaseTransaction,
    members: &[Member<'_, Persist>],
    contacts: &[ContactId],
) -> Result<Vec<Conversation>, StoreError> {
    let encounter = |(member, contact)| {
        let Member { call, attempt }: &Member<'_, Persist> = member;
        conversations::Encounter {
            owner: &call.owner,
            parties: Parties {
                contact,
                ours: &call.to,
                theirs: &call.from,
            },
            at: attempt.now(),
            // WhatsApp's window of 24 hours is counted from what was written, not from when we found it.
            heard_at: Some(call.received_at.unwrap_or(attempt.now()).min(attempt.now())),
        }
    };
    let encounters: Vec<_> = members.iter().zip(contacts).map(encounter).collect();
    conversations::open_or_find_each(tx, &encounters).await
}

async fn insert(
    tx: &DatabaseTransaction,
    members: &[Member<'_, Persist>],
    (contents, said): (&[InboundContent], &[Option<String>]),
    (contacts, conversations): (&[ContactId], &[Conversation]),
) -> Result<Vec<MessageId>, StoreError> {
    let form = |member: &Member<'_, Persist>| serde_json::to_string(&member.call.form).unwrap_or_default();
    let forms: Vec<String> = members.iter().map(form).collect();
    let mut new = Vec::with_capacity(members.len());
    for (((member, form), (content, said)), (contact, conversation)) in members
        .iter()
        .zip(&forms)
        .zip(contents.iter().zip(said))
        .zip(contacts.iter().zip(conversations))
    {
        let call = member.call;
        let message = messages::NewInbound {
            conversation: &conversation.id,
            contact,
            twilio_sid: &call.sid,
            kind: call.kind(content),
            body: said.as_deref().unwrap_or(&call.body),
            run: member.run(),
            form,
            received_at: member.attempt.now(),
        };
        new.push((&call.owner, message));
    }
    let inserted = messages::insert_inbound_each(tx, &new).await?;
    Ok(inserted
        .into_iter()
        .map(|inserted| inserted.id().clone())
        .collect())
}

/// Does what contacts say about being written to, which is rare enough to be done one by one.
async fn obey(
    tx: &DatabaseTransaction,
    members: &[Member<'_, Persist>],
    arrivals: &[Arrival],
) -> Result<(), StoreError> {
    for (Member { call, attempt }, arrival) in members.iter().zip(arrivals) {
        match arrival.opt_out {
            Some(OptOut::Stop) => {
                opt_outs::set(tx, &call.owner, &call.from, "message", attempt.now()).await?;
            }
            Some(OptOut::Start) => opt_outs::clear(tx, &call.owner, &call.from).await?,
            Some(OptOut::Help) | None => {}
        }
    }
    Ok(())
}

/// The message is used; the answer is given back where no agent will give one.
async fn settle(
    tx: &DatabaseTransaction,
    members: &[Member<'_, Persist>],
    arrivals: &[Arrival],
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let mut settlements = Vec::with_capacity(members.len());
    for (member, arrival) in members.iter().zip(arrivals) {
        let settle = |feature, end| Settlement {
            owner: &member.call.owner,
            run: member.run(),
            feature,
            end,
        };
        settlements.push(settle(MESSAGES, End::Committed));
        if arrival.state == ConversationState::HumanHandoff || arrival.opt_out.is_some() {
            settlements.push(settle(AGENT_ANSWERS, End::Released));
        }
    }
    billing::settle_each(tx, &settlements, now).await?;
    Ok(())
}
