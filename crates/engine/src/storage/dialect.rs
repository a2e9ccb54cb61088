//! What differs between the two databases.
use std::{fs::File, path::PathBuf, time::Duration};

use super::leases::TAKEN;
use sea_orm::{ConnectOptions, Database, DatabaseConnection, DbBackend, DbErr, RuntimeErr, SqlxError};

/// Locks the rows of table `alias` that a select returns, where rows have locks.
pub(super) fn for_update(backend: DbBackend, alias: &str) -> String {
    match backend {
        DbBackend::Postgres => format!(" for update of {alias}"),
        _ => String::new(),
    }
}

/// The same, passing over rows that somebody else has locked.
pub(super) fn skip_locked(backend: DbBackend) -> &'static str {
    match backend {
        DbBackend::Postgres => " for update skip locked",
        _ => "",
    }
}

/// Where `part` begins in `text`, from 1; 0 where it does not stand in it.
pub(super) fn position(backend: DbBackend, text: &str, part: &str) -> String {
    match backend {
        DbBackend::Postgres => format!("strpos({text}, {part})"),
        _ => format!("instr({text}, {part})"),
    }
}

/// Lets the present transaction be answered before it is on the disk, where commits of others wait for that; whatever is
/// committed after it brings it there. Only for what a crash of the database may undo.
pub(super) fn commit_lazily(backend: DbBackend) -> Option<&'static str> {
    match backend {
        DbBackend::Postgres => Some("set local synchronous_commit to off"),
        _ => None,
    }
}

/// The oldest ready runs of each of several owners, as a table of `columns`, for rows of owners and numbers, `owners` of
/// them; runs that somebody else has locked are passed over.
///
/// One database knows no lateral join, the other no lock in a union.
pub(super) fn oldest_of_each(backend: DbBackend, columns: &str, owners: usize) -> String {
    let oldest = |owner: &str, runs: &str| {
        format!(
            "select {columns} from runs where state = 'queued' and coalesce(owner, '') = {owner}
                order by coalesce(owner, ''), id limit {runs}{}",
            skip_locked(backend)
        )
    };
    match backend {
        DbBackend::Postgres => format!(
            "select r.* from {{rows}} cross join lateral ({}) r",
            oldest("t.owner", "t.runs")
        ),
        _ => {
            let of = |n| {
                let cell = |column| format!("(select $1 ->> '$[{n}][{column}]')");
                format!("select * from ({})", oldest(&cell(0), &cell(1)))
            };
            let each: Vec<_> = (0..owners).map(of).collect();
            each.join(" union all ")
        }
    }
}

/// Takes the oldest ready runs of each of several owners, for rows as [`oldest_of_each`] has them, and returns `columns`
/// as they were before; `$2` and `$3` are the worker and the time. It is answered before it is on the disk. `None` where
/// one statement cannot do that.
pub(super) fn take_oldest_of_each(backend: DbBackend, columns: &str) -> Option<String> {
    let oldest = match backend {
        DbBackend::Postgres => oldest_of_each(backend, columns, 0),
        _ => return None,
    };
    Some(format!(
        "update runs set {TAKEN} from ({oldest}) as old
            where runs.id = old.id and (select set_config('synchronous_commit', 'off', true)) is not null
            returning old.*"
    ))
}

/// The database's own clock, as an expression; leases are measured by one clock for all processes.
pub(super) fn clock(backend: DbBackend) -> &'static str {
    match backend {
        DbBackend::Postgres => "clock_timestamp()",
        _ => "strftime('%Y-%m-%dT%H:%M:%f+00:00', 'now')",
    }
}

/// The database's clock `ago` earlier.
pub(super) fn clock_before(backend: DbBackend, ago: Duration) -> String {
    let seconds = ago.as_secs_f64();
    match backend {
        DbBackend::Postgres => format!("clock_timestamp() - interval '{seconds} seconds'"),
        _ => format!("strftime('%Y-%m-%dT%H:%M:%f+00:00', 'now', '-{seconds} seconds')"),
    }
}

/// Postgres: connection, resources, operator intervention, serialisation and deadlock, locks not had in time, a session
/// ended for idling, a server that only reads (fail-over), a plan that a migration made stale.
const TRANSIENT_STATES: [&str; 8] = ["08", "53", "57", "40", "55P03", "25P03", "25006", "0A000"];
/// SQLite: busy, locked, an error of the disk, a full disk, a file that cannot be opened.
const TRANSIENT_CODES: [u32; 5] = [5, 6, 10, 13, 14];

/// Whether the database is away or asks to be tried again, so that the same statement may succeed later.
pub fn is_transient(error: &DbErr) -> bool {
    let (DbErr::Conn(inner) | DbErr::Exec(inner) | DbErr::Query(inner)) = error else {
        return matches!(error, DbErr::ConnectionAcquire(_));
    };
    let RuntimeErr::SqlxError(error) = inner else {
        return matches!(error, DbErr::Conn(_));
    };
    match &**error {
        SqlxError::Io(_)
        | SqlxError::Tls(_)
        | SqlxError::Protocol(_)
        | SqlxError::PoolTimedOut
        | SqlxError::PoolClosed
        | SqlxError::WorkerCrashed => true,
        SqlxError::Database(error) => error.code().is_some_and(|code| match code.len() {
            5 => TRANSIENT_STATES.iter().any(|state| code.starts_with(state)),
            // The low byte of SQLite's extended codes is the primary one.
            _ => code
                .parse::<u32>()
                .is_ok_and(|code| TRANSIENT_CODES.contains(&(code & 0xff))),
        }),
        _ => false,
    }
}

/// A pool on an SQLite file: write-ahead log, a commit is on disk when it returns.
pub(super) async fn sqlite(url: &str, connections: u32) -> Result<DatabaseConnection, DbErr> {
    let mut options = ConnectOptions::new(url);
    options
        .max_connections(connections)
        .min_connections(1)
        .sqlx_logging(false)
        .test_before_acquire(false);
    options.idle_timeout(None).max_lifetime(None);
    options.map_sqlx_sqlite_opts(|options| {
        options
            .create_if_missing(true)
            .foreign_keys(true)
            .busy_timeout(Duration::from_secs(10))
            .pragma("journal_mode", "WAL")
            .pragma("synchronous", "FULL")
            .pragma("temp_store", "MEMORY")
    });
    Database::connect(options).await
}

/// A pool on a Postgres server, with the plans of the engine's statements pinned: the planner guesses the size of
/// a row set that it cannot see, and would turn to hash joins and sequential scans as the tables grow.
pub(super) async fn postgres(url: &str, connections: u32) -> Result<DatabaseConnection, DbErr> {
    let mut options = ConnectOptions::new(url);
    options
        .max_connections(connections)
        .min_connections(1)
        .sqlx_logging(false);
    options.acquire_timeout(Duration::from_secs(10));
    options.map_sqlx_postgres_opts(|options| {
        options
            .application_name("recado")
            .statement_cache_capacity(512)
            .options([
                // A plan for the values at hand costs more to make than to carry out.
                ("plan_cache_mode", "force_generic_plan"),
                ("enable_seqscan", "off"),
                ("enable_hashjoin", "off"),
                ("enable_mergejoin", "off"),
                ("jit", "off"),
                // A process that froze or vanished must not hold others up with the rows that it had locked.
                ("idle_in_transaction_session_timeout", "10s"),
                ("lock_timeout", "5s"),
                ("statement_timeout", "30s"),
                ("tcp_keepalives_idle", "10"),
                ("tcp_keepalives_interval", "5"),
            ])
    });
    Database::connect(options).await
}

fn path(url: &str) -> Option<PathBuf> {
    let path = url.strip_prefix("sqlite:")?;
    let path = path.strip_prefix("//").unwrap_or(path).split('?').next()?;
    (!path.is_empty() && !path.starts_with(":memory:")).then(|| PathBuf::from(path))
}

/// Creates the folder of an SQLite file, if there is to be one.
pub(super) fn create_parent_folder(url: &str) -> Result<(), DbErr> {
    match path(url).as_deref().and_then(|path| path.parent()) {
        Some(folder) if !folder.as_os_str().is_empty() => std::fs::create_dir_all(folder).map_err(|error| {
            DbErr::Custom(format!("cannot create the folder {}: {error}", folder.display()))
        }),
        _ => Ok(()),
    }
}

/// A lock that says that no other process works on this SQLite file; `None` if another one does.
pub(super) fn sole_user(url: &str) -> Option<File> {
    let file = File::create(path(url)?.with_extension("lock")).ok()?;
    file.try_lock().is_ok().then_some(file)
}
