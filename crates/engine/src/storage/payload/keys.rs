//! The keys of owners: made when first needed, erased when the owner's data is to be gone.
use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use futures::FutureExt;
use sea_orm::{ConnectionTrait, DatabaseTransaction, DbErr};

use super::{
    codec::{self, Codec},
    ring::OfOwner,
};
use crate::storage::{
    Storage, StorageError, now,
    rows::{Column, Rows, cells},
    statement,
};

const OWNERS: &[Column] = &[("owner", "text")];
const KEYS: &[Column] = &[("owner", "text"), ("id", "text"), ("sealed", "text")];

/// The owner of the runs whose owner is not known yet.
pub(super) const NOBODY: &str = "";

/// The key of each owner and its id; the owners who had none have one now.
pub(super) async fn of_owners(
    tx: &DatabaseTransaction,
    codec: &Codec,
    owners: &BTreeSet<String>,
) -> Result<HashMap<String, OfOwner>, DbErr> {
    let mut keys = find(tx, codec, owners).await?;
    let missing: Vec<_> = owners.iter().filter(|owner| !keys.contains_key(*owner)).collect();
    if !missing.is_empty() {
        let mut rows = Rows::new(KEYS);
        for owner in missing {
            let id = ulid::Ulid::generate().to_string();
            let sealed = codec.seal_owner_key(&id, &codec::random()?)?;
            rows.push(cells![owner, id, sealed]);
        }
        // Another process may make one at this moment; whoever commits first has made it.
        let sql = "insert into owner_keys (owner, id, sealed, created_at) select t.owner, t.id, t.sealed, $2
            from {rows} where true on conflict (owner) do nothing";
        tx.execute_raw(rows.statement(tx.get_database_backend(), sql, vec![now().into()]))
            .await?;
        keys = find(tx, codec, owners).await?;
    }
    Ok(keys)
}

async fn find(
    tx: &DatabaseTransaction,
    codec: &Codec,
    owners: &BTreeSet<String>,
) -> Result<HashMap<String, OfOwner>, DbErr> {
    let mut rows = Rows::new(OWNERS);
    for owner in owners {
        rows.push(cells![owner]);
    }
    let sql = "select k.owner, k.id, k.sealed from {rows} join owner_keys k on k.owner = t.owner";
    let found = tx
        .query_all_raw(rows.statement(tx.get_database_backend(), sql, vec![]))
        .await?;
    let mut keys = HashMap::new();
    for row in found {
        let (id, sealed): (String, String) = (row.try_get("", "id")?, row.try_get("", "sealed")?);
        let owner: String = row.try_get("", "owner")?;
        let key = Arc::new(codec::owner_key(&id, &sealed)?);
        let found = OfOwner { id, key };
        codec.ring.keep_owner(&owner, found.clone());
        keys.insert(owner, found);
    }
    Ok(keys)
}

impl Storage {
    /// Makes sure that this process can read what the database keeps sealed, and marks an unsealed one as sealed from
    /// now on if there is a codec. To be asked once the schema is there, before anything is read.
    ///
    /// # Errors
    /// [`StorageError::Secret`] where the database is sealed and `SECRET_KEY` is another, or missing.
    pub async fn unlock(&self) -> Result<(), StorageError> {
        let sql = "select sealed from owner_keys where owner = ''";
        let row = self
            .reader()
            .query_one_raw(statement(self.reader(), sql, vec![]))
            .await?;
        let found: Option<String> = row.map(|row| row.try_get("", "sealed")).transpose()?;
        match (found, self.inner.codec.clone()) {
            (None, None) => Ok(()),
            (Some(_), None) => Err(StorageError::Secret("is missing")),
            (Some(sealed), Some(codec)) if codec.sealed(&sealed) => Ok(()),
            (Some(_), Some(_)) => Err(StorageError::Secret("is not the one that it was sealed with")),
            (None, Some(codec)) => {
                let made = self.control(move |tx| {
                    async move {
                        let nobody = BTreeSet::from([NOBODY.to_owned()]);
                        Ok::<_, StorageError>(of_owners(tx, &codec, &nobody).await.map(drop)?)
                    }
                    .boxed()
                });
                made.await?;
                // Another process may have marked it meanwhile, with another secret.
                Box::pin(self.unlock()).await
            }
        }
    }

    /// Whether the database is one whose documents are sealed.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn is_sealed(&self) -> Result<bool, StorageError> {
        let sql = "select 1 as one from owner_keys limit 1";
        let found = self
            .reader()
            .query_one_raw(statement(self.reader(), sql, vec![]))
            .await?;
        Ok(found.is_some())
    }

    /// Erases the key of an owner: what its runs were given, did and answered can never be read again, by anybody, and
    /// reads as `{"erased": true}`. Its unfinished runs are parked when they are next taken up. Returns whether there
    /// was a key. What comes later is sealed under a new one.
    ///
    /// What was stored before there was a codec was never sealed, and stays.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn erase_owner_key(&self, owner: &str) -> Result<bool, StorageError> {
        let owner = owner.to_owned();
        if let Some(codec) = &self.inner.codec {
            codec.ring.forget_owner(&owner);
        }
        self.control(move |tx| {
            async move {
                // Nobody's key belongs to the runs of all whose owner is still to be found out.
                let sql = "delete from owner_keys where owner = $1 and owner <> ''";
                let erased = tx.execute_raw(statement(tx, sql, vec![owner.into()])).await?;
                Ok(erased.rows_affected() > 0)
            }
            .boxed()
        })
        .await
    }
}
