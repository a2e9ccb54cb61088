//! Postgres databases for tests: migrated once per build of a test, then copied by the server.
use std::{
    env,
    hash::{DefaultHasher, Hash, Hasher},
    thread,
};

use anyhow::{Context, Result, anyhow};
use recado_migrations::{Migrator, MigratorTrait};
use sea_orm::{ConnectOptions, ConnectionTrait, Database, DatabaseConnection, DbBackend, Statement};
use tokio::{runtime, sync::OnceCell};

use crate::server;

/// The name of a migrated database that nobody connects to.
static TEMPLATE: OnceCell<String> = OnceCell::const_new();

/// The lock under which the templates of a server are made. Any number that nothing else there uses.
const LOCK: i64 = 0x7265_6361_646f;

/// The address of the database `name`.
pub(crate) fn url(name: &str) -> String {
    let admin = server::variable("RECADO_TEST_POSTGRES_URL");
    let (base, query) = admin
        .split_once('?')
        .map_or((admin.as_str(), None), |(base, query)| (base, Some(query)));
    let (host, _database) = base.rsplit_once('/').unwrap_or((base, ""));
    match query {
        Some(query) => format!("{host}/{name}?{query}"),
        None => format!("{host}/{name}"),
    }
}

/// Whether the server goes at the end of this run, with every database in it.
pub(crate) fn thrown_away() -> bool {
    env::var_os("RECADO_TEST_POSTGRES_THROWN_AWAY").is_some()
}

/// Makes the migrated database `name`.
pub(crate) async fn create(name: &str) -> Result<()> {
    let template = TEMPLATE
        .get_or_try_init(template)
        .await
        .context("making the template")?;
    let admin = connect().await?;
    admin
        .execute_unprepared(&format!("create database {name} template {template}"))
        .await?;
    admin.close().await?;
    Ok(())
}

/// Makes the database `name`, without a table.
pub(crate) async fn create_empty(name: &str) -> Result<()> {
    let admin = connect().await?;
    admin
        .execute_unprepared(&format!("create database {name}"))
        .await?;
    admin.close().await?;
    Ok(())
}

/// Drops the database `name`, under whoever is still connected. Blocks; inside a runtime or not.
pub(crate) fn drop_blocking(name: &str) -> Result<()> {
    let name = name.to_owned();
    let dropping = thread::spawn(move || -> Result<()> {
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let admin = connect().await?;
            admin
                .execute_unprepared(&format!("drop database if exists {name} with (force)"))
                .await?;
            admin.close().await?;
            Ok(())
        })
    });
    dropping
        .join()
        .map_err(|_| anyhow!("the thread that drops panicked"))?
}

/// One connection, so that a lock that belongs to it is held by what follows.
async fn connect() -> Result<DatabaseConnection> {
    let mut options = ConnectOptions::new(server::variable("RECADO_TEST_POSTGRES_URL"));
    options.max_connections(1).sqlx_logging(false);
    Database::connect(options)
        .await
        .context("connecting to RECADO_TEST_POSTGRES_URL")
}

/// Finds or makes the template of this build. Invariant: under its final name it is complete, and closed.
async fn template() -> Result<String> {
    let name = format!("recado_template_{:016x}", build()?);
    let admin = connect().await?;
    admin
        .execute_unprepared(&format!("select pg_advisory_lock({LOCK})"))
        .await?;
    let exists = format!("select 1 from pg_database where datname = '{name}'");
    let exists = admin
        .query_one_raw(Statement::from_string(DbBackend::Postgres, exists))
        .await?;
    if exists.is_none() {
        let building = format!("{name}_building");
        admin
            .execute_unprepared(&format!("drop database if exists {building} with (force)"))
            .await?;
        admin
            .execute_unprepared(&format!("create database {building}"))
            .await?;
        let db = Database::connect(url(&building)).await?;
        Migrator::up(&db, None).await?;
        db.close().await?;
        admin
            .execute_unprepared(&format!("alter database {building} with allow_connections false"))
            .await?;
        admin
            .execute_unprepared(&format!("alter database {building} rename to {name}"))
            .await?;
    }
    admin.close().await?;
    Ok(name)
}

/// What tells one build of this test from another: a changed migration relinks the program, so a template of
/// the old schema is never found, while the many processes of one test run share theirs.
fn build() -> Result<u64> {
    let program = env::current_exe()?;
    let mut hasher = DefaultHasher::new();
    program.metadata()?.modified()?.hash(&mut hasher);
    program.hash(&mut hasher);
    Ok(hasher.finish())
}
