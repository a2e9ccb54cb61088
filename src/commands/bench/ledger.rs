//! What the database says of the runs of a measurement.
//!
//! Those runs are found by their keys, which have a prefix of their own: by an index, however large the history is.
use std::time::Duration;

use anyhow::Context as _;
use sea_orm::{ConnectionTrait, DbBackend, QueryResult, Statement, Value};

use super::{cast::Callbacks, world::World};

/// How long what was answered may take to be closed: so long, and a little for each run.
const SETTLED: Duration = Duration::from_secs(60);
const SETTLED_EACH: Duration = Duration::from_millis(50);

/// The runs of a measurement, by [`keys`].
const THEIRS: &str = "run_keys k join runs r on r.id = k.run
    where k.workflow = $1 and k.key >= $2 and k.key < $3";

/// The parameters of [`THEIRS`]. All that follows the prefix is digits.
fn keys(workflow: &str, prefix: &str) -> Vec<Value> {
    vec![workflow.into(), prefix.into(), format!("{prefix}g").into()]
}

impl World {
    /// Requires that `count` runs of a workflow whose keys begin with `prefix` have ended well, each with at least
    /// `events` completed steps in the journal.
    ///
    /// # Errors
    /// When the database does not answer, or a row is missing.
    pub(super) async fn require_events(
        &self,
        workflow: &str,
        prefix: &str,
        count: u64,
        events: u64,
    ) -> anyhow::Result<()> {
        let sql = format!(
            "select count(*) as runs, cast(coalesce(sum((select count(*) from journal j
                where j.run = r.id and j.kind = 'activity_completed')), 0) as bigint) as events
            from {THEIRS} and r.state = 'completed'"
        );
        let row = self.one(&sql, keys(workflow, prefix)).await?;
        let runs: i64 = row.try_get("", "runs")?;
        let found: i64 = row.try_get("", "events")?;
        anyhow::ensure!(
            (runs, found) == (count as i64, (count * events) as i64),
            "of {count} runs with {events} steps each the journal holds {runs} with {found} steps in all"
        );
        Ok(())
    }

    /// How many runs of a workflow have keys that begin with `prefix`.
    ///
    /// # Errors
    /// When the database does not answer.
    pub(super) async fn count_runs(&self, workflow: &str, prefix: &str) -> anyhow::Result<u64> {
        let sql = format!("select count(*) as n from {THEIRS}");
        Ok(self
            .one(&sql, keys(workflow, prefix))
            .await?
            .try_get::<i64>("", "n")? as u64)
    }

    /// Waits until `count` runs of a workflow whose keys begin with `prefix` have ended well.
    ///
    /// # Errors
    /// When the database does not answer, or one has not ended in time.
    pub(super) async fn require_ended(&self, workflow: &str, prefix: &str, count: u64) -> anyhow::Result<()> {
        let sql = format!("select count(*) as n from {THEIRS} and r.state = 'completed'");
        let settled = async {
            loop {
                let ended: i64 = self.one(&sql, keys(workflow, prefix)).await?.try_get("", "n")?;
                if ended as u64 == count {
                    return anyhow::Ok(());
                }
                tokio::time::sleep(Duration::from_millis(20 + count / 50)).await;
            }
        };
        let patience = SETTLED + SETTLED_EACH * u32::try_from(count)?;
        tokio::time::timeout(patience, settled)
            .await
            .context("runs have not ended")?
    }

    /// Waits until Twilio has reported, of every answer of these runs, that it was read, if it reports at all.
    ///
    /// # Errors
    /// When the database does not answer, or a report has not come in time.
    pub(super) async fn require_reported(&self, workflow: &str, prefix: &str) -> anyhow::Result<()> {
        if self.callbacks() == Callbacks::Silent {
            return Ok(());
        }
        let sql = "select count(*) as n from run_keys k
                join messages m on m.twilio_sid is not null and m.run = k.run
            where k.workflow = $1 and k.key >= $2 and k.key < $3
                and m.direction = 'outbound' and m.status <> 'read'";
        let reported = async {
            while self
                .one(sql, keys(workflow, prefix))
                .await?
                .try_get::<i64>("", "n")?
                > 0
            {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            anyhow::Ok(())
        };
        tokio::time::timeout(SETTLED, reported)
            .await
            .context("Twilio has not reported of every answer")?
    }

    /// The milliseconds from the start of runs to their first attempts.
    ///
    /// # Errors
    /// When the database does not answer.
    pub(super) async fn until_first_step(&self, workflow: &str, prefix: &str) -> anyhow::Result<Vec<f64>> {
        let sql = format!(
            "select r.created_at as since, (select min(j.started_at) from journal j where j.run = r.id) as at
            from {THEIRS}"
        );
        self.spans(&sql, keys(workflow, prefix)).await
    }

    /// The milliseconds from the setting of runs' timers to their firing.
    ///
    /// # Errors
    /// When the database does not answer, or one has no timer that fired.
    pub(super) async fn until_fired(&self, workflow: &str, prefix: &str) -> anyhow::Result<Vec<f64>> {
        let of = |kind| format!("(select min(j.at) from journal j where j.run = r.id and j.kind = '{kind}')");
        let sql = format!(
            "select {} as since, {} as at from {THEIRS}",
            of("timer_set"),
            of("timer_fired")
        );
        self.spans(&sql, keys(workflow, prefix)).await
    }

    async fn spans(&self, sql: &str, values: Vec<Value>) -> anyhow::Result<Vec<f64>> {
        let span = |row: &QueryResult| -> Result<f64, sea_orm::DbErr> {
            let at = |column| row.try_get::<chrono::DateTime<chrono::Utc>>("", column);
            Ok((at("at")? - at("since")?).as_seconds_f64() * 1e3)
        };
        let rows = self.all(sql, values).await?;
        Ok(rows.iter().map(span).collect::<Result<_, _>>()?)
    }

    /// What each message waited for in sequence until Twilio was asked, where the database tells which rows were
    /// committed together (Postgres does): the commit of the start, and every commit that wrote events up to the intent of
    /// the first answer. None of these can be the same as another: each is awaited before the next begins. A claim is not
    /// among them: it does not wait for the disk.
    ///
    /// # Errors
    /// When the database does not answer.
    pub(super) async fn waits(&self, workflow: &str, prefix: &str) -> anyhow::Result<Vec<(String, f64)>> {
        let sql =
            "select count(*) as n, count(distinct r.id) as runs from run_keys k join runs r on r.id = k.run
                join journal j on j.run = r.id
            where k.workflow = $1 and k.key >= $2 and k.key < $3";
        let row = self.one(sql, keys(workflow, prefix)).await?;
        let (events, runs): (i64, i64) = (row.try_get("", "n")?, row.try_get("", "runs")?);
        let mut told = vec![("events_per_message".to_owned(), events as f64 / runs as f64)];
        if self.backend() != DbBackend::Postgres {
            return Ok(told);
        }
        let sql = "select 1 + (select count(distinct j.xmin::text) from journal j
                    where j.run = r.id and j.xmin <> k.xmin and j.seq <= (select min(i.seq) from journal i
                        where i.run = r.id and i.name = 'reply' and i.kind = 'activity_intended')) as waits
            from run_keys k join runs r on r.id = k.run
            where k.workflow = $1 and k.key >= $2 and k.key < $3 and r.outcome = 'answered'
            order by 1";
        let rows = self.all(sql, keys(workflow, prefix)).await?;
        let waits: Vec<i64> = rows
            .iter()
            .map(|row| row.try_get("", "waits"))
            .collect::<Result<_, _>>()?;
        for (name, index) in [
            ("disk_waits_p50", waits.len() / 2),
            ("disk_waits_max", waits.len().saturating_sub(1)),
        ] {
            let waits = waits.get(index).context("no message was answered")?;
            told.push((name.to_owned(), *waits as f64));
        }
        Ok(told)
    }

    /// What the database promises of what it was told to keep.
    ///
    /// # Errors
    /// When it does not answer.
    pub(super) async fn about(&self) -> anyhow::Result<String> {
        let mut told = Vec::new();
        let settings: &[&str] = match self.backend() {
            DbBackend::Postgres => &["server_version", "fsync", "synchronous_commit"],
            _ => &["journal_mode", "synchronous"],
        };
        for setting in settings {
            let sql = match self.backend() {
                DbBackend::Postgres => format!("select current_setting('{setting}') as value"),
                // The processes' own connections are told so by the program; this one only shows the file's mode.
                _ if *setting == "synchronous" => "select 'FULL' as value".to_owned(),
                _ => "select journal_mode as value from pragma_journal_mode".to_owned(),
            };
            let value: String = self.one(&sql, vec![]).await?.try_get("", "value")?;
            told.push(format!("{setting} {value}"));
        }
        Ok(told.join(", "))
    }

    /// The one row of an answer.
    ///
    /// # Errors
    /// When the database does not answer, or with no row.
    pub(super) async fn one(&self, sql: &str, values: Vec<Value>) -> anyhow::Result<QueryResult> {
        let statement = Statement::from_sql_and_values(self.backend(), sql, values);
        let row = self.database().query_one_raw(statement).await?;
        row.context("the database answers without a row")
    }

    /// The rows of an answer.
    ///
    /// # Errors
    /// When the database does not answer.
    pub(super) async fn all(&self, sql: &str, values: Vec<Value>) -> anyhow::Result<Vec<QueryResult>> {
        let statement = Statement::from_sql_and_values(self.backend(), sql, values);
        Ok(self.database().query_all_raw(statement).await?)
    }

    /// Runs a statement. Returns how many rows it touched.
    ///
    /// # Errors
    /// Those of the database.
    pub(super) async fn execute(&self, sql: &str, values: Vec<Value>) -> anyhow::Result<u64> {
        let statement = Statement::from_sql_and_values(self.backend(), sql, values);
        Ok(self.database().execute_raw(statement).await?.rows_affected())
    }
}
