//! Whole journals. The keys of each run are asked for once, not beside each of its documents.
use std::collections::HashMap;

use futures::TryStreamExt;
use sea_orm::{ConnectionTrait, DbErr, StreamTrait};

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

/// Which events of each journal are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) depth: Depth,
    /// Those after this number,
    pub(super) after: i64,
    /// up to this one.
    pub(super) until: i64,
}

impl Part {
    pub(super) fn all(depth: Depth) -> Self {
        Self {
            depth,
            after: 0,
            until: i64::MAX,
        }
    }

    /// The statement that reads them.
    fn events(self) -> String {
        let input = match self.depth {
            Depth::Whole => stored!("j.input"),
            Depth::Replay => "cast(null as text)",
        };
        let mut part = String::new();
        if self.after > 0 {
            part.push_str(&format!(" and j.seq > {}", self.after));
        }
        if self.until < i64::MAX {
            part.push_str(&format!(" and j.seq <= {}", self.until));
        }
        format!(
            "select j.run, j.seq, j.op, j.kind, j.name, j.hash, j.attempt, j.started_at, j.at, {input} as input,
                {} as data from {{rows}} join journal j on j.run = t.id{part} order by j.run, j.seq",
            stored!("j.data")
        )
    }
}

/// An event, or its number and why this build cannot read it.
pub(super) type Read = Result<Event, (i64, DbErr)>;

/// This part of the journals of `runs` that have one, by run, each in order.
pub(super) async fn read(
    conn: &(impl ConnectionTrait + StreamTrait),
    runs: impl IntoIterator<Item = &RunId>,
    part: Part,
) -> Result<HashMap<RunId, Vec<Read>>, DbErr> {
    let mut asked = Rows::new(IDS);
    for run in runs {
        asked.push(cells![run]);
    }
    let mut journals: HashMap<RunId, Vec<Read>> = HashMap::new();
    if asked.is_empty() {
        return Ok(journals);
    }
    let backend = ConnectionTrait::get_database_backend(conn);
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
    // A long journal is opened while the rest of it is on its way.
    let rows = conn
        .stream_raw(asked.statement(backend, &part.events(), vec![]))
        .await?;
    tokio::pin!(rows);
    while let Some(row) = rows.try_next().await? {
        let run: String = row.try_get("", "run")?;
        let opener = openers.get(run.as_str()).unwrap_or(&keyless);
        let seq = row.try_get("", "seq")?;
        let event = inspect::event_with(&row, |stored| opener.open(stored)).map_err(|error| (seq, error));
        journals.entry(run.into()).or_default().push(event);
    }
    Ok(journals)
}

/// The journal of one run, in order.
pub(super) async fn of(
    conn: &(impl ConnectionTrait + StreamTrait),
    run: &RunId,
) -> Result<Vec<Event>, DbErr> {
    let read = read(conn, [run], Part::all(Depth::Whole))
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
