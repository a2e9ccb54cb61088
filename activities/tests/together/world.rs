//! Owners, contacts and an environment, and how a scenario is played in them.
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use chrono::{DateTime, TimeDelta, Utc};
use recado_activities::{Arrival, Environment, InCommon, Reply, Sent, Spent, Withheld};
use recado_clients::{media::MediaStore, models::Providers, twilio};
use recado_domain::{Actor, Address, ConversationState, OwnerId};
use recado_engine::{Activity, Fault, Joint, Prepared, testing::Trial};
use recado_store::{
    Secret, accounts, billing, contacts,
    conversations::{self, Parties},
    opt_outs, owners, plans,
    subscriptions::{self, Period, SubscriptionState},
    transitions::{self, Change},
};
use recado_testkit::{Backend, TestDatabase};
use sea_orm::{ConnectOptions, Database, DatabaseConnection, DatabaseTransaction, TransactionTrait};
use secrecy::SecretString;

use crate::{
    course::Course,
    dump::dump,
    scenario::{OURS, OWNERS, Scenario, THEIRS},
};

pub(crate) const ACCOUNT: &str = "AC00000000000000000000000000000001";

/// A database with what was there before.
pub(crate) struct World {
    pub(crate) db: DatabaseConnection,
    pub(crate) env: Environment,
    pub(crate) begun: DateTime<Utc>,
    /// The statements since somebody emptied it.
    pub(crate) statements: Arc<Mutex<Vec<String>>>,
    _database: TestDatabase,
}

/// How calls are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    Together,
    OneByOne,
}

/// What a scenario left.
pub(crate) struct Left {
    pub(crate) told: Vec<String>,
    pub(crate) rows: BTreeMap<&'static str, Vec<String>>,
}

impl World {
    pub(crate) async fn new(backend: Backend) -> Self {
        let database = TestDatabase::new(backend).await;
        let mut options = ConnectOptions::new(database.url());
        options.max_connections(1).sqlx_logging(false);
        let mut db = Database::connect(options).await.unwrap();
        let statements = Arc::new(Mutex::new(Vec::new()));
        let noted = statements.clone();
        db.set_metric_callback(move |info| {
            noted.lock().unwrap().push(info.statement.sql.clone());
        });
        let env = Environment {
            database: db.clone(),
            secret: Secret::new(&SecretString::from("a key of thirty-two characters!!")).unwrap(),
            twilio: twilio::Client::new("http://127.0.0.1:9", Duration::from_secs(1)).unwrap(),
            models: Providers::new(Vec::new(), Duration::from_secs(1)).unwrap(),
            media: MediaStore::open(&"file:///nowhere".parse().unwrap()).unwrap(),
            speech: None,
            quiet_period: Duration::ZERO,
            status_callback: String::new(),
            call_callback: String::new(),
            recording_callback: String::new(),
            in_common: InCommon::default(),
            spent: Spent::default(),
        };
        let world = Self {
            db,
            env,
            begun: "2026-03-10T12:00:00Z".parse().unwrap(),
            statements,
            _database: database,
        };
        world.furnish().await;
        world
    }

    /// Owners of every kind; a contact who is known by name, one without, one in the hands of people, one who was idle,
    /// one who had opted out, one whose conversation had failed.
    async fn furnish(&self) {
        let (db, before) = (&self.db, self.begun - TimeDelta::days(2));
        plans::install(db).await.unwrap();
        for owner in OWNERS {
            let id = OwnerId::from(owner);
            owners::create(db, &id, owner, "pt", before).await.unwrap();
            let (plan, state) = match owner {
                "endless" => (plans::UNLIMITED, SubscriptionState::Active),
                "suspended" => (plans::FREE, SubscriptionState::Suspended),
                _ => (plans::FREE, SubscriptionState::Active),
            };
            subscriptions::begin(db, &id, plan, Period::Month, state, before)
                .await
                .unwrap();
            let token = SecretString::from("token");
            accounts::put(db, &self.env.secret, &id, ACCOUNT, &token, before)
                .await
                .unwrap();
            let tight = [(plans::MESSAGES, 4), (plans::AGENT_ANSWERS, 2)];
            for (feature, quota) in tight.into_iter().filter(|_| owner == "tight") {
                let grant = billing::Override {
                    feature,
                    quota: Some(quota),
                    who: "test",
                    why: "tight",
                    until: None,
                };
                billing::grant_override(db, &id, grant, before).await.unwrap();
            }
            for (theirs, name, states) in [
                (THEIRS[0], Some("Marina"), &[ConversationState::Progress][..]),
                (THEIRS[3], None, &[ConversationState::HumanHandoff]),
                (
                    THEIRS[4],
                    None,
                    &[ConversationState::Progress, ConversationState::IdleTimeout],
                ),
                (THEIRS[5], Some("Zé"), &[ConversationState::Failed]),
            ] {
                let theirs = Address::parse(theirs).unwrap();
                let contact = contacts::find_or_create(db, &id, &theirs, name, before)
                    .await
                    .unwrap();
                let ours = OURS.map(|ours| Address::parse(ours).unwrap());
                let parties = Parties {
                    contact: &contact,
                    ours: ours
                        .iter()
                        .find(|ours| ours.channel() == theirs.channel())
                        .unwrap(),
                    theirs: &theirs,
                };
                let talk = conversations::open_or_find(db, &id, parties, before)
                    .await
                    .unwrap();
                for state in states {
                    let change = Change::new(*state, Actor::System, "before");
                    transitions::apply(db, &id, &talk.id, change, before)
                        .await
                        .unwrap();
                }
            }
            let out = Address::parse(THEIRS[3]).unwrap();
            opt_outs::set(db, &id, &out, "before", before).await.unwrap();
        }
    }

    /// Plays a scenario, tells what it left, and undoes it. It fails where a plan has no room for what is tried again.
    pub(crate) async fn play(&self, scenario: &Scenario, way: Way) -> Result<Left, Fault> {
        let courses = self.courses(scenario);
        let tx = self.db.begin().await.unwrap();
        let mut told = Vec::new();
        let calls = courses.iter().map(|course| course.check());
        let grants = self.run(&tx, way, &courses, calls.collect()).await;
        told.push(format!("{grants:?}"));
        let calls = courses.iter().map(|course| course.persist());
        let arrivals = self.run(&tx, way, &courses, calls.collect()).await.unwrap();
        let places: Vec<_> = arrivals
            .iter()
            .map(|arrival| (arrival.state, arrival.opt_out, first(&arrivals, arrival)))
            .collect();
        told.push(format!("{places:?}"));
        let sent = self.send(&tx, way, &courses, &arrivals).await;
        let rows = match &sent {
            Ok(_) => dump(&tx).await,
            Err(_) => BTreeMap::new(),
        };
        tx.rollback().await.unwrap();
        sent.map(|withheld| {
            told.push(format!("{withheld:?}"));
            Left { told, rows }
        })
    }

    /// Prepares and records the answers. Returns which were withheld.
    async fn send(
        &self,
        tx: &DatabaseTransaction,
        way: Way,
        courses: &[Course<'_>],
        arrivals: &[Arrival],
    ) -> Result<Vec<Option<Withheld>>, Fault> {
        for course in courses {
            course.refuse_before(tx).await;
        }
        let calls: Vec<Reply> = courses
            .iter()
            .zip(arrivals)
            .map(|(course, arrival)| course.reply(arrival))
            .collect();
        let prepared = self.prepare(tx, way, courses, calls).await?;
        let mut withheld = Vec::new();
        let (mut gone, mut calls, mut sent) = (Vec::new(), Vec::new(), Vec::new());
        for ((course, arrival), prepared) in courses.iter().zip(arrivals).zip(prepared) {
            match prepared {
                Prepared::Settled(Sent::Withheld(why)) => withheld.push(Some(why)),
                Prepared::Settled(other) => panic!("settled as {other:?}"),
                Prepared::Go => {
                    withheld.push(None);
                    course.call_back(tx).await;
                    calls.push(course.reply(arrival));
                    sent.push(course.sent());
                    gone.push(course);
                }
            }
        }
        self.record(tx, way, &gone, calls, &sent).await.unwrap();
        Ok(withheld)
    }

    pub(crate) fn courses<'a>(&self, scenario: &'a Scenario) -> Vec<Course<'a>> {
        let mut courses: Vec<Course<'a>> = Vec::new();
        for (number, message) in scenario.messages.iter().enumerate() {
            let copied = courses
                .last()
                .filter(|last| message.is_copy && last.message.owner == message.owner);
            let sid = copied.map_or(format!("SM{number:032}"), |last| last.sid.clone());
            let now = self.begun + TimeDelta::milliseconds(message.later);
            courses.push(Course {
                message,
                number,
                sid,
                trial: Trial::new(format!("run-{number:04}").as_str(), now),
            });
        }
        courses
    }

    pub(crate) async fn run<A: Activity<Environment>>(
        &self,
        tx: &DatabaseTransaction,
        way: Way,
        courses: &[Course<'_>],
        calls: Vec<A>,
    ) -> Result<Vec<A::Output>, Fault> {
        let attempts: Vec<_> = courses
            .iter()
            .map(|course| course.trial.attempt(Some(tx)))
            .collect();
        if way == Way::Together {
            let group = calls.into_iter().zip(&attempts);
            let group: Vec<_> = group.map(|(call, attempt)| Joint { call, attempt }).collect();
            return A::run_together(&self.env, &group).await;
        }
        let mut outputs = Vec::new();
        for (call, attempt) in calls.iter().zip(&attempts) {
            outputs.push(call.run(&self.env, attempt).await?);
        }
        Ok(outputs)
    }

    pub(crate) async fn prepare(
        &self,
        tx: &DatabaseTransaction,
        way: Way,
        courses: &[Course<'_>],
        calls: Vec<Reply>,
    ) -> Result<Vec<Prepared<Sent>>, Fault> {
        let attempts: Vec<_> = courses
            .iter()
            .map(|course| course.trial.attempt(Some(tx)))
            .collect();
        if way == Way::Together {
            let group = calls.into_iter().zip(&attempts);
            let group: Vec<_> = group.map(|(call, attempt)| Joint { call, attempt }).collect();
            return Reply::prepare_together(&self.env, &group).await;
        }
        let mut outputs = Vec::new();
        for (call, attempt) in calls.iter().zip(&attempts) {
            outputs.push(call.prepare(&self.env, attempt).await?);
        }
        Ok(outputs)
    }

    pub(crate) async fn record(
        &self,
        tx: &DatabaseTransaction,
        way: Way,
        courses: &[&Course<'_>],
        calls: Vec<Reply>,
        sent: &[Sent],
    ) -> Result<(), Fault> {
        let attempts: Vec<_> = courses
            .iter()
            .map(|course| course.trial.attempt(Some(tx)))
            .collect();
        if way == Way::Together && !calls.is_empty() {
            let group = calls.into_iter().zip(&attempts);
            let group: Vec<_> = group.map(|(call, attempt)| Joint { call, attempt }).collect();
            return Reply::record_together(&self.env, &group, sent).await;
        }
        for ((call, attempt), sent) in calls.iter().zip(&attempts).zip(sent) {
            call.record(&self.env, attempt, sent).await?;
        }
        Ok(())
    }
}

/// Which of the calls before landed at the same contact, in the same conversation, as the same message.
fn first(all: &[Arrival], one: &Arrival) -> [Option<usize>; 3] {
    [
        all.iter().position(|other| other.contact == one.contact),
        all.iter()
            .position(|other| other.conversation == one.conversation),
        all.iter().position(|other| other.message == one.message),
    ]
}
