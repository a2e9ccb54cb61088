//! Conversations, as JSON.
use chrono::{DateTime, Utc};
use poem::web::Data;
use poem_openapi::{
    Object, OpenApi,
    param::{Header, Path, Query},
    payload::Json,
};
use recado_domain::{Actor, Address, ConversationId, ConversationState};
use recado_engine::StorageError;
use recado_store::{
    StoreError, conversations,
    transitions::{self, Change},
};

use super::{Operator, Tag, lists};
use crate::{app::App, http::Problem};

/// Conversations.
pub(super) struct Conversations;

/// A conversation, and where it stands.
#[derive(Object)]
pub(super) struct ConversationItem {
    id: String,
    /// The contact.
    contact: String,
    /// sms or whatsapp.
    channel: String,
    /// Our address.
    our_address: String,
    /// The contact's address.
    contact_address: String,
    /// pending, progress, human_handoff, idle_timeout, or how it was closed.
    state: String,
    opened_at: DateTime<Utc>,
    last_inbound_at: Option<DateTime<Utc>>,
    /// Since when it is in the hands of people.
    handoff_at: Option<DateTime<Utc>>,
    closed_at: Option<DateTime<Utc>>,
}

impl From<conversations::Conversation> for ConversationItem {
    fn from(conversation: conversations::Conversation) -> Self {
        Self {
            id: conversation.id.to_string(),
            contact: conversation.contact.to_string(),
            channel: conversation.channel.to_string(),
            our_address: conversation.ours.to_twilio(),
            contact_address: conversation.theirs.to_twilio(),
            state: conversation.state.to_string(),
            opened_at: conversation.opened_at,
            last_inbound_at: conversation.last_inbound_at,
            handoff_at: conversation.handoff_at,
            closed_at: conversation.closed_at,
        }
    }
}

/// A page of conversations, newest first.
#[derive(Object)]
pub(super) struct ConversationPage {
    items: Vec<ConversationItem>,
    /// The cursor of the next page, if there is one.
    next: Option<String>,
}

/// Why a change was not made.
pub(super) enum Refused {
    NoneSuch,
    NotInHumanHands(ConversationState),
    Store(StoreError),
    Storage(StorageError),
}

impl From<StorageError> for Refused {
    fn from(error: StorageError) -> Self {
        Self::Storage(error)
    }
}

impl From<StoreError> for Refused {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<Refused> for Problem {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::NoneSuch => Self::not_found("conversation"),
            Refused::NotInHumanHands(state) => Self::new(
                poem::http::StatusCode::CONFLICT,
                format!("the conversation is in {state}; only one in human_handoff can be given back"),
            ),
            Refused::Store(error) => error.into(),
            Refused::Storage(error) => error.into(),
        }
    }
}

#[OpenApi(tag = "Tag::Conversations")]
impl Conversations {
    /// Lists an owner's conversations, newest first
    #[oai(path = "/conversations", method = "get")]
    #[expect(clippy::too_many_arguments, reason = "each is a parameter of the URL")]
    async fn list(
        &self,
        Data(app): Data<&App>,
        _operator: Operator,
        /// The owner for whom to act; `default` if absent.
        #[oai(name = "Recado-Owner")]
        owner: Header<Option<String>>,
        state: Query<Option<String>>,
        /// Only with this contact's address, as Twilio writes it.
        contact: Query<Option<String>>,
        limit: Query<Option<u64>>,
        cursor: Query<Option<String>>,
    ) -> poem::Result<Json<ConversationPage>> {
        let filter = conversations::Filter {
            state: lists::word("state", state.0, |text| ConversationState::parse(text).ok())?,
            theirs: lists::word("contact", contact.0, |text| Address::parse(text).ok())?,
        };
        let (owner, limit) = (lists::owner(owner.0), lists::limit(limit.0)?);
        let conn = &app.environment.database;
        let page = conversations::list(conn, &owner, &filter, cursor.0.as_deref(), limit)
            .await
            .map_err(Problem::from)?;
        Ok(Json(ConversationPage {
            items: page.items.into_iter().map(Into::into).collect(),
            next: page.next,
        }))
    }

    /// Gives a conversation that people have back to the agent
    #[oai(path = "/conversations/:id/hand-back", method = "post")]
    async fn hand_back(
        &self,
        Data(app): Data<&App>,
        _operator: Operator,
        /// The owner for whom to act; `default` if absent.
        #[oai(name = "Recado-Owner")]
        owner: Header<Option<String>>,
        id: Path<String>,
    ) -> poem::Result<Json<ConversationItem>> {
        let (owner, id) = (lists::owner(owner.0), ConversationId::from(id.0));
        let changed = app.engine.storage().transaction(move |tx| {
            Box::pin(async move {
                let now = Utc::now();
                let found = conversations::get(tx, &owner, &id)
                    .await?
                    .ok_or(Refused::NoneSuch)?;
                if found.state != ConversationState::HumanHandoff {
                    return Err(Refused::NotInHumanHands(found.state));
                }
                let to = ConversationState::Progress;
                let change = Change::new(to, Actor::Human, "given back to the agent");
                transitions::apply(tx, &owner, &id, change, now).await?;
                conversations::get(tx, &owner, &id)
                    .await?
                    .ok_or(Refused::NoneSuch)
            })
        });
        Ok(Json(changed.await.map_err(Problem::from)?.into()))
    }
}
