//! What the engine reads for a run does not grow with what is finished, or waits, or lies parked: no statement of the
//! hot path scans a table, nor the whole of an index. Postgres counts the rows.
#![expect(clippy::unwrap_used, reason = "tests")]
#[expect(dead_code, reason = "each file of tests uses a part of it")]
mod turns;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use recado_engine::{Filter, RunState, Start};
use recado_testkit::{Backend, TestDatabase, eventually};
use sea_orm::{ConnectionTrait, DatabaseConnection, QueryResult, Statement};
use turns::{Book, Hand, Pace, begin, engine, until};

const RUNS: usize = 200;

/// Copies of a run that has ended: finished, asleep until long from now, waiting in lanes of their own, and parked.
const COPIES: &str = "
    create temporary table copies as
        select 'old-' || n as id, n, (array['completed', 'completed', 'waiting', 'waiting', 'parked'])[1 + n % 5] as state,
            case n % 5 when 2 then 'timer' when 3 then 'lane' end as waiting_for,
            case n % 5 when 2 then now() + interval '1 year' end as until,
            case n % 5 when 3 then 'old-' || n end as lane
        from generate_series(1, 30000) as n;
    insert into runs (id, workflow, key, owner, state, outcome, waiting_for, since, until, lane, place, epoch, build,
            input, output, created_at, finished_at)
        select c.id, r.workflow, c.id, 'owner ' || c.n % 100, c.state, r.outcome, c.waiting_for, r.since, c.until, c.lane,
            case when c.lane is not null then 1 end, 1, r.build, r.input, r.output, r.created_at,
            case c.state when 'completed' then r.finished_at end
        from copies c, (select * from runs order by id limit 1) r;
    insert into run_keys (workflow, key, run) select r.workflow, r.key, r.id from runs r join copies c on c.id = r.id;
    insert into journal (run, seq, op, kind, name, hash, attempt, started_at, at, input, data)
        select c.id, j.seq, j.op, j.kind, j.name, j.hash, j.attempt, j.started_at, j.at, j.input, j.data
        from copies c, journal j where j.run = (select id from runs where id not in (select id from copies) limit 1);
    insert into lanes (key, next_place) select lane, 3 from copies where lane is not null;
    insert into lane_places (lane, place, run, waiting)
        select lane, 1, id, true from copies where lane is not null;
    drop table copies;
    analyze";

/// How many rows of each table, and entries of each index, were read since this database was made, by connections that
/// are closed.
async fn rows_read(db: &DatabaseConnection) -> BTreeMap<String, i64> {
    let query = async |sql: &str| {
        let sql = Statement::from_string(db.get_database_backend(), sql);
        db.query_all_raw(sql).await.unwrap()
    };
    let ours =
        "select 1 from pg_stat_activity where datname = current_database() and application_name = 'recado'";
    eventually(Duration::from_secs(30), async || {
        query(ours).await.is_empty().then_some(())
    })
    .await;
    let read = "select 'scans of ' || relname as what, seq_tup_read as n from pg_stat_user_tables
        union all select 'rows of ' || relname, coalesce(idx_tup_fetch, 0) from pg_stat_user_tables
        union all select indexrelname, idx_tup_read from pg_stat_user_indexes";
    let read = query(read).await;
    let told = |row: &QueryResult| (row.try_get("", "what").unwrap(), row.try_get("", "n").unwrap());
    read.iter().map(told).collect()
}

/// What `work` reads, by what it reads.
async fn read_by(database: &TestDatabase, round: usize) -> BTreeMap<String, i64> {
    let db = database.connect().await;
    let before = rows_read(&db).await;
    work(database, round).await;
    let mut read = rows_read(&db).await;
    for (what, n) in &mut read {
        *n -= before[what];
    }
    read
}

/// Starts runs by key, half of them of one lane, and has them done by two workers that claim, sweep and wake; somebody
/// looks at the lists meanwhile.
async fn work(database: &TestDatabase, round: usize) {
    let book = Arc::<Book>::default();
    let (one, other) = (engine(database, &book).await, engine(database, &book).await);
    let hands = [Hand::of(&one), Hand::of(&other)];
    for n in 0..RUNS {
        let start = Start {
            key: Some(format!("{round} {n}")),
            owner: Some(format!("owner {}", n % 7)),
            lane: Some(if n % 2 == 0 {
                "lane".to_owned()
            } else {
                format!("lane {n}")
            }),
            ..Start::default()
        };
        begin(
            if n % 3 == 0 { &one } else { &other },
            &n.to_string(),
            "all",
            Pace::Quick,
            start,
        )
        .await;
    }
    book.ended(RUNS).await;
    for state in [RunState::Queued, RunState::Running] {
        let filter = Filter {
            state: Some(state),
            ..Filter::default()
        };
        until(async || {
            one.storage()
                .runs(&filter, 20, None)
                .await
                .unwrap()
                .items
                .is_empty()
        })
        .await;
    }
    let page = one.storage().runs(&Filter::default(), 20, None).await.unwrap();
    assert_eq!(page.items.len(), 20);
    for hand in hands {
        hand.go_home().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_reads_as_many_rows_among_thirty_thousand_as_among_none() {
    let database = TestDatabase::new(Backend::Postgres).await;
    work(&database, 0).await;
    let small = read_by(&database, 1).await;
    let db = database.connect().await;
    db.execute_unprepared(COPIES).await.unwrap();
    // A connection tells what it has read when it is closed.
    db.close().await.unwrap();
    let large = read_by(&database, 2).await;
    // How runs fall into groups differs from time to time; whoever reads all that is there reads thousands more.
    let more = large.iter().filter(|(what, n)| **n > 2 * small[*what] + 2_000);
    let more: Vec<_> = more
        .map(|(what, n)| format!("{what}: {n}, it was {}", small[what]))
        .collect();
    assert!(more.is_empty(), "{more:#?}");
}
