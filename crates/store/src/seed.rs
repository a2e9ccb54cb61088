//! Something to look at: owners, people, plans and a conversation, for `recado seed` and `recado dev`.
use chrono::{DateTime, Duration, Utc};
use recado_domain::{Actor, Address, ConversationId, ConversationState, Direction, MessageStatus, OwnerId};
use sea_orm::ConnectionTrait;
use secrecy::SecretString;

use crate::{
    Secret, StoreError, accounts, contacts,
    conversations::{self, Parties},
    messages::{self, NewInbound, NewOutbound},
    owners::{self, DEFAULT},
    plans, questions, specialists,
    subscriptions::{self, Period, SubscriptionState},
    transitions::{self, Change},
    users::{self, NewUser},
};

mod content;

use content::{ACCOUNTS, OWNERS, QUESTIONS, SPECIALISTS, TALK, USERS};

/// What there is to look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seeded {
    /// The owners: `default`, and two with Twilio accounts of their own.
    pub owners: Vec<OwnerId>,
    /// The e-mail addresses of the people.
    pub users: Vec<&'static str>,
    /// The SIDs of the two Twilio accounts.
    pub accounts: Vec<&'static str>,
    /// The conversation, which is the owner `default`'s.
    pub conversation: ConversationId,
}

/// Puts it there; what is there already stays as it is. Needs a transaction.
///
/// # Errors
/// Those of the database.
pub async fn seed(
    conn: &impl ConnectionTrait,
    secret: &Secret,
    now: DateTime<Utc>,
) -> Result<Seeded, StoreError> {
    plans::install(conn).await?;
    for (id, name, plan) in OWNERS {
        let owner = OwnerId::from(id);
        owners::create(conn, &owner, name, "pt", now).await?;
        let period = if plan == plans::UNLIMITED {
            Period::Lifetime
        } else {
            Period::Month
        };
        subscriptions::begin(conn, &owner, plan, period, SubscriptionState::Active, now).await?;
        teach(conn, &owner, now).await?;
    }
    for (owner, email, name, role) in USERS {
        invite(
            conn,
            &OwnerId::from(owner),
            NewUser {
                email,
                name,
                role,
                password_hash: None,
            },
            now,
        )
        .await?;
    }
    for (owner, sid, token, number) in ACCOUNTS {
        let (owner, token) = (OwnerId::from(owner), SecretString::from(token));
        accounts::put(conn, secret, &owner, sid, &token, now).await?;
        accounts::add_number(conn, &owner, sid, &Address::parse(number)?, now).await?;
    }
    Ok(Seeded {
        owners: OWNERS.map(|(id, ..)| OwnerId::from(id)).to_vec(),
        users: USERS.map(|(_, email, ..)| email).to_vec(),
        accounts: ACCOUNTS.map(|(_, sid, ..)| sid).to_vec(),
        conversation: converse(conn, &OwnerId::from(DEFAULT), now).await?,
    })
}

async fn teach(conn: &impl ConnectionTrait, owner: &OwnerId, now: DateTime<Utc>) -> Result<(), StoreError> {
    for (number, (question, answer, keywords)) in QUESTIONS.into_iter().enumerate() {
        let id = format!("{owner}-{number:02}");
        questions::put(conn, owner, &id, (question, answer, keywords), now).await?;
    }
    for (name, keywords, instructions) in SPECIALISTS {
        specialists::insert(conn, owner, name, keywords, instructions).await?;
    }
    Ok(())
}

async fn invite(
    conn: &impl ConnectionTrait,
    owner: &OwnerId,
    user: NewUser<'_>,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    match users::insert(conn, owner, user, now).await {
        Ok(_) | Err(StoreError::Taken(_)) => Ok(()),
        Err(error) => Err(error),
    }
}

/// The talk, a minute between two messages, the last of them a minute ago.
async fn converse(
    conn: &impl ConnectionTrait,
    owner: &OwnerId,
    now: DateTime<Utc>,
) -> Result<ConversationId, StoreError> {
    let sid = |number: usize| format!("SM5eed{number:028x}");
    if let Some(first) = messages::by_sid(conn, owner, &sid(0)).await? {
        return Ok(first.conversation);
    }
    let (ours, theirs) = (Address::parse(content::OURS)?, Address::parse(content::THEIRS)?);
    let begun = now - Duration::minutes(i64::try_from(TALK.len()).unwrap_or(0));
    let contact = contacts::find_or_create(conn, owner, &theirs, Some(content::CONTACT), begun).await?;
    let parties = Parties {
        contact: &contact,
        ours: &ours,
        theirs: &theirs,
    };
    let conversation = conversations::open_or_find(conn, owner, parties, begun).await?.id;
    let mut at = begun;
    for (number, (direction, body)) in TALK.into_iter().enumerate() {
        let (sid, token) = (sid(number), format!("seed-{number}"));
        match direction {
            Direction::Inbound => {
                let new = NewInbound {
                    conversation: &conversation,
                    contact: &contact,
                    kind: "text",
                    body,
                    twilio_sid: &sid,
                    run: "seed",
                    form: "{}",
                    received_at: at,
                };
                messages::insert_inbound(conn, owner, &new).await?;
                conversations::heard(conn, owner, parties, at).await?;
            }
            Direction::Outbound => {
                let new = NewOutbound {
                    conversation: &conversation,
                    contact: &contact,
                    kind: "text",
                    body,
                    token: &token,
                    run: None,
                    part: 0,
                    form: None,
                };
                messages::insert_outbound(conn, owner, &new, at).await?;
                messages::mark_sent(conn, owner, &token, &sid, MessageStatus::Read, at).await?;
            }
        }
        at += Duration::minutes(1);
    }
    let change = Change::new(ConversationState::Progress, Actor::Agent, "answered");
    transitions::apply(conn, owner, &conversation, change, begun).await?;
    Ok(conversation)
}
