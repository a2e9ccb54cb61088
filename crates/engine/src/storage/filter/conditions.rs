//! A filter, as the database reads it.
use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::{DbBackend, Value};

use super::{FAILED_STEP, Filter};
use crate::storage::dialect;

/// How far the clock of a process may have been put between the making of a run's id and the noting of its start.
const SLACK: TimeDelta = TimeDelta::hours(1);

/// What stands behind the last slash of a lane: what is left without all up to there. As the index on it has it, in the
/// functions that both databases have.
const LANE_END: &str = "replace(lane, rtrim(lane, replace(lane, '/', '')), '')";

/// The part of a statement behind `where`, and its values.
pub(super) struct Conditions {
    pub(super) sql: String,
    pub(super) values: Vec<Value>,
}

impl Conditions {
    /// `values` are those of the statement's other parts.
    pub(super) fn of(filter: &Filter, backend: DbBackend, values: Vec<Value>) -> Self {
        let mut all = Self {
            sql: "true".to_owned(),
            values,
        };
        let text = |text: &Option<String>| text.clone().map(Value::from);
        all.and("workflow = ?", text(&filter.workflow));
        all.and("state = ?", filter.state.map(|state| state.as_str().into()));
        all.and("outcome = ?", text(&filter.outcome));
        all.and("owner = ?", text(&filter.owner));
        all.and("created_at >= ?", filter.created_from.map(Value::from));
        all.and("created_at < ?", filter.created_before.map(Value::from));
        all.and("since <= ?", filter.still_since.map(Value::from));
        all.and("attempt >= ?", filter.attempt_from.map(Value::from));
        all.begins("error", filter.error.as_deref());
        all.begins("waiting_for", filter.waiting_for.as_deref());
        if filter.is_of_open_runs() {
            all.add(" and state in ('queued', 'running', 'waiting', 'parked')");
        }
        if filter.leaves_completed_out() {
            // As the index on these has it, which a plan for any state could not use.
            all.add(" and state <> 'completed'");
        }
        all.and("state = 'running' and worker = ?", text(&filter.worker));
        all.and(
            &format!("state = 'parked' and coalesce({FAILED_STEP}, '') = ?"),
            text(&filter.step),
        );
        if let Some(text) = &filter.text {
            match id_in(text) {
                Some(id) => all.and("id = ?", Some(id.into())),
                None => all.contains(backend, text),
            }
        }
        all.and("parent = ?", filter.parent.as_ref().map(|id| id.as_str().into()));
        all.ends_with(filter);
        if let Some((name, value)) = &filter.tag {
            all.values.push(name.as_str().into());
            let sql = format!(
                "id in (select run from run_tags where name = ${} and value = ?)",
                all.values.len()
            );
            all.and(&sql, Some(value.as_str().into()));
        }
        all.within_times(filter);
        all
    }

    /// Only ids that runs of the filter's times can have.
    pub(super) fn within_times(&mut self, filter: &Filter) {
        if let Some(from) = filter.created_from {
            self.and("id >= ?", Some(id_at(from - SLACK).into()));
        }
        if let Some(before) = filter.created_before {
            self.and("id < ?", Some(id_at(before + SLACK).into()));
        }
    }

    fn add(&mut self, sql: &str) {
        self.sql.push_str(sql);
    }

    /// `condition` with `value` in the place of its `?`; nothing without one.
    pub(super) fn and(&mut self, condition: &str, value: Option<Value>) {
        if let Some(value) = value {
            self.values.push(value);
            let condition = condition.replacen('?', &format!("${}", self.values.len()), 1);
            self.add(&format!(" and {condition}"));
        }
    }

    fn begins(&mut self, column: &str, prefix: Option<&str>) {
        let length = prefix.map_or(0, |prefix| prefix.chars().count());
        let condition = format!("substr({column}, 1, {length}) = ?");
        self.and(&condition, prefix.map(Value::from));
    }

    /// Only runs of the lanes that end so. Completed ones are led to by the index on their lanes' ends, the others by the
    /// index on these: the whole of both is what no single condition could use.
    fn ends_with(&mut self, filter: &Filter) {
        if filter.lane_ends.is_empty() {
            return;
        }
        let place = |end: &String| {
            self.values.push(end.as_str().into());
            format!("${}", self.values.len())
        };
        let places: Vec<_> = filter.lane_ends.iter().map(place).collect();
        let ends = format!("lane is not null and {LANE_END} in ({})", places.join(", "));
        match filter.leaves_completed_out() {
            true => self.add(&format!(" and {ends}")),
            false => self.add(&format!(
                " and id in (select id from runs where state = 'completed' and {ends}
                    union all select id from runs where state <> 'completed' and {ends})"
            )),
        }
    }

    fn contains(&mut self, backend: DbBackend, text: &str) {
        let all = "lower(id || ' ' || key || ' ' || coalesce(lane, '') || ' ' || coalesce(error, ''))";
        let at = dialect::position(backend, all, "lower(?)");
        self.and(&format!("{at} > 0"), Some(text.into()));
    }
}

/// `text` as the id of a run, if it can be one.
pub(super) fn id_in(text: &str) -> Option<String> {
    ulid::Ulid::from_string(text).ok().map(|id| id.to_string())
}

/// The least id of a run that is started at `at`: the time is what an id begins with.
fn id_at(at: DateTime<Utc>) -> String {
    let millis = u64::try_from(at.timestamp_millis()).unwrap_or_default();
    ulid::Ulid::from_parts(millis, 0).to_string()
}
