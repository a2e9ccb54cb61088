//! What the grouped SQL alone reaches: plain inserts of many rows a commit into tables shaped like `runs` and `journal`,
//! with their indexes, without an engine. A run of six steps is seven rows.
use std::time::{Duration, Instant};

use futures::future::try_join_all;
use sea_orm::{
    ConnectOptions, ConnectionTrait, Database, DatabaseConnection, DbBackend, Statement, TransactionTrait,
    Value, sea_query::ArrayType,
};

use super::{figures::Figures, load::millis, usage, world::World};

/// Rows of a run: itself, and the event of each step.
const ROWS: u64 = 7;
/// Runs a commit: 105 and 497 rows.
const GROUPS: [u64; 2] = [15, 71];
const TABLES: [&str; 2] = ["bench_ceiling_runs", "bench_ceiling_journal"];

/// Measures each size of group on one connection and, where there may be two writers, on two, for `lasts` each.
///
/// # Errors
/// Those of the database.
pub(super) async fn measure(world: &World, lasts: Duration) -> anyhow::Result<Vec<Figures>> {
    drop_tables(world).await?;
    let made = make_tables(world).await;
    let measured = match made {
        Ok(()) => all(world, lasts).await,
        Err(error) => Err(error),
    };
    drop_tables(world).await?;
    measured
}

async fn all(world: &World, lasts: Duration) -> anyhow::Result<Vec<Figures>> {
    let connections: &[u64] = match world.backend() {
        DbBackend::Postgres => &[1, 2],
        // One writer at a time.
        _ => &[1],
    };
    let mut measured = Vec::new();
    for group in GROUPS {
        for connections in connections {
            measured.push(one(world, group, *connections, lasts).await?);
        }
    }
    Ok(measured)
}

async fn one(world: &World, group: u64, connections: u64, lasts: Duration) -> anyhow::Result<Figures> {
    let mut pools = Vec::new();
    for _ in 0..connections {
        pools.push(connect(world.database_url()).await?);
    }
    let series = ulid::Ulid::generate().to_string();
    // Plans are cached before anything is counted.
    let warm_up = lasts / 10;
    try_join_all(
        pools
            .iter()
            .enumerate()
            .map(|(n, pool)| write(pool, format!("{series}w{n}"), group, warm_up)),
    )
    .await?;
    let (cpu, begun) = (world.cpu(), Instant::now());
    let times = pools.iter().enumerate();
    let times =
        try_join_all(times.map(|(n, pool)| write(pool, format!("{series}m{n}"), group, lasts))).await?;
    let (seconds, cpu) = (begun.elapsed().as_secs_f64(), usage::between(&cpu, &world.cpu()));
    for pool in pools {
        pool.close().await?;
    }
    let times: Vec<f64> = times.into_iter().flatten().collect();
    let (commits, count) = (times.len() as u64, times.len() as u64 * group);
    let figures = Figures {
        mode: "ceiling",
        part: Some(format!(
            "{} rows a commit, {connections} connections",
            group * ROWS
        )),
        in_flight: Some(connections),
        count,
        seconds,
        times: vec![("", times)],
        journal: (commits as f64, (count * ROWS) as f64),
        cpu,
        ..Figures::default()
    };
    Ok(figures.and("rows_per_second", (count * ROWS) as f64 / seconds))
}

/// Writes groups for so long. Returns how long each commit took.
async fn write(
    pool: &DatabaseConnection,
    series: String,
    group: u64,
    lasts: Duration,
) -> anyhow::Result<Vec<f64>> {
    let (begun, mut times, mut first) = (Instant::now(), Vec::new(), 0);
    while begun.elapsed() < lasts {
        let commit = Instant::now();
        let runs: Vec<String> = (first..first + group)
            .map(|n| format!("{series}{n:010}"))
            .collect();
        let tx = pool.begin().await?;
        tx.execute_raw(insert_runs(pool.get_database_backend(), &runs))
            .await?;
        tx.execute_raw(insert_events(pool.get_database_backend(), &runs))
            .await?;
        tx.commit().await?;
        times.push(millis(commit));
        first += group;
    }
    Ok(times)
}

const RUN: [&str; 5] = ["id", "key", "lane", "input", "output"];
const EVENT: [&str; 3] = ["run", "seq", "data"];

fn insert_runs(backend: DbBackend, runs: &[String]) -> Statement {
    let input = "i".repeat(120);
    let output = "o".repeat(260);
    let rows = runs.iter().map(|run| {
        [
            run.clone(),
            format!("key-{run}"),
            format!("lane-{run}"),
            input.clone(),
            output.clone(),
        ]
    });
    let sql = "insert into bench_ceiling_runs (id, key, lane, input, output,
            workflow, state, outcome, since, build, created_at, finished_at)
        select id, key, lane, input, output,
            'bench_steps', 'completed', 'measured', {now}, 'bench', {now}, {now} from {rows}";
    many(backend, sql, &RUN, rows)
}

fn insert_events(backend: DbBackend, runs: &[String]) -> Statement {
    let data = "d".repeat(260);
    let events = runs.iter().flat_map(|run| {
        let data = data.clone();
        (1..ROWS).map(move |seq| [run.clone(), seq.to_string(), data.clone()])
    });
    let sql =
        "insert into bench_ceiling_journal (run, seq, data, op, kind, name, hash, attempt, started_at, at)
        select run, cast(seq as bigint), data, 1, 'activity_completed', 'bench_step',
            '0123456789abcdef0123456789abcdef', 1, {now}, {now} from {rows}";
    many(backend, sql, &EVENT, events)
}

/// The statement `sql`, in which `{rows}` stands for these rows, in the form that is fastest for each database.
fn many<const N: usize>(
    backend: DbBackend,
    sql: &str,
    columns: &[&str; N],
    rows: impl Iterator<Item = [String; N]>,
) -> Statement {
    if backend == DbBackend::Postgres {
        let mut arrays = vec![Vec::new(); N];
        for row in rows {
            for (array, cell) in arrays.iter_mut().zip(row) {
                array.push(Value::from(cell));
            }
        }
        let parameters: Vec<_> = (1..=N).map(|n| format!("${n}::text[]")).collect();
        let source = format!("unnest({}) as t({})", parameters.join(", "), columns.join(", "));
        let sql = sql.replace("{rows}", &source).replace("{now}", "now()");
        let arrays = arrays
            .into_iter()
            .map(|array| Value::Array(ArrayType::String, Some(Box::new(array))));
        return Statement::from_sql_and_values(backend, sql, arrays);
    }
    let rows: Vec<Vec<String>> = rows.map(Vec::from).collect();
    let picked: Vec<_> = columns
        .iter()
        .enumerate()
        .map(|(n, name)| format!("value->>{n} as {name}"))
        .collect();
    let source = format!("(select {} from json_each($1))", picked.join(", "));
    let sql = sql
        .replace("{rows}", &source)
        .replace("{now}", "'2026-01-01T00:00:00.000000+00:00'");
    let values = [Value::from(serde_json::json!(rows).to_string())];
    Statement::from_sql_and_values(backend, sql, values)
}

/// One connection that keeps what it commits, like those of the processes.
async fn connect(url: &str) -> anyhow::Result<DatabaseConnection> {
    let mut options = ConnectOptions::new(url);
    options.max_connections(1).sqlx_logging(false);
    options.map_sqlx_sqlite_opts(|options| {
        options
            .busy_timeout(Duration::from_secs(10))
            .pragma("synchronous", "FULL")
    });
    Ok(Database::connect(options).await?)
}

async fn make_tables(world: &World) -> anyhow::Result<()> {
    let mut makes = Vec::new();
    for (table, like) in TABLES.iter().zip(["runs", "journal"]) {
        if world.backend() == DbBackend::Postgres {
            makes.push(format!("create table {table} (like {like} including all)"));
            continue;
        }
        let sql = "select sql from sqlite_master where tbl_name = $1 and sql is not null order by type desc";
        for row in world.all(sql, vec![like.into()]).await? {
            let sql: String = row.try_get("", "sql")?;
            makes.push(renamed(&sql, like, table));
        }
    }
    for sql in makes {
        world.execute(&sql, vec![]).await?;
    }
    Ok(())
}

/// The statement that made a table or an index of it, for a table of another name.
fn renamed(sql: &str, like: &str, table: &str) -> String {
    sql.replace(&format!("{like}_"), &format!("{table}_"))
        .replace(&format!("TABLE {like} "), &format!("TABLE {table} "))
        .replace(&format!(" on {like} "), &format!(" on {table} "))
}

async fn drop_tables(world: &World) -> anyhow::Result<()> {
    for table in TABLES {
        world
            .execute(&format!("drop table if exists {table}"), vec![])
            .await?;
    }
    Ok(())
}
