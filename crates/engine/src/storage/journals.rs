//! Whole journals. The keys of each run are asked for once, not beside each of its documents.
use std::collections::HashMap;

use sea_orm::{ConnectionTrait, DbErr};

use super::{
    Storage, StorageError, inspect,
    payload::{Opener, keys_of_this_run, stored},
    rows::{Column, Rows, cells},
};
use crate::{Event, RunId};

const IDS: &[Column] = &[("id", "text!")];

const KEYS: &str = concat!(
    "select t.id, ",
    keys_of_this_run!(),
    " as keys from {rows} join runs r on r.id = t.id",
);

/// What is read of each event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Depth {
    /// All of it.
    Whole,
    /// What a workflow is replayed against: the hash of an input says enough of it.
    Replay,
}

/// The statement that reads events to this depth.
fn events(depth: Depth) -> String {
    let input = match depth {
        Depth::Whole => stored!("j.input"),
        Depth::Replay => "cast(null as text)",
    };
    format!(
        "select j.run, j.seq, j.op, j.kind, j.name, j.hash, j.attempt, j.started_at, j.at, {input} as input,
            {} as data from {{rows}} join journal j on j.run = t.id order by j.run, j.seq",
        stored!("j.data")
    )
}

/// An event, or its number and why this build cannot read it.
pub(super) type Read = Result<Event, (i64, DbErr)>;

/// The journals of `runs` that have one, by run, each in order.
pub(super) async fn read(
    conn: &impl ConnectionTrait,
    runs: impl IntoIterator<Item = &RunId>,
    depth: Depth,
) -> Result<HashMap<RunId, Vec<Read>>, DbErr> {
    let mut asked = Rows::new(IDS);
    for run in runs {
        asked.push(cells![run]);
    }
    let mut journals: HashMap<RunId, Vec<Read>> = HashMap::new();
    if asked.is_empty() {
        return Ok(journals);
    }
    let backend = conn.get_database_backend();
    let mut keys = HashMap::new();
    for row in conn
        .query_all_raw(asked.clone().statement(backend, KEYS, vec![]))
        .await?
    {
        keys.insert(
            row.try_get::<String>("", "id")?,
            row.try_get::<String>("", "keys")?,
        );
    }
    let openers: HashMap<&str, Opener<'_>> = keys
        .iter()
        .map(|(run, keys)| (run.as_str(), Opener::of(keys)))
        .collect();
    let keyless = Opener::of("");
    for row in conn
        .query_all_raw(asked.statement(backend, &events(depth), vec![]))
        .await?
    {
        let run: String = row.try_get("", "run")?;
        let opener = openers.get(run.as_str()).unwrap_or(&keyless);
        let seq = row.try_get("", "seq")?;
        let event = inspect::event_with(&row, |stored| opener.open(stored)).map_err(|error| (seq, error));
        journals.entry(run.into()).or_default().push(event);
    }
    Ok(journals)
}

/// The journal of one run, in order.
pub(super) async fn of(conn: &impl ConnectionTrait, run: &RunId) -> Result<Vec<Event>, DbErr> {
    let read = read(conn, [run], Depth::Whole)
        .await?
        .remove(run)
        .unwrap_or_default();
    read.into_iter()
        .map(|event| event.map_err(|(_, error)| error))
        .collect()
}

impl Storage {
    /// The journal of a run, in order.
    ///
    /// # Errors
    /// When the database does not answer, or this build cannot read it.
    pub async fn journal(&self, id: &RunId) -> Result<Vec<Event>, StorageError> {
        Ok(of(self.reader(), id).await?)
    }
}
