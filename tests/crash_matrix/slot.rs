//! Where cells are tried out, one after the other: servers, a vendor, and a database that is made fresh for each.
use std::time::Duration;

use recado_testkit::Backend;
use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend, Statement};
use tempfile::TempDir;

use crate::{
    everything,
    plan::Place,
    world::{World, servers::Redis},
};

/// What the everything-workflows of the engine write into, beside its own tables.
const EFFECTS: &str =
    "create table effects (id integer primary key generated always as identity, what text not null)";
const EFFECTS_SQLITE: &str = "create table effects (id integer primary key, what text not null)";

pub(crate) struct Slot {
    pub(crate) world: World,
    pub(crate) redis: Option<Redis>,
    pub(crate) folder: TempDir,
    /// How many cells were tried here; the contact of each is another one.
    pub(crate) cells: u32,
    /// The tables that are empty in a fresh database.
    tables: Vec<String>,
}

impl Slot {
    pub(crate) async fn new(place: Place) -> Self {
        let backend = match place {
            Place::Sqlite => Backend::Sqlite,
            Place::Postgres | Place::RedisLost => Backend::Postgres,
        };
        let mut world = World::new(backend)
            .await
            .set("TWILIO_LISTING_DELAY", "0.5")
            .set("TWILIO_TIMEOUT", "2")
            .set("LOG", "warn");
        let redis = match place {
            Place::RedisLost => Some(Redis::start().await),
            Place::Sqlite | Place::Postgres => None,
        };
        if let Some(redis) = &redis {
            world = world.set("REDIS_URL", &redis.url());
        }
        let db = world.database.connect().await;
        let create = if place == Place::Sqlite {
            EFFECTS_SQLITE
        } else {
            EFFECTS
        };
        db.execute_unprepared(create).await.unwrap();
        let tables = empty_tables(&db).await;
        if backend == Backend::Postgres {
            // Only our own process dies: what Postgres was told it keeps, and need not bring to the disk each time.
            let lazily = "do $$ begin execute format(
                'alter database %I set synchronous_commit = off', current_database()); end $$";
            db.execute_unprepared(lazily).await.unwrap();
        }
        db.close().await.unwrap();
        Self {
            world,
            redis,
            folder: TempDir::with_prefix("recado-crash-").unwrap(),
            cells: 0,
            tables,
        }
    }

    /// A database as new, a vendor that behaves, and a number for the cell.
    pub(crate) async fn clean(&mut self) {
        self.cells += 1;
        self.world.misbehave(|_| {});
        std::fs::create_dir(everything::vendor(self.folder.path(), self.cells)).unwrap();
        let db = self.world.database.connect().await;
        let alone = match self.world.database.backend() {
            // The dead may have left a statement behind.
            Backend::Postgres => {
                let end = "select pg_terminate_backend(pid) from pg_stat_activity
                    where datname = current_database() and pid <> pg_backend_pid()";
                db.execute_unprepared(end).await.unwrap();
                "set session_replication_role = replica"
            }
            Backend::Sqlite => "pragma foreign_keys = off",
        };
        let tables = self.tables.iter();
        let empty: String = tables.map(|table| format!("delete from \"{table}\";")).collect();
        let empty = format!("{alone}; begin; {empty} commit");
        db.execute_unprepared(&empty).await.unwrap();
        db.close().await.unwrap();
    }

    /// Redis is there again, and empty.
    pub(crate) async fn redis_again(&mut self) {
        if let Some(redis) = &mut self.redis {
            redis.kill9();
            redis.again().await;
        }
    }
}

async fn empty_tables(db: &DatabaseConnection) -> Vec<String> {
    let sql = match db.get_database_backend() {
        DbBackend::Sqlite => {
            "select name from sqlite_master where type = 'table' and name not like 'sqlite%'"
        }
        _ => "select cast(tablename as text) as name from pg_tables where schemaname = 'public'",
    };
    let mut empty = Vec::new();
    for name in texts(db, sql).await.unwrap().into_iter().flatten() {
        let sql = format!("select '' as none from \"{name}\" limit 1");
        if texts(db, &sql).await.unwrap().is_empty() {
            empty.push(name);
        }
    }
    empty
}

/// The rows of a query, each as its columns of text.
pub(crate) async fn texts(db: &DatabaseConnection, sql: &str) -> Result<Vec<Vec<String>>, sea_orm::DbErr> {
    let rows = db
        .query_all_raw(Statement::from_string(db.get_database_backend(), sql))
        .await?;
    let row = |row: &sea_orm::QueryResult| {
        let names = row.column_names();
        let cell = |name: &String| Ok(row.try_get::<Option<String>>("", name)?.unwrap_or_default());
        names.iter().map(cell).collect()
    };
    rows.iter().map(row).collect()
}

/// The longest that a cell may take before what is not done counts as stuck.
pub(crate) const LONGEST: Duration = Duration::from_secs(120);
