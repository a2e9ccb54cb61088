//! Every statement that a message costs finds its rows by an index, whatever the tables have grown to: with the settings
//! of the engine's pool, and with a server's own.
use std::sync::{Arc, Mutex};

use recado_domain::{ContactId, ConversationId, ConversationState, MessageId, MessageStatus, OwnerId};
use recado_store::{
    accounts, audit, billing,
    callbacks::{self, Callback},
    contacts, conversations,
    conversations::{Encounter, Filter, Parties, Sought},
    knowledge, messages,
    messages::{NewInbound, NewOutbound, SentAs},
    opt_outs, plans, prospects, resolve, sending,
};
use recado_testkit::Backend;
use sea_orm::{ConnectOptions, ConnectionTrait, Database, DatabaseConnection, Statement, TransactionTrait};
use serde_json::Value as Json;

use crate::fixture::{Fixture, address};

/// What the engine's pool sets (`crates/engine/src/storage/dialect.rs`).
const PINNED: [&str; 4] = ["enable_seqscan", "enable_hashjoin", "enable_mergejoin", "jit"];

/// The catalogue, which does not grow with owners or messages.
const SMALL: [&str; 3] = ["plans", "plan_features", "features"];

/// Rows that may be read in vain by one look into an index.
const MOST_REMOVED: f64 = 20.0;

/// 100,000 of everything, and 200,000 messages; the owner `ours` has a fifth of the contacts.
const GROWN: &str = "
set session_replication_role = replica;
insert into owners (id, name, notice_over_quota, handoff_notice, created_at)
    select 'owner-' || n, 'o', 'n', 'h', now() from generate_series(1, 100000) n;
insert into channel_accounts (id, owner, twilio_account_sid, auth_token, created_at)
    select 'account-' || n, 'owner-' || n, 'AC-' || n, '', now() from generate_series(1, 100000) n;
insert into channel_numbers (owner, account, twilio_account_sid, address, created_at)
    select 'owner-' || n, 'account-' || n, 'AC-' || n, '+1415' || n, now() from generate_series(1, 100000) n;
insert into channel_services (service_sid, owner, account, twilio_account_sid, created_at)
    select 'MG-' || n, 'owner-' || n, 'account-' || n, 'AC-' || n, now() from generate_series(1, 100000) n;
insert into subscriptions (id, owner, plan, plan_version, state, period, anchor_at, current_period_start, created_at,
        updated_at)
    select 's-' || n, 'owner-' || n, 'unlimited', 1, 'active', 'lifetime', now(), now(), now(), now()
    from generate_series(1, 100000) n;
insert into overrides (id, owner, feature, who, why, at)
    select 'v-' || n, 'owner-' || n, 'messages', 'w', 'w', now() from generate_series(1, 100000) n;
insert into questions (id, owner, question, answer, created_at)
    select 'q-' || n, 'owner-' || n % 100000 + 1, 'q', 'a', now() from generate_series(1, 100000) n;
insert into specialists (owner, name, instructions)
    select 'owner-' || n, 'general', 'i' from generate_series(1, 100000) n;
create temporary table people as select n, 'contact-' || n as id,
    case when n <= 20000 then 'ours' else 'owner-' || n % 100000 + 1 end as owner, 'whatsapp:+55119' || 10000000 + n as address
    from generate_series(1, 100000) n;
insert into contacts (id, owner, created_at) select id, owner, now() from people;
insert into contact_addresses (owner, address, contact, created_at) select owner, address, id, now() from people;
insert into opt_outs (owner, address, since, source) select owner, address, now(), 's' from people where n % 3 = 0;
insert into conversations (id, owner, contact, channel, our_address, contact_address, state, opened_at, updated_at)
    select 'conversation-' || n, owner, id, 'whatsapp', 'whatsapp:+14155238886', address,
        case when n % 10 = 0 then 'human_handoff' when n % 2 = 0 then 'progress' else 'expired' end, now(), now()
    from people;
insert into messages (id, owner, conversation, contact, direction, kind, body, twilio_sid, token, run, status, form,
        created_at, updated_at)
    select 'message-' || n || '-' || m, owner, 'conversation-' || n, id,
        case when m % 2 = 0 then 'inbound' else 'outbound' end, 'text', repeat('x', 50), 'SM-' || n || '-' || m,
        case when m % 2 = 1 then 'token-' || n || '-' || m end, 'run-' || n || '-' || m, 'sent', repeat('f', 300),
        now() - m * interval '1 minute', now()
    from people, generate_series(0, 1) m;
insert into message_events (id, message, owner, status, raw, at)
    select 'event-' || id, id, owner, 'sent', 'r', now() from messages where token is not null;
insert into orphan_callbacks (id, account_sid, token, twilio_sid, status, raw, at)
    select 'orphan-' || n, 'AC-' || n, 'none-' || n, 'SMnone-' || n, 'sent', 'r', now() from generate_series(1, 100000) n;
insert into usage (run, feature, owner, quantity, state, period_start, at)
    select run, 'messages', owner, 1, 'committed', now(), now() from messages;
insert into usage_counters (owner, feature, period_start, used)
    select owner, 'messages', now(), 5 from (select distinct owner from people) o;
insert into quota_notices (owner, address, feature, period_start, run, at)
    select owner, address, 'messages', now(), 'r', now() from people;
set session_replication_role = default;
";

/// A connection that notes what it is asked.
struct Noted {
    db: DatabaseConnection,
    statements: Arc<Mutex<Vec<Statement>>>,
}

impl Noted {
    async fn on(at: &Fixture) -> Self {
        let mut options = ConnectOptions::new(at.url());
        options.max_connections(1).sqlx_logging(false);
        let mut db = Database::connect(options).await.unwrap();
        let statements = Arc::new(Mutex::new(Vec::new()));
        let noted = statements.clone();
        db.set_metric_callback(move |info| noted.lock().unwrap().push(info.statement.clone()));
        Self { db, statements }
    }

    async fn set(&self, name: &str, value: &str) {
        let sql = format!("set {name} = {value}");
        self.db.execute_unprepared(&sql).await.unwrap();
    }
}

/// The tables that a statement reads as a whole, or of which it throws away most of what it reads.
async fn wasted(conn: &impl ConnectionTrait, statement: &Statement) -> Vec<String> {
    let mut explain = statement.clone();
    explain.sql = format!("explain (analyze, format json) {}", statement.sql);
    let row = conn.query_one_raw(explain).await.unwrap().unwrap();
    let plan: Json = row.try_get_by_index(0).unwrap();
    let mut tables = Vec::new();
    waste(&plan, &mut tables);
    tables
}

fn waste(plan: &Json, tables: &mut Vec<String>) {
    match plan {
        Json::Array(all) => all.iter().for_each(|one| waste(one, tables)),
        Json::Object(node) => {
            if let Some(Json::String(table)) = node.get("Relation Name")
                && !SMALL.contains(&table.as_str())
            {
                let removed = node.get("Rows Removed by Filter").and_then(Json::as_f64);
                let is_scan = node.get("Node Type") == Some(&Json::from("Seq Scan"));
                if is_scan || removed.unwrap_or_default() > MOST_REMOVED {
                    tables.push(table.clone());
                }
            }
            node.values().for_each(|value| waste(value, tables));
        }
        _ => {}
    }
}

/// What a group of messages asks of the books, from the webhook to the last callback, and what the inbox asks.
async fn a_message_and_its_inbox(at: &Fixture, db: &impl ConnectionTrait) {
    let (now, owner) = (at.now, &at.owner);
    let (ours, theirs) = (
        address("whatsapp:+14155238886"),
        address("whatsapp:+5511910000002"),
    );
    let stranger = address("whatsapp:+5511990000002");
    let (contact, conversation) = (
        ContactId::from("contact-2"),
        ConversationId::from("conversation-2"),
    );
    resolve(db, "AC-7", &ours, Some("MG-7")).await.unwrap();
    accounts::signers(db, &at.secret, crate::fixture::ACCOUNT, "x")
        .await
        .unwrap();
    accounts::credentials(db, &at.secret, owner, crate::fixture::ACCOUNT)
        .await
        .unwrap();
    let endless = OwnerId::from("owner-9");
    let want = |owner, run| billing::Want {
        owner,
        run,
        features: &[plans::MESSAGES, plans::AGENT_ANSWERS],
        quantity: 1,
        contact: &theirs,
    };
    billing::reserve_each(db, &[want(&endless, "new-1")], now)
        .await
        .unwrap();
    billing::reserve_each(db, &[want(owner, "new-2")], now)
        .await
        .unwrap();
    let settle = |feature, end| billing::Settlement {
        owner,
        run: "new-2",
        feature,
        end,
    };
    let ends = [
        settle(plans::MESSAGES, billing::End::Committed),
        settle(plans::AGENT_ANSWERS, billing::End::Released),
    ];
    billing::settle_each(db, &ends, now).await.unwrap();
    billing::usage_of(db, owner, now).await.unwrap();
    for address in [&theirs, &stranger] {
        contacts::find_or_create(db, owner, address, Some("Ana"), now)
            .await
            .unwrap();
    }
    let encounter = Encounter {
        owner,
        parties: Parties {
            contact: &contact,
            ours: &ours,
            theirs: &theirs,
        },
        at: now,
        heard_at: Some(now),
    };
    conversations::open_or_find_each(db, &[encounter]).await.unwrap();
    for sid in ["SMnew", "SM-2-0"] {
        let new = NewInbound {
            conversation: &conversation,
            contact: &contact,
            kind: "text",
            body: "oi",
            twilio_sid: sid,
            run: "new-1",
            form: "{}",
            received_at: now,
        };
        messages::insert_inbound(db, owner, &new).await.unwrap();
    }
    opt_outs::set(db, owner, &stranger, "message", now).await.unwrap();
    opt_outs::clear(db, owner, &stranger).await.unwrap();
    knowledge::of(db, &endless).await.unwrap();
    messages::recent_turns(db, owner, &conversation, 12)
        .await
        .unwrap();
    let recipient = sending::Recipient {
        owner,
        conversation: &conversation,
        address: &theirs,
    };
    sending::reachable_each(db, &[recipient]).await.unwrap();
    for token in ["new-1-9", "token-2-1"] {
        let new = NewOutbound {
            conversation: &conversation,
            contact: &contact,
            kind: "text",
            body: "olá",
            token,
            run: Some("new-1"),
            part: 0,
            form: None,
        };
        messages::insert_outbound(db, owner, &new, now).await.unwrap();
    }
    let sent = |token, sid| SentAs {
        owner,
        token,
        sid,
        status: MessageStatus::Queued,
        at: now,
    };
    let both = [sent("new-1-9", "SMnewout"), sent("token-2-1", "SM-2-1")];
    messages::mark_sent_each(db, &both).await.unwrap();
    for (sid, token) in [
        ("SMnewout", None),
        ("SMnever", Some("token-4-1")),
        ("SMnobody", Some("nobody")),
    ] {
        let callback = Callback {
            account_sid: crate::fixture::ACCOUNT,
            token,
            sid,
            status: MessageStatus::Delivered,
            error_code: None,
            raw: "{}",
        };
        callbacks::apply(db, &callback, now).await.unwrap();
    }
    messages::claimed_sids(db, owner, &["SM-2-1"]).await.unwrap();
    let filters = [
        Filter::default(),
        Filter {
            state: Some(ConversationState::HumanHandoff),
            theirs: None,
        },
        Filter {
            state: None,
            theirs: Some(theirs.clone()),
        },
    ];
    for filter in &filters {
        for cursor in [None, Some("conversation-3")] {
            conversations::list(db, owner, filter, cursor, 20).await.unwrap();
        }
    }
    for theirs in [&[][..], &[theirs.clone(), stranger.clone()]] {
        let sought = Sought {
            theirs,
            ..Sought::default()
        };
        conversations::find(db, owner, sought, None, 20).await.unwrap();
    }
    let sought = Sought {
        contacts: std::slice::from_ref(&contact),
        ..Sought::default()
    };
    conversations::find(db, owner, sought, None, 20).await.unwrap();
    let message = MessageId::from("message-2-1");
    messages::find(db, owner, &message).await.unwrap();
    messages::status_events(db, owner, &[message]).await.unwrap();
    prospects::contacts(db, owner, "prospect-2").await.unwrap();
    audit::list(db, "conversation:conversation-2", 5).await.unwrap();
    messages::thread(db, owner, &conversation, Some("message-2-1"), 20)
        .await
        .unwrap();
    conversations::get(db, owner, &conversation).await.unwrap();
    contacts::get(db, owner, &contact).await.unwrap();
}

#[tokio::test]
async fn no_statement_of_a_message_reads_what_it_does_not_need() {
    let at = Fixture::new(Backend::Postgres).await;
    at.db.execute_unprepared(GROWN).await.unwrap();
    at.db.execute_unprepared("analyze").await.unwrap();
    let noted = Noted::on(&at).await;
    let tx = noted.db.begin().await.unwrap();
    a_message_and_its_inbox(&at, &tx).await;
    tx.rollback().await.unwrap();
    let statements = std::mem::take(&mut *noted.statements.lock().unwrap());
    assert!(statements.len() > 50, "only {} statements", statements.len());
    let mut found = Vec::new();
    for settings in ["on", "off"] {
        for name in PINNED {
            noted.set(name, settings).await;
        }
        // In the order in which they were, so that each finds what those before it left.
        let tx = noted.db.begin().await.unwrap();
        for statement in &statements {
            let tables = wasted(&tx, statement).await;
            if !tables.is_empty() {
                found.push(format!("{tables:?} with {settings}: {}", statement.sql));
            }
        }
        tx.rollback().await.unwrap();
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}
