//! `/conversations/{id}`: what both sides said, and all that was done for it, in one line of time.
mod entry;
mod kept;

use std::collections::{BTreeSet, HashMap};

use askama::{Template, filters::HtmlSafe};
use chrono::{DateTime, Utc};
use poem::{
    Response, handler,
    http::StatusCode,
    web::{Data, Path, Query},
};
use recado_domain::{ConversationId, MessageId, OwnerId};
use recado_engine::{Event, Run, RunId, StorageError};
use recado_store::{
    StoreError, audit,
    conversations::{self, Conversation},
    messages::{self, Message, StatusEvent},
    transitions::{self, Step},
};
use serde::Deserialize;

use self::{entry::Entry, kept::Kept};
use super::{
    conversations::{Row, at},
    layout::{Here, Layout, html},
    live::{Followed, Sections, cursor, follow},
    media::{self, Attachments},
    moment::Moment,
    owners::Choice,
    problem::{no_database, not_found, of_store},
    runs::runs_like,
    sight::Sight,
};
use crate::{app::App, line::Line, t};

/// Messages on one page, the latest first to be read.
const LIMIT: u64 = 50;
/// Events of each run that are read; its own page has the others.
const EVENTS: u32 = 100;

/// Which part of a conversation, of whom.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Asked {
    owner: String,
    cursor: String,
    reveal: String,
}

#[derive(Template)]
#[template(path = "thread.html")]
struct Page<'a> {
    layout: Layout,
    id: &'a str,
    owner: &'a str,
    back: String,
    source: String,
    list: String,
    masked: String,
    first: Option<String>,
    sight: &'a Sight,
    contact: &'a str,
    head: Head,
    thread: Thread<'a>,
}

/// What stands at the top.
#[derive(Template)]
#[template(path = "thread_head.html")]
struct Head {
    row: Row,
    handed: Option<Moment>,
    queue: Option<String>,
    previous: Option<String>,
    revealed: Option<Moment>,
    /// Where the runs with the contact are listed, while the number is shown.
    runs: Option<String>,
}

#[derive(Template)]
#[template(path = "thread_entries.html")]
struct Thread<'a> {
    entries: Vec<Entry<'a>>,
    earlier: Option<String>,
}

impl HtmlSafe for Head {}
impl HtmlSafe for Thread<'_> {}

/// What the database says of a conversation, as far as the page shows it.
struct Seen {
    conversation: Conversation,
    messages: Vec<Message>,
    /// The cursor of the messages before these.
    earlier: Option<String>,
    heard: Vec<StatusEvent>,
    attachments: HashMap<MessageId, Attachments>,
    moves: Vec<Step>,
    runs: Vec<Run>,
    events: Vec<(RunId, Event)>,
    revealed: Option<DateTime<Utc>>,
}

#[handler]
pub(crate) async fn show(
    Path(id): Path<String>,
    Query(asked): Query<Asked>,
    Data(app): Data<&App>,
) -> Response {
    let following = match Following::of(app, id, asked).await {
        Ok(following) => following,
        Err(error) => return no_database(&error),
    };
    let seen = match following.look().await {
        Ok(Some(seen)) => seen,
        Ok(None) => return not_found(),
        Err(error) => return no_database(&error),
    };
    let contact = following.contact(&seen);
    let (id, owner) = (following.id.as_str(), following.owner.as_str());
    let page = Page {
        layout: Layout::new(t("Conversation"), Here::Conversations, app.config.dev),
        id,
        owner,
        back: following.at("", &following.cursor),
        source: following.source(),
        list: at("/conversations", &[("owner", owner)]),
        masked: at(&following.path(), &[("owner", owner)]),
        first: following.is_earlier().then(|| following.address("")),
        sight: &following.sight,
        contact: &contact,
        head: following.head(&seen),
        thread: following.thread(&seen),
    };
    html(StatusCode::OK, &page)
}

#[handler]
pub(crate) async fn live(
    Path(id): Path<String>,
    Query(asked): Query<Asked>,
    Data(app): Data<&App>,
) -> Response {
    match Following::of(app, id, asked).await {
        Ok(following) => follow(following),
        Err(error) => no_database(&error),
    }
}

struct Following {
    app: App,
    id: ConversationId,
    owner: OwnerId,
    cursor: String,
    sight: Sight,
    kept: Kept,
}

impl Following {
    async fn of(app: &App, id: String, asked: Asked) -> Result<Self, StorageError> {
        let sight = Sight::of(app, &format!("conversation:{id}"), &asked.reveal).await;
        Ok(Self {
            app: app.clone(),
            id: ConversationId::from(id),
            owner: Choice::of(app, &asked.owner).await?.owner,
            cursor: asked.cursor,
            sight: sight.map_err(of_store)?,
            kept: Kept::default(),
        })
    }

    fn path(&self) -> String {
        format!("/conversations/{}", self.id)
    }

    fn at(&self, path: &str, cursor: &str) -> String {
        let reveal = self.sight.key().unwrap_or_default();
        let fields = [
            ("owner", self.owner.as_str()),
            ("cursor", cursor),
            ("reveal", reveal),
        ];
        at(path, &fields)
    }

    fn address(&self, cursor: &str) -> String {
        self.at(&self.path(), cursor)
    }

    fn source(&self) -> String {
        self.at(&format!("{}/live", self.path()), &self.cursor)
    }

    fn is_earlier(&self) -> bool {
        !self.cursor.is_empty()
    }

    fn contact(&self, seen: &Seen) -> String {
        match &self.sight {
            Sight::Masked => seen.conversation.theirs.masked(),
            Sight::Whole { .. } => seen.conversation.theirs.to_twilio(),
        }
    }

    fn head(&self, seen: &Seen) -> Head {
        let conversation = &seen.conversation;
        let previous = conversation.previous.as_ref();
        Head {
            row: Row {
                contact: self.contact(seen),
                ..Row::of(conversation, &self.owner)
            },
            handed: conversation.handoff_at.map(Moment::relative),
            queue: conversation.queue.clone(),
            previous: previous.map(|id| super::conversations::address(&self.owner, id.as_str())),
            revealed: seen.revealed.map(Moment::relative),
            runs: self.sight.is_whole().then(|| {
                let line = Line::default().with("owner", self.owner.as_str());
                runs_like(&line.with("contact", &conversation.theirs.to_twilio()))
            }),
        }
    }

    fn thread<'a>(&'a self, seen: &'a Seen) -> Thread<'a> {
        Thread {
            entries: entry::merge(seen, &self.sight),
            earlier: seen.earlier.as_deref().map(|cursor| self.address(cursor)),
        }
    }

    async fn read(&self) -> Result<Option<Seen>, StoreError> {
        let (conn, owner) = (&self.app.environment.database, &self.owner);
        let Some(conversation) = conversations::get(conn, owner, &self.id).await? else {
            return Ok(None);
        };
        let cursor = Some(self.cursor.as_str()).filter(|cursor| !cursor.is_empty());
        let page = messages::thread(conn, owner, &self.id, cursor, LIMIT).await?;
        let ids: Vec<MessageId> = page.items.iter().map(|message| message.id.clone()).collect();
        // What happened between two pages stands on the later one.
        let until = match cursor {
            Some(cursor) => messages::find(conn, owner, &MessageId::from(cursor))
                .await?
                .map(|message| message.created_at),
            None => None,
        };
        let from = page.items.last().filter(|_| page.next.is_some());
        let from = from.map(|message| message.created_at);
        let mut moves = transitions::list(conn, owner, &self.id).await?;
        moves.retain(|step| {
            from.is_none_or(|from| step.at >= from) && until.is_none_or(|until| step.at < until)
        });
        let revealed = audit::list(conn, &format!("conversation:{}", self.id), 1).await?;
        Ok(Some(Seen {
            conversation,
            heard: messages::status_events(conn, owner, &ids).await?,
            attachments: match &self.sight {
                Sight::Whole { .. } => {
                    media::of_messages(&self.app, owner, &ids.iter().collect::<Vec<_>>()).await?
                }
                Sight::Masked => HashMap::new(),
            },
            messages: page.items,
            earlier: page.next,
            moves,
            runs: Vec::new(),
            events: Vec::new(),
            revealed: revealed.first().map(|entry| entry.at),
        }))
    }
}

impl Followed for Following {
    type Seen = Option<Seen>;

    async fn look(&self) -> Result<Self::Seen, StorageError> {
        let Some(mut seen) = self.read().await.map_err(of_store)? else {
            return Ok(None);
        };
        let runs: BTreeSet<&str> = seen
            .messages
            .iter()
            .filter_map(|message| message.run.as_deref())
            .collect();
        let runs: Vec<RunId> = runs.into_iter().map(RunId::from).collect();
        let storage = self.app.engine.storage();
        (seen.runs, seen.events) = self.kept.look(storage, &runs).await?;
        Ok(Some(seen))
    }

    fn until(&self) -> Option<DateTime<Utc>> {
        self.sight.until()
    }

    fn cursor(&self, seen: &Self::Seen) -> u64 {
        let Some(seen) = seen else {
            return 0;
        };
        let message = |message: &Message| (message.id.clone(), message.status, message.updated_at);
        let run = |run: &Run| (run.id.clone(), run.state, run.since, run.waiting_for.clone());
        cursor(&(
            seen.messages.iter().map(message).collect::<Vec<_>>(),
            seen.runs.iter().map(run).collect::<Vec<_>>(),
            (
                seen.events.len(),
                seen.heard.len(),
                seen.moves.len(),
                seen.attachments.len(),
            ),
            (seen.conversation.version, seen.revealed),
        ))
    }

    fn sections(&self, seen: &Self::Seen) -> Sections {
        let Some(seen) = seen else {
            return Sections::new();
        };
        Sections::from([
            ("head", self.head(seen).render().unwrap_or_default()),
            ("thread", self.thread(seen).render().unwrap_or_default()),
        ])
    }
}
