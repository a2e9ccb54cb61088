//! Runs that ask for their turn and, where it is not, are put down to wait for it: those of a process that ask at the
//! same time share a transaction. All of a busy lane ask, and each would wait for the others to let go of its row.
use std::collections::HashSet;

use sea_orm::{ConnectionTrait, DatabaseTransaction, DbErr};
use serde_json::Value as Json;

use super::{
    Append, Entry,
    fold::{self, Folded},
    held, lanes,
    payload::Sealer,
    protocol,
    rows::{Column, Rows, cells},
};

/// A run that asks for the head of its lane.
#[derive(Debug)]
pub(crate) struct Entering {
    /// What is written if it has to wait.
    pub(crate) wait: Append,
    pub(crate) lane: String,
    pub(crate) place: i64,
    /// What it offers to the head meanwhile.
    pub(crate) offer: Option<Json>,
}

const OFFERS: &[Column] = &[("lane", "text"), ("place", "bigint"), ("offer", "text")];

/// Answers everybody, and puts those down to wait whose turn it is not. `None` for a run that has changed hands.
pub(super) async fn write(
    tx: &DatabaseTransaction,
    entering: &[&Entering],
) -> Result<(Vec<Option<Entry>>, Folded), DbErr> {
    let keys = entering.iter().map(|one| one.lane.as_str()).collect();
    lanes::lock_all(tx, &keys).await?;
    let runs: HashSet<_> = entering.iter().map(|one| &one.wait.run).collect();
    let epochs = held::lock(tx, runs).await?;
    let places: Vec<_> = entering
        .iter()
        .map(|one| (one.lane.as_str(), one.place))
        .collect();
    let heads = lanes::are_heads(tx, &places).await?;
    let answer = |(one, is_head): (&&Entering, bool)| {
        let Append { run, epoch, .. } = &one.wait;
        if !epochs
            .get(run.as_str())
            .is_some_and(|present| held::is_held(*present, *epoch))
        {
            protocol::refused(run, *epoch);
            return None;
        }
        if is_head {
            protocol::entered(&one.lane, one.place);
            return Some(Entry::Head);
        }
        Some(Entry::Waiting)
    };
    let entries: Vec<_> = entering.iter().zip(heads).map(answer).collect();
    let waits = entering.iter().zip(&entries);
    let waits: Vec<_> = waits
        .filter(|(_, entry)| **entry == Some(Entry::Waiting))
        .map(|(one, _)| *one)
        .collect();
    let folded = put_down(tx, &waits).await?;
    Ok((entries, folded))
}

/// Puts runs down to wait, with what they offer.
async fn put_down(tx: &DatabaseTransaction, waits: &[&Entering]) -> Result<Folded, DbErr> {
    if waits.is_empty() {
        return Ok(Folded::default());
    }
    let offering = waits.iter().filter(|one| one.offer.is_some());
    let mut sealer = Sealer::for_runs(tx, &offering.map(|one| (&one.wait.run, None)).collect()).await?;
    let mut rows = Rows::new(OFFERS);
    for one in waits {
        let offer = sealer.cell(&one.wait.run, "offer", one.offer.as_ref())?;
        rows.push(cells![one.lane, one.place, offer]);
    }
    sealer.finish(tx).await?;
    let sql = "update lane_places set waiting = true, offer = t.offer from {rows}
        where lane_places.lane = t.lane and lane_places.place = t.place";
    tx.execute_raw(rows.statement(tx.get_database_backend(), sql, vec![]))
        .await?;
    for one in waits {
        protocol::waits(&one.lane, one.place);
        protocol::checkpoint(&one.wait, true);
    }
    let waits: Vec<_> = waits.iter().map(|one| &one.wait).collect();
    fold::write_accepted(tx, &waits).await
}
