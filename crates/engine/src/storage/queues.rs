//! Who waits in line: the owners' runs for a worker, and the runs of lanes for their heads.
use chrono::{DateTime, Utc};
use sea_orm::{ConnectionTrait, DbErr, QueryResult, Value};

use super::{Storage, StorageError, statement};
use crate::{RunId, RunState};

/// What an owner has in line and in hand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backlog {
    /// Whose runs; absent where that is not known yet.
    pub owner: Option<String>,
    /// How many wait for a worker.
    pub queued: i64,
    /// How many are in the hands of workers.
    pub running: i64,
    /// Since when the one waits that was put in line first.
    pub oldest: Option<DateTime<Utc>>,
    /// How many are claimed in one turn.
    pub weight: i64,
    /// The most in the hands of workers at the same time; no limit if absent.
    pub most_running: Option<i64>,
}

/// A lane in which runs wait for others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldLane {
    /// Its key.
    pub lane: String,
    /// How many runs wait in it.
    pub waiting: i64,
    /// Since when the one waits that has waited longest.
    pub since: DateTime<Utc>,
    /// The run at its head.
    pub head: RunId,
    /// The workflow of the head.
    pub workflow: String,
    /// The state of the head.
    pub state: RunState,
    /// What the head waits for.
    pub head_waits_for: Option<String>,
    /// Since when.
    pub head_since: DateTime<Utc>,
}

impl Storage {
    /// What owners have in line and in hand, those with the longest line first, `limit` at most: of `owner`, or of all.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn backlogs(&self, owner: Option<&str>, limit: u64) -> Result<Vec<Backlog>, StorageError> {
        let mut values: Vec<Value> = vec![(limit as i64).into()];
        let of_owner = of_owner(owner, &mut values);
        let sql = format!(
            "select b.owner, b.queued, b.running, b.oldest, coalesce(p.weight, 1) as weight, p.most_running
            from (select owner, sum(case when state = 'queued' then 1 else 0 end) as queued,
                    sum(case when state = 'running' then 1 else 0 end) as running,
                    min(case when state = 'queued' then since end) as oldest
                from runs r where state in ('queued', 'running') and state <> 'completed' {of_owner}
                group by owner order by 2 desc, 3 desc, owner limit $1) b
            left join owner_policies p on p.owner = coalesce(b.owner, '')
            order by b.queued desc, b.running desc, b.owner"
        );
        let rows = self
            .reader()
            .query_all_raw(statement(self.reader(), &sql, values))
            .await?;
        Ok(rows.iter().map(backlog).collect::<Result<Vec<_>, _>>()?)
    }

    /// The lanes in which somebody waits, those that have waited longest first, `limit` at most: of `owner`, or of all.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn held_lanes(&self, owner: Option<&str>, limit: u64) -> Result<Vec<HeldLane>, StorageError> {
        let mut values: Vec<Value> = vec![(limit as i64).into()];
        let of_owner = of_owner(owner, &mut values);
        let sql = format!(
            "select l.lane, l.n, l.since, h.id, h.workflow, h.state, h.waiting_for, h.since as head_since
            from (select p.lane, count(*) as n, min(r.since) as since
                from runs r join lane_places p on p.lane = r.lane and p.place = r.place
                where r.state = 'waiting' and r.state <> 'completed' and r.waiting_for = 'lane' {of_owner}
                group by p.lane order by 3, 1 limit $1) l
            join lane_places first on first.lane = l.lane
                and first.place = (select min(q.place) from lane_places q where q.lane = l.lane)
            join runs h on h.id = first.run
            order by l.since, l.lane"
        );
        let rows = self
            .reader()
            .query_all_raw(statement(self.reader(), &sql, values))
            .await?;
        Ok(rows.iter().map(held_lane).collect::<Result<Vec<_>, _>>()?)
    }
}

fn of_owner(owner: Option<&str>, values: &mut Vec<Value>) -> &'static str {
    match owner {
        Some(owner) => {
            values.push(owner.into());
            "and r.owner = $2"
        }
        None => "",
    }
}

fn backlog(row: &QueryResult) -> Result<Backlog, DbErr> {
    Ok(Backlog {
        owner: row.try_get("", "owner")?,
        queued: row.try_get("", "queued")?,
        running: row.try_get("", "running")?,
        oldest: row.try_get("", "oldest")?,
        weight: row.try_get("", "weight")?,
        most_running: row.try_get("", "most_running")?,
    })
}

fn held_lane(row: &QueryResult) -> Result<HeldLane, DbErr> {
    let state: String = row.try_get("", "state")?;
    Ok(HeldLane {
        lane: row.try_get("", "lane")?,
        waiting: row.try_get("", "n")?,
        since: row.try_get("", "since")?,
        head: row.try_get::<String>("", "id")?.into(),
        workflow: row.try_get("", "workflow")?,
        state: RunState::parse(&state).ok_or_else(|| DbErr::Type(format!("no such state: {state}")))?,
        head_waits_for: row.try_get("", "waiting_for")?,
        head_since: row.try_get("", "head_since")?,
    })
}
