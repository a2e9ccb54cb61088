//! How long finished runs are kept, and how they go.
use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};
use futures::FutureExt;
use sea_orm::{ConnectionTrait, DatabaseTransaction, DbErr, Value};

use super::{
    Storage, StorageError, dialect,
    rows::{Column, Rows, cells},
    statement,
};

/// For how many days an owner's runs are kept after their end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retention {
    /// The owner; empty for all who have no time of their own, and for runs that never had an owner.
    pub owner: String,
    /// The days.
    pub days: u32,
}

const IDS: &[Column] = &[("id", "text")];

/// What is kept by run, beside the run itself. `run_keys` is absent: a key names its run for ever.
const BY_RUN: &[&str] = &[
    "journal",
    "blobs",
    "signals",
    "run_links",
    "run_tags",
    "run_values",
    "activity_progress",
];

impl Storage {
    /// How long runs are kept, by owner. Who is not listed keeps them as long as the owner `""` says; if that is not
    /// listed either, for ever.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn retention(&self) -> Result<Vec<Retention>, StorageError> {
        let sql = "select owner, days from retention order by owner";
        let rows = self
            .reader()
            .query_all_raw(statement(self.reader(), sql, vec![]))
            .await?;
        let retention = rows.iter().map(|row| {
            Ok::<_, DbErr>(Retention {
                owner: row.try_get("", "owner")?,
                days: u32::try_from(row.try_get::<i64>("", "days")?).unwrap_or(u32::MAX),
            })
        });
        Ok(retention.collect::<Result<_, _>>()?)
    }

    /// Sets for how many days (1 at least) the runs of `owner` are kept after their end, the owner `""` being the rule
    /// for the others; or takes that back.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn set_retention(&self, owner: &str, days: Option<u32>) -> Result<(), StorageError> {
        let owner = owner.to_owned();
        self.transaction(move |tx| {
            async move {
                let statement = match days {
                    Some(days) => {
                        let sql = "insert into retention (owner, days) values ($1, $2)
                            on conflict (owner) do update set days = excluded.days";
                        let values: Vec<Value> = vec![owner.into(), i64::from(days.max(1)).into()];
                        statement(tx, sql, values)
                    }
                    None => statement(tx, "delete from retention where owner = $1", vec![owner.into()]),
                };
                tx.execute_raw(statement).await?;
                Ok::<_, StorageError>(())
            }
            .boxed()
        })
        .await
    }

    /// Deletes the runs that ended longer ago than their owners keep them, `batch` in a commit, so that whoever claims
    /// or writes waits for one batch at most. Their keys stay: a second start finds the first still. Returns their
    /// number.
    ///
    /// # Errors
    /// When the database does not answer; the batches before stay deleted.
    pub async fn purge(&self, now: DateTime<Utc>, batch: u64) -> Result<u64, StorageError> {
        let days: HashMap<String, u32> = self
            .retention()
            .await?
            .into_iter()
            .map(|retention| (retention.owner, retention.days))
            .collect();
        if days.is_empty() {
            return Ok(0);
        }
        let mut purged = 0;
        let mut next = self.next_owner("owner >=", "").await?;
        while let Some(owner) = next {
            let kept = days.get(&owner).or_else(|| days.get(""));
            let until = kept.and_then(|days| now.checked_sub_signed(TimeDelta::days(i64::from(*days))));
            if let Some(until) = until {
                purged += self.purge_owner(&owner, until, batch.max(1)).await?;
            }
            next = self.next_owner("owner >", &owner).await?;
        }
        Ok(purged)
    }

    /// Owners of finished runs are found one by one, so that those who keep theirs cost nothing.
    async fn next_owner(&self, after: &str, owner: &str) -> Result<Option<String>, StorageError> {
        let after = after.replace("owner", "coalesce(owner, '')");
        let sql = format!(
            "select coalesce(owner, '') as owner from runs where finished_at is not null and {after} $1
            order by coalesce(owner, '') limit 1"
        );
        let row = self
            .reader()
            .query_one_raw(statement(self.reader(), &sql, vec![owner.into()]))
            .await?;
        Ok(row.map(|row| row.try_get("", "owner")).transpose()?)
    }

    async fn purge_owner(&self, owner: &str, until: DateTime<Utc>, batch: u64) -> Result<u64, StorageError> {
        let mut purged = 0;
        loop {
            let owner = owner.to_owned();
            let gone = self
                .transaction(move |tx| {
                    async move { Ok::<_, StorageError>(purge_batch(tx, owner, until, batch).await?) }.boxed()
                })
                .await?;
            purged += gone;
            if gone < batch {
                return Ok(purged);
            }
            // Whoever came meanwhile is served first.
            tokio::task::yield_now().await;
        }
    }
}

async fn purge_batch(
    tx: &DatabaseTransaction,
    owner: String,
    until: DateTime<Utc>,
    batch: u64,
) -> Result<u64, DbErr> {
    let backend = tx.get_database_backend();
    let sql = format!(
        "select id from runs where finished_at is not null and coalesce(owner, '') = $1 and finished_at < $2
        order by finished_at limit $3{}",
        dialect::skip_locked(backend)
    );
    let values: Vec<Value> = vec![owner.into(), until.into(), (batch as i64).into()];
    let mut ids = Vec::new();
    for row in tx.query_all_raw(statement(tx, &sql, values)).await? {
        ids.push(row.try_get::<String>("", "id")?);
    }
    if ids.is_empty() {
        return Ok(0);
    }
    let rows = || {
        let mut rows = Rows::new(IDS);
        for id in &ids {
            rows.push(cells![id]);
        }
        rows
    };
    for table in BY_RUN {
        let sql = format!("delete from {table} where run in (select t.id from {{rows}})");
        tx.execute_raw(rows().statement(backend, &sql, vec![])).await?;
    }
    let sql = "delete from runs where id in (select t.id from {rows})";
    let gone = tx.execute_raw(rows().statement(backend, sql, vec![])).await?;
    Ok(gone.rows_affected())
}
