//! What stands in the tables, without what is random: a contact is named by the first of its addresses, a conversation
//! by when it was opened.
use std::collections::BTreeMap;

use sea_orm::{ConnectionTrait, DatabaseBackend, Statement};

const CONTACT: &str =
    "(select min(a.address) from contact_addresses a where a.owner = x.owner and a.contact = {id})";

/// Tables, and what is told of a row.
const TABLES: [(&str, &str); 10] = [
    ("usage", "run, feature, owner, quantity, state, period_start"),
    ("usage_counters", "owner, feature, period_start, used"),
    ("quota_notices", "owner, address, feature, period_start, run"),
    ("contact_addresses", "owner, address, {contact:x.contact}, created_at"),
    ("contacts", "owner, {contact:x.id}, coalesce(name, '-'), created_at"),
    (
        "conversations",
        "owner, {contact:x.contact}, channel, our_address, contact_address, state, recovered, version, opened_at,
            coalesce({time:last_inbound_at}, '-'), updated_at,
            coalesce((select {time:p.opened_at} from conversations p where p.id = x.previous_id), '-')",
    ),
    (
        "conversation_transitions",
        "owner, version, from_state, to_state, reason, at,
            (select {contact:v.contact} from conversations v where v.id = x.conversation),
            (select v.our_address from conversations v where v.id = x.conversation)",
    ),
    (
        "messages",
        "owner, coalesce(twilio_sid, '-'), coalesce(token, '-'), {contact:x.contact}, direction, kind, body,
            coalesce(run, '-'), part, coalesce(status, '-'), coalesce(error_code, 0), coalesce(error_message, '-'),
            coalesce(form, '-'), created_at, coalesce({time:sent_at}, '-'), updated_at,
            (select v.our_address from conversations v where v.id = x.conversation),
            (select {time:v.opened_at} from conversations v where v.id = x.conversation),
            (select count(*) from messages y
                where y.conversation = x.conversation and (y.created_at, y.id) < (x.created_at, x.id))",
    ),
    (
        "message_events",
        "owner, status, raw, at, (select coalesce(m.token, m.twilio_sid) from messages m where m.id = x.message)",
    ),
    ("opt_outs", "owner, address, source, since"),
];

/// The rows of every table, each as one text, sorted.
pub(crate) async fn dump(conn: &impl ConnectionTrait) -> BTreeMap<&'static str, Vec<String>> {
    let mut tables = BTreeMap::new();
    for (table, told) in TABLES {
        let sql = format!("select {} from {table} x", plain(told));
        let statement = Statement::from_string(conn.get_database_backend(), sql);
        let backend = conn.get_database_backend();
        let rows = conn.query_all_raw(statement).await.unwrap();
        let texts = rows.iter().map(|row| {
            let columns = row.column_names();
            let cell = |index| {
                let text = row.try_get_by_index::<String>(index);
                let number = row
                    .try_get_by_index::<i64>(index)
                    .map(|number| number.to_string());
                let bool = row
                    .try_get_by_index::<bool>(index)
                    .map(|bool| i64::from(bool).to_string());
                let time = row.try_get_by_index::<chrono::DateTime<chrono::Utc>>(index);
                let time = time.map(|time| time.to_rfc3339());
                match backend {
                    DatabaseBackend::Postgres => text.or(number).or(bool).or(time),
                    _ => text.or(number),
                }
                .unwrap()
            };
            (0..columns.len()).map(cell).collect::<Vec<_>>().join(" | ")
        });
        let mut texts: Vec<_> = texts.collect();
        texts.sort();
        tables.insert(table, texts);
    }
    tables
}

/// `{contact:id}` names a contact, `{time:column}` is a time as text.
fn plain(told: &str) -> String {
    let mut sql = told.to_owned();
    for (mark, text) in [("{contact:", CONTACT), ("{time:", "cast({id} as text)")] {
        while let Some(begin) = sql.find(mark) {
            let end = begin + sql[begin..].find('}').unwrap();
            let id = sql[begin + mark.len()..end].to_owned();
            sql.replace_range(begin..=end, &text.replace("{id}", &id));
        }
    }
    sql
}
