//! Turns the documents of one batch into texts, with the keys of their runs at hand.
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use sea_orm::{ConnectionTrait, DatabaseTransaction, DbErr};
use serde_json::Value as Json;

use super::{
    AES, BLOB, INLINE,
    codec::{self, Codec, Key},
    keys::{self, NOBODY},
    packed,
    ring::{OfOwner, OfRun},
};
use crate::{
    NewRun, RunId,
    storage::rows::{Column, Rows, cells},
};

const RUNS: &[Column] = &[("id", "text"), ("owner", "text")];
const RUN_KEYS: &[Column] = &[("id", "text"), ("payload_key", "text")];
const BLOBS: &[Column] = &[("id", "text"), ("run", "text"), ("data", "text")];

/// What the `payload_key` of new runs shall be, in their order.
type PayloadKeys = Vec<Option<String>>;

/// Stores documents: asks for keys first, then for each text, and writes the blobs last.
pub(in crate::storage) struct Sealer {
    sealing: bool,
    /// `None` for a run whose owner's key has been erased: nobody is to read what it still writes.
    keys: HashMap<String, Option<Arc<Key>>>,
    blobs: BTreeMap<String, (String, String)>,
    /// Keys made for runs that are not committed yet.
    made: Vec<(String, OfRun)>,
}

impl Sealer {
    fn new(sealing: bool) -> Self {
        Self {
            sealing,
            keys: HashMap::new(),
            blobs: BTreeMap::new(),
            made: Vec::new(),
        }
    }

    /// For one run, under a key that nobody else has.
    #[cfg(feature = "testing")]
    pub(in crate::storage) fn of_one(run: &RunId) -> Result<Self, DbErr> {
        let mut sealer = Self::new(true);
        let key = Arc::new(Key::of(codec::random()?));
        sealer.keys.insert(run.as_str().to_owned(), Some(key));
        Ok(sealer)
    }

    /// For runs that are to be inserted. Returns with it what their `payload_key` shall be.
    pub(in crate::storage) async fn for_new(
        tx: &DatabaseTransaction,
        new: &[&NewRun],
    ) -> Result<(Self, PayloadKeys), DbErr> {
        let Some(codec) = super::codec()? else {
            return Ok((Self::new(false), vec![None; new.len()]));
        };
        let mut sealer = Self::new(true);
        let mut fresh = Vec::with_capacity(new.len());
        for run in new {
            let owner = run.owner.clone().unwrap_or_else(|| NOBODY.to_owned());
            fresh.push((run.id.as_str().to_owned(), owner, codec::random()?));
        }
        let sealed = sealer.seal_keys(tx, &codec, fresh).await?;
        Ok((
            sealer,
            sealed.into_iter().map(|(_, sealed)| Some(sealed)).collect(),
        ))
    }

    /// For runs that are there and that the caller has locked, each with its owner if that is told now: from then on
    /// all that the run has stored is under that owner's key.
    pub(in crate::storage) async fn for_runs(
        tx: &DatabaseTransaction,
        runs: &BTreeMap<&RunId, Option<&str>>,
    ) -> Result<Self, DbErr> {
        let codec = super::codec()?;
        let (Some(codec), false) = (&codec, runs.is_empty()) else {
            return Ok(Self::new(codec.is_some()));
        };
        let mut sealer = Self::new(true);
        let mut rows = Rows::new(RUNS);
        for (id, owner) in runs {
            match codec.ring.run(id.as_str()) {
                Some(kept) if owner.is_none_or(|owner| owner == kept.owner) => {
                    sealer.keys.insert(id.as_str().to_owned(), Some(kept.key));
                }
                _ => rows.push(cells![id, owner]),
            }
        }
        if rows.is_empty() {
            return Ok(sealer);
        }
        let sql = "select r.id, r.payload_key, k.owner as sealed_for, k.sealed, coalesce(t.owner, r.owner, '') as owner
            from {rows} join runs r on r.id = t.id left join owner_keys k on k.id = substr(r.payload_key, 1, 26)";
        let backend = tx.get_database_backend();
        let mut to_seal = Vec::new();
        for row in tx.query_all_raw(rows.statement(backend, sql, vec![])).await? {
            let (id, owner): (String, String) = (row.try_get("", "id")?, row.try_get("", "owner")?);
            let payload_key: Option<String> = row.try_get("", "payload_key")?;
            let sealed: Option<String> = row.try_get("", "sealed")?;
            match (payload_key, sealed) {
                // It was started before there was a codec.
                (None, _) => to_seal.push((id, owner, codec::random()?)),
                (Some(_), None) => drop(sealer.keys.insert(id, None)),
                (Some(payload_key), Some(sealed)) => {
                    let key = codec::run_key_bytes(&payload_key, &sealed)?;
                    if row.try_get::<String>("", "sealed_for")? == owner {
                        sealer.hold(codec, &id, owner, key);
                    } else {
                        to_seal.push((id, owner, key));
                    }
                }
            }
        }
        if !to_seal.is_empty() {
            let mut rows = Rows::new(RUN_KEYS);
            for (id, sealed) in sealer.seal_keys(tx, codec, to_seal).await? {
                rows.push(cells![id, sealed]);
            }
            let sql = "update runs set payload_key = t.payload_key from {rows} where runs.id = t.id";
            tx.execute_raw(rows.statement(backend, sql, vec![])).await?;
        }
        Ok(sealer)
    }

    /// Seals keys of runs under those of their owners. They are kept for later batches when they are next read: this one
    /// may not be committed, and a run would stay under its former owner's key.
    async fn seal_keys(
        &mut self,
        tx: &DatabaseTransaction,
        codec: &Codec,
        runs: Vec<(String, String, [u8; 32])>,
    ) -> Result<Vec<(String, String)>, DbErr> {
        if runs.is_empty() {
            return Ok(Vec::new());
        }
        let owners: BTreeSet<_> = runs.iter().map(|(_, owner, _)| owner.clone()).collect();
        let owners = keys::of_owners(tx, codec, &owners).await?;
        let mut sealed = Vec::with_capacity(runs.len());
        for (run, owner, key) in runs {
            let OfOwner { id, key: owner_key } = owners
                .get(&owner)
                .ok_or_else(|| DbErr::Custom("an owner's key vanished as it was made".to_owned()))?;
            sealed.push((run.clone(), codec::seal_run_key(&key, (id, owner_key))?));
            self.keys.insert(run, Some(Arc::new(Key::of(key))));
        }
        Ok(sealed)
    }

    /// Has a run's key at hand, now and for the batches to come.
    fn hold(&mut self, codec: &Codec, run: &str, owner: String, key: [u8; 32]) {
        let key = Arc::new(Key::of(key));
        let kept = OfRun {
            key: key.clone(),
            owner,
        };
        codec.ring.keep_run(run, kept);
        self.keys.insert(run.to_owned(), Some(key));
    }

    /// For a batch whose runs' keys are all at hand, and those of the owners of its new runs, which the statement that
    /// inserts them must require: `None` if one is not. Returns with it what the new runs' `payload_key` shall be.
    pub(in crate::storage) fn at_hand<'a>(
        new: &[&NewRun],
        runs: impl Iterator<Item = (&'a RunId, Option<&'a str>)>,
    ) -> Result<Option<(Self, PayloadKeys)>, DbErr> {
        let Some(codec) = super::codec()? else {
            return Ok(Some((Self::new(false), vec![None; new.len()])));
        };
        let mut sealer = Self::new(true);
        for (id, owner) in runs {
            match codec.ring.run(id.as_str()) {
                Some(kept) if owner.is_none_or(|owner| owner == kept.owner) => {
                    sealer.keys.insert(id.as_str().to_owned(), Some(kept.key));
                }
                _ => return Ok(None),
            }
        }
        let mut payload_keys = Vec::with_capacity(new.len());
        for run in new {
            let owner = run.owner.as_deref().unwrap_or(NOBODY);
            let Some(kept) = codec.ring.owner(owner) else {
                return Ok(None);
            };
            let key = codec::random()?;
            payload_keys.push(Some(codec::seal_run_key(&key, (&kept.id, &kept.key))?));
            let made = OfRun {
                key: Arc::new(Key::of(key)),
                owner: owner.to_owned(),
            };
            sealer
                .keys
                .insert(run.id.as_str().to_owned(), Some(made.key.clone()));
            sealer.made.push((run.id.as_str().to_owned(), made));
        }
        Ok(Some((sealer, payload_keys)))
    }

    /// Keeps the keys of new runs for later batches, now that they are committed: a start that is written in another way
    /// after all gets another key.
    pub(in crate::storage) fn keep_made(self) -> Result<(), DbErr> {
        if let Some(codec) = super::codec()? {
            for (run, made) in self.made {
                codec.ring.keep_run(&run, made);
            }
        }
        Ok(())
    }

    /// The cell of a document of `run`; `what` tells it from the run's others.
    pub(in crate::storage) fn cell(
        &mut self,
        run: &RunId,
        what: &str,
        document: Option<&Json>,
    ) -> Result<Option<String>, DbErr> {
        let Some(document) = document else {
            return Ok(None);
        };
        let mut text = document.to_string();
        if self.sealing {
            text = match self.keys.get(run.as_str()) {
                Some(Some(key)) => format!("{AES}{}", key.seal(&packed::pack(&text), "")?),
                Some(None) => AES.to_owned(),
                None => {
                    return Err(DbErr::Custom(format!(
                        "there is no run {run} to store a document of"
                    )));
                }
            };
        }
        if text.len() <= INLINE {
            return Ok(Some(text));
        }
        // The same document has the same id, so that a commit which is repeated writes it once.
        let id = format!("{run}.{what}");
        let pointer = format!("{BLOB}{id}");
        self.blobs.insert(id, (run.as_str().to_owned(), text));
        Ok(Some(pointer))
    }

    /// Whether every document stands in its row.
    pub(in crate::storage) fn is_inline(&self) -> bool {
        self.blobs.is_empty()
    }

    /// Writes the documents that stand in no row.
    pub(in crate::storage) async fn finish(self, tx: &DatabaseTransaction) -> Result<(), DbErr> {
        if self.blobs.is_empty() {
            return Ok(());
        }
        let mut rows = Rows::new(BLOBS);
        for (id, (run, data)) in self.blobs {
            rows.push(cells![id, run, data]);
        }
        let sql = "insert into blobs (id, run, data) select t.id, t.run, t.data from {rows} where true
            on conflict (id) do update set data = excluded.data";
        tx.execute_raw(rows.statement(tx.get_database_backend(), sql, vec![]))
            .await
            .map(drop)
    }
}

/// The text of one document of a run that the caller has locked, for a statement of its own.
pub(in crate::storage) async fn store(
    tx: &DatabaseTransaction,
    run: &RunId,
    what: &str,
    document: Option<&Json>,
) -> Result<Option<String>, DbErr> {
    let runs = document.iter().map(|_| (run, None)).collect();
    let mut sealer = Sealer::for_runs(tx, &runs).await?;
    let cell = sealer.cell(run, what, document)?;
    sealer.finish(tx).await?;
    Ok(cell)
}
