//! Which runs somebody wants to see, and how many there are.
//!
//! However many runs have ended, a look stays short: a filter that leaves only runs which are not completed is served by
//! the index on those, and any other looks no deeper than it says.
mod conditions;
#[cfg(test)]
mod tests;

use chrono::{DateTime, Utc};
use sea_orm::{ConnectionTrait, Statement, Value};

use self::conditions::{Conditions, id_in};
use super::{
    Page, Storage, StorageError,
    inspect::{RUN_COLUMNS, run},
    statement,
};
use crate::{Run, RunId, RunState};

/// The name of the step at which a parked run failed.
pub(super) const FAILED_STEP: &str =
    "(select s.name from journal p join journal s on s.run = p.run and s.op = p.op
    where p.run = runs.id and p.kind = 'parked' and s.name is not null
        and p.seq = (select max(m.seq) from journal m where m.run = runs.id)
    order by s.seq desc limit 1)";

/// Which of two runs comes first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// The one that was started last.
    #[default]
    Newest,
    /// The one that was started first.
    Oldest,
}

/// Which runs to list.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Filter {
    /// Only runs of this workflow.
    pub workflow: Option<String>,
    /// Only runs in this state.
    pub state: Option<RunState>,
    /// Only runs that ended with this outcome.
    pub outcome: Option<String>,
    /// Only runs of this owner.
    pub owner: Option<String>,
    /// Only runs started at this time or later.
    pub created_from: Option<DateTime<Utc>>,
    /// Only runs started before this time.
    pub created_before: Option<DateTime<Utc>>,
    /// Only runs whose error begins with this, e.g. its class.
    pub error: Option<String>,
    /// Only runs that wait for something that begins with this, e.g. `signal:`.
    pub waiting_for: Option<String>,
    /// Only runs with this tag: its name and value.
    pub tag: Option<(String, String)>,
    /// Only runs that have not ended.
    pub unfinished: bool,
    /// Only unfinished runs that have stood as they stand since this time or longer.
    pub still_since: Option<DateTime<Utc>>,
    /// Only unfinished runs at this attempt of their present activity or a later one.
    pub attempt_from: Option<i64>,
    /// Only parked runs that failed at a step of this name; empty for those that no step parked.
    pub step: Option<String>,
    /// Only runs in the hands of this worker.
    pub worker: Option<String>,
    /// Only runs that this one started as its children.
    pub parent: Option<RunId>,
    /// Only runs of a lane that ends, behind its last slash, with one of these; of any lane or none, if empty.
    pub lane_ends: Vec<String>,
    /// Only runs with this in their id, key, lane or error, in capitals or not.
    pub text: Option<String>,
    /// Which come first.
    pub order: Order,
    /// How many runs are looked through for a page where no index serves the filter; all, if absent. A page may then
    /// have fewer runs than were asked for, even none, and still a cursor that leads on.
    pub depth: Option<u64>,
}

impl Filter {
    /// Whether only unfinished runs are meant. What only they have is null or 0 in the others.
    fn is_of_open_runs(&self) -> bool {
        self.unfinished
            || self.waiting_for.is_some()
            || self.still_since.is_some()
            || self.attempt_from.is_some()
    }

    /// Whether completed runs are left out, of which there may be any number.
    fn leaves_completed_out(&self) -> bool {
        self.is_of_open_runs()
            || self.error.is_some()
            || self.step.is_some()
            || self.worker.is_some()
            || self.state.is_some_and(|state| state != RunState::Completed)
    }

    /// Whether an index leads to the runs, whatever their state.
    fn is_led(&self) -> bool {
        self.tag.is_some() || self.parent.is_some() || !self.lane_ends.is_empty()
    }

    /// Whether an index leads to the runs, or to few more.
    fn is_narrow(&self) -> bool {
        let is_id = self.text.as_deref().is_some_and(|text| id_in(text).is_some());
        self.leaves_completed_out() || self.is_led() || is_id
    }

    /// Whether a page may have to look through any number of runs. A text is looked for in each of those that the state
    /// leaves.
    fn is_deep(&self) -> bool {
        let ended = self.state.is_some_and(RunState::is_final);
        let text = self.text.as_deref().is_some_and(|text| id_in(text).is_none());
        !self.is_narrow() || (ended && text && !self.is_led())
    }

    /// Whether the first runs of a list are those of a page.
    fn takes_all(&self) -> bool {
        let free = Self {
            owner: self.owner.clone(),
            order: self.order,
            depth: self.depth,
            ..Self::default()
        };
        *self == free
    }
}

impl Storage {
    /// Runs in the order of the filter, `limit` at most, those behind `cursor`.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn runs(
        &self,
        filter: &Filter,
        limit: u64,
        cursor: Option<&str>,
    ) -> Result<Page<Run>, StorageError> {
        let deepest = match filter.depth {
            Some(depth) if filter.is_deep() && !filter.takes_all() => {
                self.id_behind(filter, depth, cursor).await?
            }
            _ => None,
        };
        // One more than is wanted tells whether there is another page.
        let page = page_statement(self.reader(), filter, limit + 1, cursor, deepest.as_ref());
        let rows = self.reader().query_all_raw(page).await?;
        let mut items = rows.iter().map(run).collect::<Result<Vec<_>, _>>()?;
        let more = items.len() as u64 > limit;
        items.truncate(limit as usize);
        let last = items.last().filter(|_| more).map(|run| run.id.clone());
        let next = last.or(deepest).map(|id| id.to_string());
        Ok(Page { items, next })
    }

    /// The last of the first `depth` runs behind `cursor` within the filter's times, if there are more than these.
    async fn id_behind(
        &self,
        filter: &Filter,
        depth: u64,
        cursor: Option<&str>,
    ) -> Result<Option<RunId>, StorageError> {
        let (behind, direction) = direction(filter.order);
        let mut conditions = Conditions {
            sql: "true".to_owned(),
            values: vec![(depth.max(1) as i64 - 1).into()],
        };
        conditions.and(&format!("id {behind} ?"), cursor.map(Value::from));
        if let Some(state) = filter.state.filter(|state| *state != RunState::Completed) {
            // Along the index on these, so that runs of other states are not counted.
            conditions.and("state <> 'completed' and state = ?", Some(state.as_str().into()));
        }
        conditions.within_times(filter);
        let Conditions { sql, values } = conditions;
        let sql = format!("select id from runs where {sql} order by id {direction} limit 1 offset $1");
        let row = self
            .reader()
            .query_one_raw(statement(self.reader(), &sql, values))
            .await?;
        Ok(row
            .map(|row| row.try_get::<String>("", "id"))
            .transpose()?
            .map(RunId::from))
    }

    /// How many unfinished runs there are in each state.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn open_runs(&self) -> Result<Vec<(RunState, i64)>, StorageError> {
        self.open_runs_of(&Filter::default()).await
    }

    /// How many unfinished runs there are in each state, of those that `filter` finds, whatever state it names.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn open_runs_of(&self, filter: &Filter) -> Result<Vec<(RunState, i64)>, StorageError> {
        let filter = Filter {
            state: None,
            unfinished: true,
            ..filter.clone()
        };
        let backend = self.reader().get_database_backend();
        let Conditions { sql, values } = Conditions::of(&filter, backend, Vec::new());
        let sql = format!("select state, count(*) as n from runs where {sql} group by state");
        let rows = self
            .reader()
            .query_all_raw(statement(self.reader(), &sql, values))
            .await?;
        let mut counts = Vec::new();
        for row in rows {
            let state: String = row.try_get("", "state")?;
            counts.extend(RunState::parse(&state).zip(Some(row.try_get("", "n")?)));
        }
        Ok(counts)
    }
}

fn direction(order: Order) -> (&'static str, &'static str) {
    match order {
        Order::Newest => ("<", "desc"),
        Order::Oldest => (">", "asc"),
    }
}

/// The runs of a page: behind `cursor`, and not behind `deepest`.
fn page_statement(
    conn: &impl ConnectionTrait,
    filter: &Filter,
    limit: u64,
    cursor: Option<&str>,
    deepest: Option<&RunId>,
) -> Statement {
    let limit: Vec<Value> = vec![(limit as i64).into()];
    let mut all = Conditions::of(filter, conn.get_database_backend(), limit);
    let (behind, direction) = direction(filter.order);
    all.and(&format!("id {behind} ?"), cursor.map(Value::from));
    let within = if behind == "<" { ">=" } else { "<=" };
    all.and(&format!("id {within} ?"), deepest.map(|id| id.as_str().into()));
    let sql = format!(
        "select {RUN_COLUMNS} from runs where {} order by id {direction} limit $1",
        all.sql
    );
    statement(conn, &sql, all.values)
}
