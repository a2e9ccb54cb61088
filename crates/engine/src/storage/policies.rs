//! What an owner may have of the workers' time.
use std::num::{NonZeroU8, NonZeroU32};

use chrono::{DateTime, Utc};
use futures::FutureExt;
use sea_orm::{ConnectionTrait, DbErr, QueryResult, Value};

use super::{Storage, StorageError, now, statement};

/// How the runs of one owner are claimed while others have runs too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// The owner; empty for runs whose owner is not known.
    pub owner: String,
    /// How many of its runs are claimed in one turn; with weights of 3 and 1, three of the one for one of the other.
    pub weight: NonZeroU8,
    /// The most of its runs in the hands of workers at the same time; no limit if absent. A run counts for the owner
    /// whom it had when it was claimed.
    pub most_running: Option<NonZeroU32>,
    /// When it was set; absent where nobody set one.
    pub updated_at: Option<DateTime<Utc>>,
}

impl Policy {
    /// The policy of an owner for whom none was set: a weight of 1 and no cap.
    pub fn default_of(owner: impl Into<String>) -> Self {
        Self {
            owner: owner.into(),
            weight: NonZeroU8::MIN,
            most_running: None,
            updated_at: None,
        }
    }
}

const COLUMNS: &str = "owner, weight, most_running, updated_at";

impl Storage {
    /// The policy of `owner`; the default one, if none was set.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn policy(&self, owner: &str) -> Result<Policy, StorageError> {
        let sql = format!("select {COLUMNS} from owner_policies where owner = $1");
        let row = self
            .reader()
            .query_one_raw(statement(self.reader(), &sql, vec![owner.into()]))
            .await?;
        Ok(row
            .as_ref()
            .map(policy)
            .transpose()?
            .unwrap_or_else(|| Policy::default_of(owner)))
    }

    /// The policies that were set, by owner.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn policies(&self) -> Result<Vec<Policy>, StorageError> {
        let sql = format!("select {COLUMNS} from owner_policies order by owner");
        let rows = self
            .reader()
            .query_all_raw(statement(self.reader(), &sql, vec![]))
            .await?;
        Ok(rows.iter().map(policy).collect::<Result<_, _>>()?)
    }

    /// Sets the policy of `owner`, from the next claim on; runs that are in hand already stay there. Returns it.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn set_policy(
        &self,
        owner: &str,
        weight: NonZeroU8,
        most_running: Option<NonZeroU32>,
    ) -> Result<Policy, StorageError> {
        let at = now();
        let values: Vec<Value> = vec![
            owner.into(),
            i64::from(weight.get()).into(),
            most_running.map(|most| i64::from(most.get())).into(),
            at.into(),
        ];
        self.transaction(move |tx| {
            async move {
                let sql = "insert into owner_policies (owner, weight, most_running, updated_at)
                    values ($1, $2, $3, $4) on conflict (owner) do update set weight = excluded.weight,
                        most_running = excluded.most_running, updated_at = excluded.updated_at";
                tx.execute_raw(statement(tx, sql, values)).await?;
                Ok::<_, StorageError>(())
            }
            .boxed()
        })
        .await?;
        // A cap that was raised makes room for runs that no bell will announce.
        self.ready();
        Ok(Policy {
            owner: owner.to_owned(),
            weight,
            most_running,
            updated_at: Some(at),
        })
    }
}

fn policy(row: &QueryResult) -> Result<Policy, DbErr> {
    let weight: i64 = row.try_get("", "weight")?;
    let most: Option<i64> = row.try_get("", "most_running")?;
    Ok(Policy {
        owner: row.try_get("", "owner")?,
        weight: u8::try_from(weight)
            .ok()
            .and_then(NonZeroU8::new)
            .ok_or_else(|| DbErr::Type(format!("no such weight: {weight}")))?,
        most_running: most
            .map(|most| u32::try_from(most).ok().and_then(NonZeroU32::new))
            .map(|most| most.ok_or_else(|| DbErr::Type("no such cap".to_owned())))
            .transpose()?,
        updated_at: Some(row.try_get("", "updated_at")?),
    })
}
