//! A database with two owners, and what tests say in one word.
use std::fmt::Debug;

use chrono::{DateTime, Duration, Utc};
use futures::future::join_all;
use recado_domain::{Address, ContactId, ConversationId, MessageStatus, OwnerId};
use recado_store::{
    Secret, StoreError, accounts,
    callbacks::{Applied, Callback},
    contacts,
    conversations::{self, Conversation, Parties},
    messages::{self, Inserted, NewInbound, NewOutbound},
    owners, plans,
    subscriptions::{self, Period, SubscriptionState},
};
use recado_testkit::{Backend, TestDatabase};
use sea_orm::{
    ConnectOptions, ConnectionTrait, Database, DatabaseConnection, DatabaseTransaction, Statement,
    TransactionTrait,
};
use secrecy::SecretString;
use tokio::sync::Barrier;

/// The account of the owner `ours`; `theirs` has another.
pub(crate) const ACCOUNT: &str = "AC00000000000000000000000000000001";
pub(crate) const THEIR_ACCOUNT: &str = "AC00000000000000000000000000000002";

/// What a test works with.
pub(crate) struct Fixture {
    pub(crate) db: DatabaseConnection,
    pub(crate) owner: OwnerId,
    pub(crate) other: OwnerId,
    pub(crate) secret: Secret,
    pub(crate) now: DateTime<Utc>,
    database: TestDatabase,
}

/// Runs a test on SQLite, where one connection writes, and on Postgres.
pub(crate) async fn on_both(test: impl AsyncFn(&Fixture)) {
    for backend in Backend::ALL {
        let fixture = Fixture::new(backend).await;
        eprintln!("on {backend:?}");
        test(&fixture).await;
        fixture.db.close().await.unwrap();
    }
}

pub(crate) fn address(text: &str) -> Address {
    Address::parse(text).unwrap()
}

/// `n` hours after the test's beginning.
pub(crate) fn hours(n: i64) -> Duration {
    Duration::hours(n)
}

impl Fixture {
    pub(crate) async fn new(backend: Backend) -> Self {
        let database = TestDatabase::new(backend).await;
        let mut options = ConnectOptions::new(database.url());
        let connections = if backend == Backend::Sqlite { 1 } else { 8 };
        options.max_connections(connections).sqlx_logging(false);
        let fixture = Self {
            db: Database::connect(options).await.unwrap(),
            owner: OwnerId::from("ours"),
            other: OwnerId::from("theirs"),
            secret: Secret::new(&SecretString::from("a key of thirty-two characters!!")).unwrap(),
            now: "2026-03-10T12:00:00Z".parse().unwrap(),
            database,
        };
        plans::install(&fixture.db).await.unwrap();
        fixture.add_owner(&fixture.owner, ACCOUNT).await;
        fixture.add_owner(&fixture.other, THEIR_ACCOUNT).await;
        fixture
    }

    pub(crate) fn backend(&self) -> Backend {
        self.database.backend()
    }

    pub(crate) fn url(&self) -> &str {
        self.database.url()
    }

    async fn add_owner(&self, owner: &OwnerId, account: &str) {
        let (db, now) = (&self.db, self.now);
        owners::create(db, owner, owner.as_str(), "pt", now)
            .await
            .unwrap();
        let active = SubscriptionState::Active;
        subscriptions::begin(db, owner, plans::FREE, Period::Month, active, now)
            .await
            .unwrap();
        let token = SecretString::from(format!("token of {owner}"));
        accounts::put(db, &self.secret, owner, account, &token, now)
            .await
            .unwrap();
    }

    /// Does the same `n` times at once, each in a transaction of its own. All have begun before the first works: a
    /// pool that still connects would let them through one by one. On SQLite they wait for the one connection.
    pub(crate) async fn at_once<T: Debug>(
        &self,
        n: usize,
        work: impl AsyncFn(&DatabaseTransaction, usize) -> Result<T, StoreError>,
    ) -> Vec<T> {
        let begun = Barrier::new(if self.backend() == Backend::Sqlite { 1 } else { n });
        let (work, begun) = (&work, &begun);
        let each = (0..n).map(|number| async move {
            let tx = self.db.begin().await.unwrap();
            begun.wait().await;
            let done = work(&tx, number).await.unwrap();
            tx.commit().await.unwrap();
            done
        });
        join_all(each).await
    }

    /// How many rows a query counts.
    pub(crate) async fn count(&self, from: &str) -> i64 {
        let sql = format!("select cast(count(*) as bigint) from {from}");
        let statement = Statement::from_string(self.db.get_database_backend(), sql);
        self.db
            .query_one_raw(statement)
            .await
            .unwrap()
            .unwrap()
            .try_get_by_index(0)
            .unwrap()
    }

    pub(crate) async fn contact(&self, from: &str) -> ContactId {
        contacts::find_or_create(&self.db, &self.owner, &address(from), None, self.now)
            .await
            .unwrap()
    }

    /// The open conversation with this contact on WhatsApp.
    pub(crate) async fn conversation(&self, contact: &ContactId, at: DateTime<Utc>) -> Conversation {
        let (ours, theirs) = (
            address("whatsapp:+14155238886"),
            address("whatsapp:+5511987654321"),
        );
        let parties = Parties {
            contact,
            ours: &ours,
            theirs: &theirs,
        };
        conversations::open_or_find(&self.db, &self.owner, parties, at)
            .await
            .unwrap()
    }

    pub(crate) async fn talk(&self) -> (ContactId, ConversationId) {
        let contact = self.contact("whatsapp:+5511987654321").await;
        let conversation = self.conversation(&contact, self.now).await.id;
        (contact, conversation)
    }

    pub(crate) async fn receive(&self, sid: &str, body: &str, at: DateTime<Utc>) -> Inserted {
        let (contact, conversation) = self.talk().await;
        let new = NewInbound {
            conversation: &conversation,
            contact: &contact,
            kind: "text",
            body,
            twilio_sid: sid,
            run: "run",
            form: "{}",
            received_at: at,
        };
        messages::insert_inbound(&self.db, &self.owner, &new)
            .await
            .unwrap()
    }

    pub(crate) async fn intend(&self, token: &str, body: &str, at: DateTime<Utc>) -> Inserted {
        let (contact, conversation) = self.talk().await;
        let new = NewOutbound {
            conversation: &conversation,
            contact: &contact,
            kind: "text",
            body,
            token,
            run: Some("run"),
            part: 0,
            form: None,
        };
        messages::insert_outbound(&self.db, &self.owner, &new, at)
            .await
            .unwrap()
    }

    /// A callback of our account, with a token.
    pub(crate) async fn call_back(&self, token: Option<&str>, sid: &str, status: MessageStatus) -> Applied {
        self.call_back_with(Callback {
            account_sid: ACCOUNT,
            token,
            sid,
            status,
            error_code: None,
            raw: "MessageStatus=…",
        })
        .await
    }

    pub(crate) async fn call_back_with(&self, callback: Callback<'_>) -> Applied {
        recado_store::callbacks::apply(&self.db, &callback, self.now)
            .await
            .unwrap()
    }
}
