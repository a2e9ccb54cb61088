//! What runs say of themselves, and how they hang together.
use chrono::{DateTime, Utc};
use sea_orm::{ConnectionTrait, QueryResult};
use serde_json::Value as Json;

use super::{
    Storage, StorageError,
    inspect::{self, RUN_COLUMNS},
    payload::{keys_of_run, opened},
    statement,
};
use crate::{Run, RunId};

/// Named state that a workflow publishes while it runs.
#[derive(Clone, Debug)]
pub struct Published {
    /// Its name.
    pub name: String,
    /// What it is.
    pub data: Json,
    /// Since when.
    pub at: DateTime<Utc>,
}

/// A tie between two runs.
#[derive(Clone, Debug)]
pub struct Link {
    /// The run that came of the other, or went into it.
    pub run: RunId,
    /// `forked_from`, `continued_from` or `merged_into`.
    pub kind: String,
    /// The other.
    pub other: RunId,
    /// Since when.
    pub at: DateTime<Utc>,
}

impl Storage {
    /// What the run publishes, by name.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn values(&self, run: &RunId) -> Result<Vec<Published>, StorageError> {
        let sql = concat!(
            "select v.name, v.at, ",
            opened!("v.data", keys_of_run!("v.run"), "data"),
            " from run_values v where v.run = $1 order by v.name"
        );
        let rows = self.of_run(sql, run).await?;
        rows.iter()
            .map(|row| {
                Ok(Published {
                    name: row.try_get("", "name")?,
                    data: inspect::document(row.try_get("", "data")?)?.unwrap_or_default(),
                    at: row.try_get("", "at")?,
                })
            })
            .collect()
    }

    /// The run's tags, as names and values.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn tags(&self, run: &RunId) -> Result<Vec<(String, String)>, StorageError> {
        let sql = "select name, value from run_tags where run = $1 order by name, value";
        let rows = self.of_run(sql, run).await?;
        rows.iter()
            .map(|row| Ok((row.try_get("", "name")?, row.try_get("", "value")?)))
            .collect()
    }

    /// The ties of the run, in both directions, oldest first.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn links(&self, run: &RunId) -> Result<Vec<Link>, StorageError> {
        let sql = "select run, kind, other, at from run_links where run = $1
            union all select run, kind, other, at from run_links where other = $1 and run <> $1
            order by at, run, kind";
        let rows = self.of_run(sql, run).await?;
        rows.iter()
            .map(|row| {
                Ok(Link {
                    run: row.try_get::<String>("", "run")?.into(),
                    kind: row.try_get("", "kind")?,
                    other: row.try_get::<String>("", "other")?.into(),
                    at: row.try_get("", "at")?,
                })
            })
            .collect()
    }

    /// The runs that the run started as children, oldest first.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn children(&self, run: &RunId) -> Result<Vec<Run>, StorageError> {
        let sql = format!("select {RUN_COLUMNS} from runs where parent = $1 order by id");
        let rows = self.of_run(&sql, run).await?;
        Ok(rows.iter().map(inspect::run).collect::<Result<_, _>>()?)
    }

    async fn of_run(&self, sql: &str, run: &RunId) -> Result<Vec<QueryResult>, StorageError> {
        let select = statement(self.reader(), sql, vec![run.as_str().into()]);
        Ok(self.reader().query_all_raw(select).await?)
    }
}
