//! The present state of runs, and what they publish.
use std::collections::BTreeMap;

use sea_orm::{ConnectionTrait, DatabaseTransaction, DbErr};
use serde_json::Value as Json;

use super::{
    append::{Append, Update},
    now,
    payload::Sealer,
    rows::{Column, Rows, cells},
};
use crate::RunId;

const UPDATES: &[Column] = &[
    ("id", "text!"),
    ("state", "text!"),
    ("outcome", "text"),
    ("waiting_for", "text"),
    ("since", "timestamptz!"),
    ("until", "timestamptz"),
    ("attempt", "bigint!"),
    ("owner", "text"),
    ("output", "text"),
    ("error", "text"),
    ("finished_at", "timestamptz"),
    ("seen", "bigint!"),
];

/// Writes the states of rows that [`update_rows`] makes. A run that would go to sleep with signals unread is queued.
pub(super) const UPDATE: &str = "update runs set
            state = case when t.state = 'waiting' and runs.inbox > t.seen then 'queued' else t.state end,
            waiting_for = case when t.state = 'waiting' and runs.inbox > t.seen then 'worker' else t.waiting_for end,
            until = case when t.state = 'waiting' and runs.inbox > t.seen then null else t.until end,
            outcome = t.outcome, since = t.since, attempt = t.attempt, owner = coalesce(t.owner, runs.owner),
            output = t.output, error = t.error, finished_at = t.finished_at, takeovers = 0,
            worker = case when t.state = 'running' then runs.worker end
        from {rows} where runs.id = t.id";

/// What [`UPDATE`] returns: whether the run was queued, and whether an owner who may have so many running and no more has
/// one less.
pub(super) const UPDATED: &str = "case when runs.state = 'queued' then 1 else 0 end as stirred,
        case when runs.state <> 'running' and exists (select 1 from owner_policies p
            where p.owner = coalesce(runs.owner, '') and p.most_running is not null) then 1 else 0 end as room";

/// Writes the last state of each run. Returns how many runs may be claimed for it.
pub(super) async fn update_runs(
    tx: &DatabaseTransaction,
    appends: &[&Append],
    sealer: &mut Sealer,
) -> Result<u64, DbErr> {
    let rows = update_rows(appends, sealer)?;
    if rows.is_empty() {
        return Ok(0);
    }
    let sql = format!("{UPDATE} returning {UPDATED}");
    let mut ready = 0;
    for row in tx
        .query_all_raw(rows.statement(tx.get_database_backend(), &sql, vec![]))
        .await?
    {
        let told = row.try_get::<i32>("", "stirred")? + row.try_get::<i32>("", "room")?;
        ready += u64::from(told > 0);
    }
    Ok(ready)
}

/// The last state of each run counts; a statement that joins a run twice would take either.
pub(super) fn update_rows(appends: &[&Append], sealer: &mut Sealer) -> Result<Rows, DbErr> {
    let mut last: BTreeMap<&RunId, &Update> = BTreeMap::new();
    for append in appends {
        if let Some(update) = &append.update {
            last.insert(&append.run, update);
        }
    }
    let mut rows = Rows::new(UPDATES);
    for (id, update) in last {
        rows.push(cells![
            id,
            update.state.as_str(),
            update.outcome,
            update.waiting_for,
            update.since,
            update.until,
            update.attempt,
            update.owner,
            sealer.cell(id, "output", update.output.as_ref())?,
            update.error,
            update.state.is_final().then_some(update.since),
            update.seen,
        ]);
    }
    Ok(rows)
}

const VALUES: &[Column] = &[("run", "text"), ("name", "text"), ("data", "text")];

pub(super) async fn write_values(
    tx: &DatabaseTransaction,
    appends: &[&Append],
    sealer: &mut Sealer,
) -> Result<(), DbErr> {
    // The last value of a name counts; a statement that meets a row twice is refused.
    let mut last: BTreeMap<(&RunId, &str), &Json> = BTreeMap::new();
    for append in appends {
        last.extend(
            append
                .values
                .iter()
                .map(|value| ((&append.run, value.name.as_str()), &value.data)),
        );
    }
    if last.is_empty() {
        return Ok(());
    }
    let mut rows = Rows::new(VALUES);
    for ((run, name), data) in last {
        let data = sealer.cell(run, &format!("value.{name}"), Some(data))?;
        rows.push(cells![run, name, data]);
    }
    let sql =
        "insert into run_values (run, name, data, at) select t.run, t.name, t.data, $2 from {rows} where true
        on conflict (run, name) do update set data = excluded.data, at = excluded.at";
    tx.execute_raw(rows.statement(tx.get_database_backend(), sql, vec![now().into()]))
        .await
        .map(drop)
}
