//! The search itself. What has an index is found wherever it is; of what has none it is said how far was looked.
use recado_domain::{ContactId, ConversationId, MessageId, OwnerId};
use recado_engine::{Run, RunId, StorageError, Workflow};
use recado_store::{
    StoreError, accounts, contacts,
    conversations::{self, Conversation, LOOKED_THROUGH, Sought},
    messages::{self, Message},
    prospects,
};
use recado_workflows::InboundMessage;

use crate::{
    app::App,
    line::{Line, addresses},
    pages::{
        conversations::address,
        language::tell,
        moment::Moment,
        problem::of_store,
        runs::runs_like,
        text::{masked, short},
    },
    t,
};

/// Hits of one kind that are shown.
const LIMIT: u64 = 20;

/// What was found of one kind.
pub(super) struct Group {
    pub(super) title: &'static str,
    pub(super) hits: Vec<Hit>,
    /// How far was looked, where it was not everywhere.
    pub(super) looked: Option<String>,
    /// Where all of them are.
    pub(super) all: Option<String>,
}

/// One thing that was found.
pub(super) struct Hit {
    pub(super) link: String,
    pub(super) title: String,
    pub(super) state: String,
    pub(super) detail: String,
    pub(super) at: Moment,
}

/// Looks for `sought` in all that is `owner`'s.
pub(super) async fn find(app: &App, owner: &OwnerId, sought: &str) -> Result<Vec<Group>, StorageError> {
    let conn = &app.environment.database;
    let found = Found::exactly(app, owner, sought).await?;
    let named = |title, hits: Vec<Hit>| Group {
        title,
        hits,
        looked: None,
        all: None,
    };
    let mut groups = vec![
        named(t("Runs"), found.runs.iter().map(Hit::of_run).collect()),
        named(
            t("Conversations"),
            found
                .conversations
                .iter()
                .map(|one| Hit::of_conversation(owner, one))
                .collect(),
        ),
        named(
            t("Messages"),
            found
                .messages
                .iter()
                .map(|one| Hit::of_message(owner, one))
                .collect(),
        ),
    ];
    // An id or a number is no text that anybody wrote, as far as one who searches for it is concerned.
    if groups.iter().all(|group| group.hits.is_empty()) {
        let said = messages::containing(conn, owner, sought, LIMIT as u32)
            .await
            .map_err(of_store)?;
        groups.push(Group {
            looked: Some(tell(
                "Looked through what was said in the last {n} conversations.",
                &[("n", LOOKED_THROUGH.to_string())],
            )),
            all: Some(conversations_with(owner, sought)),
            ..named(
                t("Said in messages"),
                said.iter().map(|one| Hit::of_message(owner, one)).collect(),
            )
        });
    }
    let line = Line::default().with("owner", owner.as_str()).with("text", sought);
    if let Ok(filter) = line.filter() {
        let page = app.engine.storage().runs(&filter, LIMIT, None).await?;
        let known = |run: &&Run| !found.runs.iter().any(|known| known.id == run.id);
        groups.push(Group {
            looked: Some(
                t("Looked through the ids, keys, lanes and errors of the last 20,000 runs.").to_owned(),
            ),
            all: Some(runs_like(&line)),
            ..named(
                t("Runs that mention it"),
                page.items.iter().filter(known).map(Hit::of_run).collect(),
            )
        });
    }
    groups.retain(|group| !group.hits.is_empty());
    Ok(groups)
}

fn conversations_with(owner: &OwnerId, text: &str) -> String {
    crate::pages::conversations::at("/conversations", &[("owner", owner.as_str()), ("text", text)])
}

/// What an id, a SID or a number names.
#[derive(Default)]
struct Found {
    runs: Vec<Run>,
    conversations: Vec<Conversation>,
    messages: Vec<Message>,
}

impl Found {
    async fn exactly(app: &App, owner: &OwnerId, sought: &str) -> Result<Self, StorageError> {
        let mut found = Self::default();
        if is_id(sought) {
            found.by_id(app, owner, &sought.to_ascii_uppercase()).await?;
        }
        if is_sid(sought) {
            found.by_sid(app, owner, sought).await?;
        }
        found.by_contact(app, owner, sought).await.map_err(of_store)?;
        Ok(found)
    }

    async fn by_id(&mut self, app: &App, owner: &OwnerId, id: &str) -> Result<(), StorageError> {
        let conn = &app.environment.database;
        self.run(app, owner, &RunId::from(id)).await?;
        let conversation = conversations::get(conn, owner, &ConversationId::from(id)).await;
        self.conversations.extend(conversation.map_err(of_store)?);
        let message = messages::find(conn, owner, &MessageId::from(id)).await;
        self.messages.extend(message.map_err(of_store)?);
        let contact = ContactId::from(id);
        if contacts::get(conn, owner, &contact)
            .await
            .map_err(of_store)?
            .is_some()
        {
            self.with(app, owner, &[contact]).await.map_err(of_store)?;
        }
        Ok(())
    }

    /// A run of this owner's, or one of which nobody knows yet whose it is.
    async fn run(&mut self, app: &App, owner: &OwnerId, id: &RunId) -> Result<(), StorageError> {
        let run = app.engine.storage().run(id).await?;
        let ours = |run: &Run| run.owner.as_deref().is_none_or(|of| of == owner.as_str());
        self.runs.extend(run.filter(ours));
        Ok(())
    }

    /// The message, its run, and the run that its webhook started, which may have no message yet.
    async fn by_sid(&mut self, app: &App, owner: &OwnerId, sid: &str) -> Result<(), StorageError> {
        let conn = &app.environment.database;
        let message = messages::by_sid(conn, owner, sid).await.map_err(of_store)?;
        let mut runs: Vec<RunId> = message
            .iter()
            .filter_map(|message| message.run.as_deref().map(RunId::from))
            .collect();
        for account in accounts::sids_of(conn, owner).await.map_err(of_store)? {
            let key = InboundMessage::key(&account, sid);
            let run = app
                .engine
                .storage()
                .run_by_key(InboundMessage::NAME, &key)
                .await?;
            runs.extend(
                run.filter(|run| !runs.contains(run))
                    .into_iter()
                    .collect::<Vec<_>>(),
            );
        }
        for run in runs {
            self.run(app, owner, &run).await?;
        }
        if let Some(message) = message {
            let conversation = conversations::get(conn, owner, &message.conversation).await;
            self.conversations.extend(conversation.map_err(of_store)?);
            self.messages.push(message);
        }
        Ok(())
    }

    /// The conversations with a number, or with a prospect by the owner's own id of it.
    async fn by_contact(&mut self, app: &App, owner: &OwnerId, sought: &str) -> Result<(), StoreError> {
        let conn = &app.environment.database;
        let theirs = addresses(sought);
        if !theirs.is_empty() {
            let sought = Sought {
                theirs: &theirs,
                ..Sought::default()
            };
            let page = conversations::find(conn, owner, sought, None, LIMIT).await?;
            self.conversations.extend(page.items);
        }
        let prospect = prospects::contacts(conn, owner, sought).await?;
        self.with(app, owner, &prospect).await
    }

    async fn with(&mut self, app: &App, owner: &OwnerId, contacts: &[ContactId]) -> Result<(), StoreError> {
        if contacts.is_empty() {
            return Ok(());
        }
        let sought = Sought {
            contacts,
            ..Sought::default()
        };
        let page = conversations::find(&app.environment.database, owner, sought, None, LIMIT).await?;
        let known: Vec<_> = self.conversations.iter().map(|one| one.id.clone()).collect();
        self.conversations
            .extend(page.items.into_iter().filter(|one| !known.contains(&one.id)));
        Ok(())
    }
}

impl Hit {
    fn of_run(run: &Run) -> Self {
        Self {
            link: format!("/runs/{}", run.id),
            title: format!("{} {}", run.workflow, short(run.id.as_str())),
            state: run.state.to_string(),
            detail: match (&run.outcome, &run.error) {
                (Some(outcome), _) => outcome.clone(),
                (None, Some(error)) => masked(error),
                (None, None) => String::new(),
            },
            at: Moment::relative(run.created_at),
        }
    }

    fn of_conversation(owner: &OwnerId, conversation: &Conversation) -> Self {
        Self {
            link: address(owner, conversation.id.as_str()),
            title: conversation.theirs.masked(),
            state: conversation.state.to_string(),
            detail: conversation.ours.to_twilio(),
            at: Moment::relative(conversation.opened_at),
        }
    }

    /// What it says is not told here: its conversation shows that to whoever reveals it.
    fn of_message(owner: &OwnerId, message: &Message) -> Self {
        let thread = address(owner, message.conversation.as_str());
        Self {
            link: format!("{thread}#message-{}", message.id),
            title: format!("{} {}", message.direction.as_str(), short(message.id.as_str())),
            state: message.status.map_or("", |status| status.as_str()).to_owned(),
            detail: message.twilio_sid.clone().unwrap_or_default(),
            at: Moment::relative(message.created_at),
        }
    }
}

fn is_id(text: &str) -> bool {
    text.len() == 26 && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

/// Two letters and 32 hexadecimal digits.
fn is_sid(text: &str) -> bool {
    text.len() == 34
        && text.bytes().take(2).all(|byte| byte.is_ascii_uppercase())
        && text.bytes().skip(2).all(|byte| byte.is_ascii_hexdigit())
}
