//! Steps that share a transaction: locked together, performed kind by kind, and written down by one statement each.
use std::collections::{BTreeMap, HashMap};

use sea_orm::{ConnectionTrait, DatabaseTransaction, DbErr, TransactionTrait};

use super::{
    Append, dialect,
    fold::{self, Folded},
    held, inspect, protocol,
    rows::{Column, Rows, cells},
    statement,
};
use crate::{Event, Fault, context::Joint};

/// What became of a step: the event that concludes it or why it failed; `None` if its run has changed hands.
pub(super) type Performed = Option<Result<Event, Fault>>;

const STEPS: &[Column] = &[("run", "text!"), ("seq", "bigint!")];

/// Where a step stands before anything is done.
enum Standing {
    Due,
    /// It was committed before, and the answer got lost.
    Recorded,
    Stale,
}

/// Performs `steps` and writes them down. If one fails, nothing of the group is kept and each is performed by itself.
pub(super) async fn write(
    tx: &DatabaseTransaction,
    steps: &[&Joint],
) -> Result<(Vec<Performed>, Folded), DbErr> {
    let mut performed: Vec<Performed> = Vec::with_capacity(steps.len());
    let mut due = Vec::new();
    for (index, (step, standing)) in steps.iter().zip(lock(tx, steps).await?).enumerate() {
        performed.push(match standing {
            Standing::Stale => None,
            Standing::Recorded => recorded(tx, step).await?.map(Ok),
            Standing::Due => {
                due.push(index);
                None
            }
        });
    }
    let mut appends = Vec::with_capacity(due.len());
    let mut keep = |performed: &mut Vec<Performed>, done: Vec<(usize, Event, Append)>| {
        for (index, event, append) in done {
            performed[index] = Some(Ok(event));
            appends.push(append);
        }
    };
    match attempt(tx, steps, &due).await? {
        Ok(done) => keep(&mut performed, done),
        Err(fault) if due.len() == 1 => performed[due[0]] = Some(Err(fault)),
        Err(_) => {
            for index in due {
                match attempt(tx, steps, &[index]).await? {
                    Ok(done) => keep(&mut performed, done),
                    Err(fault) => performed[index] = Some(Err(fault)),
                }
            }
        }
    }
    let appends: Vec<_> = appends.iter().collect();
    appends
        .iter()
        .for_each(|append| protocol::checkpoint(append, true));
    let folded = fold::write_accepted(tx, &appends).await?;
    Ok((performed, folded))
}

/// Locks the runs in id order.
async fn lock(tx: &DatabaseTransaction, steps: &[&Joint]) -> Result<Vec<Standing>, DbErr> {
    let mut rows = Rows::new(STEPS);
    for step in steps {
        rows.push(cells![step.run(), step.seq()]);
    }
    let backend = tx.get_database_backend();
    let sql = format!(
        "select r.id, r.epoch, case when j.seq is null then 0 else 1 end as recorded
        from {{rows}} join runs r on r.id = t.run left join journal j on j.run = t.run and j.seq = t.seq
        order by r.id{}",
        dialect::for_update(backend, "r")
    );
    let mut found: HashMap<String, (i64, bool)> = HashMap::new();
    for row in tx.query_all_raw(rows.statement(backend, &sql, vec![])).await? {
        let recorded = row.try_get::<i32>("", "recorded")? == 1;
        found.insert(row.try_get("", "id")?, (row.try_get("", "epoch")?, recorded));
    }
    let standing = |step: &&Joint| match found.get(step.run().as_str()) {
        Some((epoch, recorded)) if held::is_held(*epoch, step.epoch()) => match recorded {
            true => Standing::Recorded,
            false => Standing::Due,
        },
        _ => {
            protocol::refused(step.run(), step.epoch());
            Standing::Stale
        }
    };
    Ok(steps.iter().map(standing).collect())
}

async fn recorded(tx: &DatabaseTransaction, step: &Joint) -> Result<Option<Event>, DbErr> {
    let sql = format!(
        "select {} from journal j where j.run = $1 and j.seq = $2",
        inspect::EVENT_COLUMNS
    );
    let values = vec![step.run().as_str().into(), step.seq().into()];
    let row = tx.query_one_raw(statement(tx, &sql, values)).await?;
    row.as_ref().map(inspect::event).transpose()
}

/// Performs the steps at `indices` kind by kind, all of them or none.
async fn attempt(
    tx: &DatabaseTransaction,
    steps: &[&Joint],
    indices: &[usize],
) -> Result<Result<Vec<(usize, Event, Append)>, Fault>, DbErr> {
    let mut kinds: BTreeMap<_, Vec<usize>> = BTreeMap::new();
    for index in indices {
        kinds.entry(steps[*index].kind()).or_default().push(*index);
    }
    let savepoint = tx.begin().await?;
    let mut done = Vec::with_capacity(indices.len());
    for indices in kinds.into_values() {
        let group: Vec<_> = indices.iter().map(|index| steps[*index]).collect();
        match Joint::perform(&savepoint, &group).await {
            Ok(events) => {
                let events = indices.into_iter().zip(events);
                done.extend(events.map(|(index, (event, append))| (index, event, append)));
            }
            Err(fault) => {
                savepoint.rollback().await?;
                return Ok(Err(fault));
            }
        }
    }
    savepoint.commit().await?;
    Ok(Ok(done))
}
