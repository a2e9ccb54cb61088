//! How conversations move from state to state, and the history of it.
use chrono::{DateTime, Utc};
use recado_domain::{Actor, ConversationId, ConversationState, OwnerId, Transition};
use sea_orm::{ConnectionTrait, FromQueryResult};
use serde::Serialize;

use crate::{
    StoreError,
    conversations::{self, Conversation},
    statement::{execute, statement, text, text_or_null},
};

/// How often a writer reads again because another was faster.
pub(crate) const TRIES: usize = 8;

/// What somebody asks of a conversation.
#[derive(Clone, Copy, Debug)]
pub struct Change<'a> {
    /// The state it should be in.
    pub to: ConversationState,
    /// Who asks.
    pub actor: Actor,
    /// Why, for the history; no contact's words.
    pub reason: &'a str,
    /// Which people are wanted, for `human_handoff`.
    pub queue: Option<&'a str>,
    /// The version the asker saw; `None` for whoever takes it as it is.
    pub version: Option<i64>,
}

impl<'a> Change<'a> {
    /// A change of the conversation as it is.
    pub fn new(to: ConversationState, actor: Actor, reason: &'a str) -> Self {
        Self {
            to,
            actor,
            reason,
            queue: None,
            version: None,
        }
    }
}

/// What became of it.
#[derive(Clone, Debug)]
pub struct Moved {
    /// The conversation as it is now.
    pub conversation: Conversation,
    /// Whether it moved; `Ignore` and `Forbidden` have changed nothing.
    pub transition: Transition,
}

/// One row of history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Step {
    /// The version that the conversation got by it, from 1.
    pub version: i64,
    /// Whence.
    pub from: ConversationState,
    /// Whither.
    pub to: ConversationState,
    /// By whom.
    pub actor: Actor,
    /// Why.
    pub reason: String,
    /// When.
    pub at: DateTime<Utc>,
}

#[derive(FromQueryResult)]
struct Row {
    version: i64,
    from_state: String,
    to_state: String,
    actor: String,
    reason: String,
    at: DateTime<Utc>,
}

impl TryFrom<Row> for Step {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        Ok(Self {
            version: row.version,
            from: ConversationState::parse(&row.from_state)?,
            to: ConversationState::parse(&row.to_state)?,
            actor: Actor::parse(&row.actor)?,
            reason: row.reason,
            at: row.at,
        })
    }
}

/// Moves a conversation if [`ConversationState::transition`] lets it, and writes its history. Needs a transaction,
/// else a crash between the two leaves a step out of the history.
///
/// # Errors
/// [`StoreError::NotFound`] when the owner has no such conversation; [`StoreError::Stale`] when it is not at the
/// version that the asker saw, or others are always faster.
pub async fn apply(
    conn: &impl ConnectionTrait,
    owner: &OwnerId,
    id: &ConversationId,
    change: Change<'_>,
    now: DateTime<Utc>,
) -> Result<Moved, StoreError> {
    for _ in 0..TRIES {
        let conversation = conversations::get(conn, owner, id)
            .await?
            .ok_or(StoreError::NotFound("conversation"))?;
        if change
            .version
            .is_some_and(|version| version != conversation.version)
        {
            return Err(StoreError::Stale("conversation"));
        }
        let transition = conversation.state.transition(change.to);
        if transition != Transition::Apply {
            return Ok(Moved {
                conversation,
                transition,
            });
        }
        if let Some(conversation) = write(conn, owner, conversation, change, now).await? {
            return Ok(Moved {
                conversation,
                transition,
            });
        }
    }
    Err(StoreError::Stale("conversation"))
}

/// The history of a conversation, oldest first.
///
/// # Errors
/// Those of the database.
pub async fn list(
    conn: &impl ConnectionTrait,
    owner: &OwnerId,
    id: &ConversationId,
) -> Result<Vec<Step>, StoreError> {
    let sql = "
        select version, from_state, to_state, actor, reason, at from conversation_transitions
        where owner = $1 and conversation = $2 order by version";
    let values = vec![text(owner.as_str()), text(id.as_str())];
    let rows = Row::find_by_statement(statement(conn, sql, values))
        .all(conn)
        .await?;
    rows.into_iter().map(Step::try_from).collect()
}

/// The conversation after the change, or `None` when another writer was faster.
async fn write(
    conn: &impl ConnectionTrait,
    owner: &OwnerId,
    mut conversation: Conversation,
    change: Change<'_>,
    now: DateTime<Utc>,
) -> Result<Option<Conversation>, StoreError> {
    let (from, seen) = (conversation.state, conversation.version);
    conversation.state = change.to;
    conversation.version += 1;
    conversation.updated_at = conversation.updated_at.max(now);
    let is_handoff = change.to == ConversationState::HumanHandoff;
    conversation.handoff_at = is_handoff.then_some(now);
    conversation.queue = change.queue.filter(|_| is_handoff).map(str::to_owned);
    conversation.closed_at = conversation.closed_at.or(change.to.is_final().then_some(now));
    let sql = "
        update conversations set state = $4, version = version + 1, updated_at = $5, handoff_at = $6, queue = $7,
            closed_at = $8
        where owner = $1 and id = $2 and version = $3";
    let values = vec![
        text(owner.as_str()),
        text(conversation.id.as_str()),
        seen.into(),
        text(change.to.as_str()),
        conversation.updated_at.into(),
        conversation.handoff_at.into(),
        text_or_null(conversation.queue.as_deref()),
        conversation.closed_at.into(),
    ];
    if execute(conn, sql, values).await? == 0 {
        return Ok(None);
    }
    let sql = "
        insert into conversation_transitions
            (owner, conversation, version, from_state, to_state, actor, reason, at)
        values ($1, $2, $3, $4, $5, $6, $7, $8)";
    let values = vec![
        text(owner.as_str()),
        text(conversation.id.as_str()),
        conversation.version.into(),
        text(from.as_str()),
        text(change.to.as_str()),
        text(change.actor.as_str()),
        text(change.reason),
        now.into(),
    ];
    execute(conn, sql, values).await?;
    Ok(Some(conversation))
}
