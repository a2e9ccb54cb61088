//! `/conversations`: with whom an owner speaks, and where each conversation stands.
use askama::{Template, filters::HtmlSafe};
use poem::{
    Response, handler,
    http::StatusCode,
    web::{Data, Query},
};
use recado_domain::{Address, ConversationState, OwnerId};
use recado_engine::StorageError;
use recado_store::{
    Page as Of,
    conversations::{self, Conversation, LOOKED_THROUGH, Sought},
};
use serde::Deserialize;

use super::{
    language::tell,
    layout::{Here, Layout, html},
    live::{Followed, Sections, cursor, follow},
    moment::Moment,
    owners::Choice,
    problem::{no_database, of_store, problem},
    text::short,
};
use crate::{app::App, line::addresses, t};

/// Conversations on one page.
const LIMIT: u64 = 50;

/// What a reader asks for, as it stands in the fields.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Asked {
    owner: String,
    state: String,
    contact: String,
    text: String,
    cursor: String,
}

/// The same, understood.
struct Meant {
    state: Option<ConversationState>,
    theirs: Vec<Address>,
}

#[derive(Template)]
#[template(path = "conversations.html")]
struct Page<'a> {
    layout: Layout,
    asked: &'a Asked,
    owners: &'a [String],
    states: [ConversationState; 9],
    told: Option<&'static str>,
    live: bool,
    source: String,
    list: List<'a>,
}

#[derive(Template)]
#[template(path = "conversation_list.html")]
struct List<'a> {
    asked: &'a Asked,
    told: bool,
    rows: Vec<Row>,
    next: Option<String>,
}

impl HtmlSafe for List<'_> {}

/// A conversation as a line of the list.
pub(super) struct Row {
    pub(super) id: String,
    pub(super) short: String,
    pub(super) link: String,
    pub(super) contact: String,
    pub(super) ours: String,
    pub(super) state: ConversationState,
    pub(super) opened: Moment,
    pub(super) heard: Option<Moment>,
    pub(super) closed: Option<Moment>,
}

impl Row {
    pub(super) fn of(conversation: &Conversation, owner: &OwnerId) -> Self {
        Self {
            id: conversation.id.to_string(),
            short: short(conversation.id.as_str()).to_owned(),
            link: address(owner, conversation.id.as_str()),
            contact: conversation.theirs.masked(),
            ours: conversation.ours.to_twilio(),
            state: conversation.state,
            opened: Moment::relative(conversation.opened_at),
            heard: conversation.last_inbound_at.map(Moment::relative),
            closed: conversation.closed_at.map(Moment::relative),
        }
    }
}

/// Where a conversation's page is.
pub(super) fn address(owner: &OwnerId, id: &str) -> String {
    at(&format!("/conversations/{id}"), &[("owner", owner.as_str())])
}

impl Asked {
    fn meant(&self) -> Result<Meant, &'static str> {
        let state = match self.state.as_str() {
            "" => None,
            word => Some(
                ConversationState::parse(word)
                    .map_err(|_| t("There is no such state. Choose one of the list."))?,
            ),
        };
        let theirs = addresses(&self.contact);
        if !self.contact.trim().is_empty() && theirs.is_empty() {
            return Err(t(
                "The contact must be a number with its country, like +5511987654321, or an address as Twilio writes it.",
            ));
        }
        Ok(Meant { state, theirs })
    }

    fn is_filtered(&self) -> bool {
        [&self.state, &self.contact, &self.text]
            .iter()
            .any(|field| !field.trim().is_empty())
    }

    fn fields<'a>(&'a self, cursor: &'a str) -> [(&'a str, &'a str); 5] {
        [
            ("owner", &self.owner),
            ("state", &self.state),
            ("contact", &self.contact),
            ("text", &self.text),
            ("cursor", cursor),
        ]
    }

    fn source(&self) -> String {
        at("/conversations/live", &self.fields(""))
    }

    fn next(&self, cursor: &str) -> String {
        at("/conversations", &self.fields(cursor))
    }

    fn all(&self) -> String {
        at("/conversations", &[("owner", &self.owner)])
    }
}

/// A path with those of `fields` that say something.
pub(super) fn at(path: &str, fields: &[(&str, &str)]) -> String {
    let said = fields.iter().filter(|(_, value)| !value.is_empty());
    let query = url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs(said)
        .finish();
    match query.as_str() {
        "" => path.to_owned(),
        query => format!("{path}?{query}"),
    }
}

#[handler]
pub(crate) async fn list(Query(asked): Query<Asked>, Data(app): Data<&App>) -> Response {
    let choice = match Choice::of(app, &asked.owner).await {
        Ok(choice) => choice,
        Err(error) => return no_database(&error),
    };
    let following = Following {
        app: app.clone(),
        asked: Asked {
            owner: choice.owner.to_string(),
            ..asked
        },
    };
    let told = following.asked.meant().err();
    let seen = match told {
        None => following.look().await,
        Some(_) => Ok(Of {
            items: Vec::new(),
            next: None,
        }),
    };
    let seen = match seen {
        Ok(seen) => seen,
        Err(error) => return no_database(&error),
    };
    let asked = &following.asked;
    let page = Page {
        layout: Layout::new(t("Conversations"), Here::Conversations, app.config.dev),
        owners: &choice.all,
        states: ConversationState::ALL,
        told,
        live: asked.cursor.is_empty() && told.is_none(),
        source: asked.source(),
        list: following.list(&seen, told.is_some()),
        asked,
    };
    let status = told.map_or(StatusCode::OK, |_| StatusCode::BAD_REQUEST);
    html(status, &page)
}

#[handler]
pub(crate) async fn live(Query(asked): Query<Asked>, Data(app): Data<&App>) -> Response {
    match asked.meant() {
        Ok(_) => follow(Following {
            app: app.clone(),
            asked,
        }),
        Err(told) => problem(StatusCode::BAD_REQUEST, t("That cannot be looked for"), told),
    }
}

struct Following {
    app: App,
    asked: Asked,
}

impl Following {
    fn owner(&self) -> OwnerId {
        OwnerId::from(self.asked.owner.as_str())
    }

    fn list(&self, seen: &Of<Conversation>, told: bool) -> List<'_> {
        let owner = self.owner();
        List {
            asked: &self.asked,
            told,
            rows: seen.items.iter().map(|one| Row::of(one, &owner)).collect(),
            next: seen.next.as_deref().map(|cursor| self.asked.next(cursor)),
        }
    }
}

impl List<'_> {
    /// How far was looked, where it was not everywhere.
    fn looked(&self) -> Option<String> {
        let is_cut = !self.asked.text.trim().is_empty();
        let given = [("n", LOOKED_THROUGH.to_string())];
        is_cut.then(|| tell("The text is looked for in {n} conversations at a time.", &given))
    }
}

impl Followed for Following {
    type Seen = Of<Conversation>;

    async fn look(&self) -> Result<Self::Seen, StorageError> {
        let Ok(meant) = self.asked.meant() else {
            return Ok(Of {
                items: Vec::new(),
                next: None,
            });
        };
        let text = Some(self.asked.text.trim()).filter(|text| !text.is_empty());
        let cursor = Some(self.asked.cursor.as_str()).filter(|cursor| !cursor.is_empty());
        let sought = Sought {
            state: meant.state,
            theirs: &meant.theirs,
            contacts: &[],
            text,
        };
        let conn = &self.app.environment.database;
        conversations::find(conn, &self.owner(), sought, cursor, LIMIT)
            .await
            .map_err(of_store)
    }

    fn cursor(&self, seen: &Self::Seen) -> u64 {
        cursor(&(&seen.items, &seen.next))
    }

    fn sections(&self, seen: &Self::Seen) -> Sections {
        Sections::from([("list", self.list(seen, false).render().unwrap_or_default())])
    }
}
