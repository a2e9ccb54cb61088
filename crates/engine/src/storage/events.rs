//! Events on their way into the journal, and the tags among them into the table where runs are searched by them.
use std::collections::BTreeMap;

use sea_orm::{ConnectionTrait, DatabaseTransaction, DbErr};
use serde_json::Value as Json;

use super::{
    StorageError, inspect,
    payload::Sealer,
    rows::{Column, Rows, cells},
    statement,
};
use crate::{Event, EventKind, RunId};

const EVENTS: &[Column] = &[
    ("run", "text!"),
    ("seq", "bigint!"),
    ("op", "bigint"),
    ("kind", "text!"),
    ("name", "text"),
    ("hash", "text"),
    ("attempt", "bigint"),
    ("started_at", "timestamptz"),
    ("at", "timestamptz!"),
    ("input", "text"),
    ("data", "text"),
];

/// What is inserted into the journal, of rows that [`event_rows`] makes.
pub(super) const EVENTS_FROM: &str = "(run, seq, op, kind, name, hash, attempt, started_at, at, input, data)
        select t.run, t.seq, t.op, t.kind, t.name, t.hash, t.attempt, t.started_at, t.at, t.input, t.data from {rows}";

/// Writes events; one that is there already is the same one, whose commit was not heard of.
pub(crate) async fn write_events(tx: &DatabaseTransaction, events: &[(&RunId, &Event)]) -> Result<(), DbErr> {
    let with_documents = events.iter().filter(|(_, event)| has_documents(event));
    let runs = with_documents.map(|(run, _)| (*run, None)).collect();
    let mut sealer = Sealer::for_runs(tx, &runs).await?;
    insert_events(tx, events, &mut sealer).await?;
    sealer.finish(tx).await
}

pub(super) async fn insert_events(
    tx: &DatabaseTransaction,
    events: &[(&RunId, &Event)],
    sealer: &mut Sealer,
) -> Result<(), DbErr> {
    if events.is_empty() {
        return Ok(());
    }
    let sql = format!("insert into journal {EVENTS_FROM} where true on conflict (run, seq) do nothing");
    let rows = event_rows(events, sealer)?;
    tx.execute_raw(rows.statement(tx.get_database_backend(), &sql, vec![]))
        .await
        .map(drop)
}

pub(super) fn event_rows(events: &[(&RunId, &Event)], sealer: &mut Sealer) -> Result<Rows, DbErr> {
    let mut rows = Rows::new(EVENTS);
    for (run, event) in events {
        rows.push(cells![
            run,
            event.seq,
            event.op,
            event.kind.as_str(),
            event.name,
            event.hash,
            event.attempt,
            event.started_at,
            event.at,
            sealer.cell(run, &format!("{}.input", event.seq), event.input.as_ref())?,
            sealer.cell(run, &format!("{}.data", event.seq), event.data.as_ref())?,
        ]);
    }
    Ok(rows)
}

pub(super) fn has_documents(event: &Event) -> bool {
    event.input.is_some() || event.data.is_some()
}

/// The statement that writes `events` of one run to Postgres, with its parameters, sealed.
#[cfg(feature = "testing")]
pub(crate) fn encoded(run: &RunId, events: &[Event]) -> Result<sea_orm::Statement, DbErr> {
    let events: Vec<_> = events.iter().map(|event| (run, event)).collect();
    let rows = event_rows(&events, &mut Sealer::of_one(run)?)?;
    let sql = format!("insert into journal {EVENTS_FROM}");
    Ok(rows.statement(sea_orm::DbBackend::Postgres, &sql, vec![]))
}

/// The event of that number, if the run has got that far.
pub(crate) async fn recorded(
    tx: &DatabaseTransaction,
    run: &RunId,
    seq: i64,
) -> Result<Option<Event>, StorageError> {
    let sql = format!(
        "select {} from journal j where j.run = $1 and j.seq = $2",
        inspect::EVENT_COLUMNS
    );
    let row = tx
        .query_one_raw(statement(tx, &sql, vec![run.as_str().into(), seq.into()]))
        .await?;
    Ok(row.as_ref().map(inspect::event).transpose()?)
}

const TAGS: &[Column] = &[("run", "text"), ("name", "text"), ("value", "text")];

/// Puts the tags of `events` where runs are searched by them; the last value of a name counts.
pub(super) async fn write_tags(tx: &DatabaseTransaction, events: &[(&RunId, &Event)]) -> Result<(), DbErr> {
    let mut last: BTreeMap<(&RunId, &str), &str> = BTreeMap::new();
    for (run, event) in events.iter().filter(|(_, event)| event.kind == EventKind::Tagged) {
        let value = event.data.as_ref().and_then(Json::as_str);
        last.extend(
            event
                .name
                .as_deref()
                .zip(value)
                .map(|(name, value)| ((*run, name), value)),
        );
    }
    if last.is_empty() {
        return Ok(());
    }
    let rows = || {
        let mut rows = Rows::new(TAGS);
        for ((run, name), value) in &last {
            rows.push(cells![run, name, value]);
        }
        rows
    };
    let backend = tx.get_database_backend();
    let delete = "delete from run_tags where (run, name) in (select t.run, t.name from {rows})";
    tx.execute_raw(rows().statement(backend, delete, vec![])).await?;
    let insert =
        "insert into run_tags (run, name, value) select t.run, t.name, t.value from {rows} where true
        on conflict (name, value, run) do nothing";
    tx.execute_raw(rows().statement(backend, insert, vec![]))
        .await
        .map(drop)
}
