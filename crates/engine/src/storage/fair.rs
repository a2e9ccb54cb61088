//! Whose runs a claim takes: weighted round robin over the owners that have ready runs, within their caps.
//!
//! The round goes on from claim to claim: a [`Turn`] in the memory of the process tells where the last one ended, so
//! that the weights hold for claims of one run too, and nobody starves where there are more owners than a claim has
//! runs. Each process has a round of its own; each of them comes to everybody, so that none need know of the others.
use std::collections::HashMap;

use sea_orm::{ConnectionTrait, DbErr, Value};

use super::{
    dialect,
    rows::{Column, Rows, cells},
    statement,
};

/// The most owners that one look takes in; one more than a claim has runs, so that one look is enough as a rule.
const WINDOW: i64 = 65;

/// Whose turn it is, and how many runs it may still have in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Turn {
    owner: String,
    left: i64,
}

/// How many runs an owner gets of a claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Share {
    pub(super) owner: String,
    pub(super) runs: i64,
}

/// What a claim is to take.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) shares: Vec<Share>,
    /// Whose turn it is afterwards.
    pub(super) turn: Turn,
    /// Whether an owner got nothing only because another claim was at its cap just then.
    pub(super) passed_over: bool,
    /// Whether an owner may have so many running and no more, so that the plan holds for this transaction only.
    pub(super) capped: bool,
}

/// An owner that has ready runs.
#[derive(Clone, Debug)]
struct Candidate {
    owner: String,
    weight: i64,
    most_running: Option<i64>,
    /// How many of its runs could be claimed now; more than a claim takes are not counted.
    room: i64,
    /// Whether the round comes to it at its turn or later, and not in the next lap.
    due: bool,
    /// Whether another claim has its cap under lock.
    locked: bool,
}

/// Where a look begins.
#[derive(Clone, Copy)]
enum Begin<'a> {
    Start,
    At(&'a str),
    After(&'a str),
}

/// Shares `limit` runs out.
pub(super) async fn plan(conn: &impl ConnectionTrait, limit: i64, turn: &Turn) -> Result<Plan, DbErr> {
    let ring = ring(conn, limit, turn).await?;
    let (shares, turn) = share(limit, &ring, turn);
    Ok(Plan {
        shares,
        turn,
        passed_over: ring.iter().any(|candidate| candidate.locked),
        capped: ring.iter().any(|candidate| candidate.most_running.is_some()),
    })
}

/// The owners in the order of the round, from whose turn it is; as many as it takes to fill a claim, and one more.
async fn ring(conn: &impl ConnectionTrait, limit: i64, turn: &Turn) -> Result<Vec<Candidate>, DbErr> {
    let first = look(conn, Begin::Start, limit, turn).await?;
    if is_last(&first) {
        let mut ring = first;
        let begin = ring.iter().position(|candidate| candidate.due).unwrap_or(0);
        ring.rotate_left(begin);
        return Ok(ring);
    }
    let mut ring = Vec::new();
    let mut part = look(conn, Begin::At(&turn.owner), limit, turn).await?;
    while extend(&mut ring, &part, limit) {
        part = match part.last() {
            Some(last) => look(conn, Begin::After(&last.owner), limit, turn).await?,
            None => break,
        };
    }
    // The next lap, up to where this one began.
    let mut part = first;
    while lap(&ring) <= limit {
        let more = !is_last(&part) && part.last().is_some_and(|candidate| !candidate.due);
        ring.extend(part.iter().filter(|candidate| !candidate.due).cloned());
        part = match part.last() {
            Some(last) if more => look(conn, Begin::After(&last.owner), limit, turn).await?,
            _ => break,
        };
    }
    Ok(ring)
}

/// Adds `part` to `ring`. Returns whether another look is needed and may find more.
fn extend(ring: &mut Vec<Candidate>, part: &[Candidate], limit: i64) -> bool {
    ring.extend_from_slice(part);
    !is_last(part) && lap(ring) <= limit
}

fn is_last(part: &[Candidate]) -> bool {
    (part.len() as i64) < WINDOW
}

/// How many runs one lap gives out. A claim that takes fewer comes to nobody twice while others were not looked at, and
/// leaves one whose turn it is next.
fn lap(ring: &[Candidate]) -> i64 {
    let turns = ring.iter().map(|candidate| candidate.room.min(candidate.weight));
    turns.sum()
}

fn room(ring: &[Candidate]) -> i64 {
    ring.iter().map(|candidate| candidate.room).sum()
}

/// One look at the owners with ready runs, in order, a window of them: from one to the next by the index, however many
/// runs each of them has.
async fn look(
    conn: &impl ConnectionTrait,
    begin: Begin<'_>,
    limit: i64,
    turn: &Turn,
) -> Result<Vec<Candidate>, DbErr> {
    let (is, owner) = match begin {
        Begin::Start => (">=", ""),
        Begin::At(owner) => (">=", owner),
        Begin::After(owner) => (">", owner),
    };
    let next = |condition: &str| {
        format!(
            "(select coalesce(r.owner, '') from runs r where r.state = 'queued' and coalesce(r.owner, '') {condition}
                order by coalesce(r.owner, ''), r.id limit 1)"
        )
    };
    let sql = format!(
        "with recursive owners (owner, n) as (
            select {}, cast(1 as bigint)
            union all
            select {}, o.n + 1 from owners o where o.owner is not null and o.n < $2)
        select o.owner, coalesce(p.weight, 1) as weight, p.most_running,
            case when o.owner >= $4 then 1 else 0 end as due,
            (select count(*) from (select 1 as one from runs r where r.state = 'queued'
                and coalesce(r.owner, '') = o.owner limit $3) as ready) as room
        from owners o left join owner_policies p on p.owner = o.owner
        where o.owner is not null order by o.n",
        next(&format!("{is} $1")),
        next("> o.owner"),
    );
    let values: Vec<Value> = vec![
        owner.into(),
        WINDOW.into(),
        limit.into(),
        turn.owner.as_str().into(),
    ];
    let mut candidates = Vec::new();
    for row in conn.query_all_raw(statement(conn, &sql, values)).await? {
        candidates.push(Candidate {
            owner: row.try_get("", "owner")?,
            weight: row.try_get("", "weight")?,
            most_running: row.try_get("", "most_running")?,
            room: row.try_get("", "room")?,
            due: row.try_get::<i32>("", "due")? == 1,
            locked: false,
        });
    }
    if candidates
        .iter()
        .any(|candidate| candidate.most_running.is_some())
    {
        keep_caps(conn, &mut candidates).await?;
    }
    Ok(candidates)
}

const OWNERS: &[Column] = &[("owner", "text")];

/// Takes from the room of owners with a cap what it does not allow.
///
/// Their policies are locked until the claim is committed, so that two claims do not both fill the same cap; whose
/// policy is locked by another claim, gets nothing of this one.
async fn keep_caps(conn: &impl ConnectionTrait, candidates: &mut [Candidate]) -> Result<(), DbErr> {
    let backend = conn.get_database_backend();
    let mut rows = Rows::new(OWNERS);
    for candidate in candidates.iter().filter(|c| c.most_running.is_some()) {
        rows.push(cells![candidate.owner]);
    }
    let sql = format!(
        "select p.owner, p.most_running from owner_policies p where p.owner in (select t.owner from {{rows}})
            order by p.owner{}",
        dialect::skip_locked(backend)
    );
    let mut caps: HashMap<String, Option<i64>> = HashMap::new();
    for row in conn.query_all_raw(rows.statement(backend, &sql, vec![])).await? {
        caps.insert(row.try_get("", "owner")?, row.try_get("", "most_running")?);
    }
    // Counted by a statement of its own: it sees what was committed before the lock was had.
    let mut rows = Rows::new(OWNERS);
    for owner in caps.keys() {
        rows.push(cells![owner]);
    }
    let sql = "select t.owner, (select count(*) from runs r where r.state = 'running'
        and coalesce(r.owner, '') = t.owner) as running from {rows}";
    let mut running: HashMap<String, i64> = HashMap::new();
    for row in conn.query_all_raw(rows.statement(backend, sql, vec![])).await? {
        running.insert(row.try_get("", "owner")?, row.try_get("", "running")?);
    }
    for candidate in candidates.iter_mut().filter(|c| c.most_running.is_some()) {
        let running = running.get(&candidate.owner).copied().unwrap_or_default();
        candidate.room = match caps.get(&candidate.owner) {
            Some(Some(most)) => candidate.room.min((most - running).max(0)),
            Some(None) => candidate.room,
            None => 0,
        };
        candidate.locked = !caps.contains_key(&candidate.owner);
    }
    Ok(())
}

/// Goes round: in each turn an owner gets as many as it weighs, until `limit` are shared out or nobody has more.
fn share(limit: i64, ring: &[Candidate], turn: &Turn) -> (Vec<Share>, Turn) {
    let mut given = vec![0; ring.len()];
    let mut left = limit.min(room(ring));
    let Some(first) = ring.first() else {
        return (Vec::new(), turn.clone());
    };
    let mut at = 0;
    let mut quantum = if first.owner == turn.owner {
        turn.left
    } else {
        first.weight
    };
    loop {
        let runs = quantum.min(left).min(ring[at].room - given[at]);
        given[at] += runs;
        left -= runs;
        quantum -= runs;
        if left == 0 && quantum > 0 && given[at] < ring[at].room {
            break;
        }
        at = (at + 1) % ring.len();
        quantum = ring[at].weight;
        if left == 0 {
            break;
        }
    }
    let turn = Turn {
        owner: ring[at].owner.clone(),
        left: quantum,
    };
    let shares = ring.iter().zip(given).filter(|(_, runs)| *runs > 0);
    let shares = shares.map(|(candidate, runs)| Share {
        owner: candidate.owner.clone(),
        runs,
    });
    (shares.collect(), turn)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ring(of: &[(&str, i64, i64)]) -> Vec<Candidate> {
        let candidate = |&(owner, weight, room): &(&str, i64, i64)| Candidate {
            owner: owner.to_owned(),
            weight,
            most_running: None,
            room,
            due: false,
            locked: false,
        };
        of.iter().map(candidate).collect()
    }

    fn got(shares: &[Share]) -> Vec<(&str, i64)> {
        shares
            .iter()
            .map(|share| (share.owner.as_str(), share.runs))
            .collect()
    }

    #[test]
    fn runs_are_shared_by_weight_and_what_is_left_goes_to_who_has_more() {
        let even = ring(&[("a", 1, 64), ("b", 1, 64)]);
        assert_eq!(got(&share(64, &even, &Turn::default()).0), [("a", 32), ("b", 32)]);
        let weighted = ring(&[("a", 3, 64), ("b", 1, 64)]);
        assert_eq!(
            got(&share(64, &weighted, &Turn::default()).0),
            [("a", 48), ("b", 16)]
        );
        let uneven = ring(&[("a", 1, 64), ("b", 1, 1), ("c", 1, 0)]);
        assert_eq!(
            got(&share(64, &uneven, &Turn::default()).0),
            [("a", 63), ("b", 1)]
        );
        let few = ring(&[("a", 1, 3), ("b", 9, 2)]);
        assert_eq!(got(&share(64, &few, &Turn::default()).0), [("a", 3), ("b", 2)]);
        assert_eq!(got(&share(64, &[], &Turn::default()).0), []);
    }

    #[test]
    fn claims_of_one_run_go_round_by_weight_too() {
        let owners = [("a", 3, 64), ("b", 1, 64), ("c", 1, 64)];
        let (mut turn, mut order) = (Turn::default(), String::new());
        for _ in 0..10 {
            let mut ring = ring(&owners);
            let begin = owners.iter().position(|(owner, ..)| *owner == turn.owner);
            ring.rotate_left(begin.unwrap_or(0));
            let (shares, next) = share(1, &ring, &turn);
            order += &shares[0].owner;
            turn = next;
        }
        assert_eq!(order, "aaabcaaabc");
    }
}
