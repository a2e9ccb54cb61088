//! A database of its own for one test.
use std::{path::Path, time::Duration};

use anyhow::{Context, Result};
use sea_orm::{ConnectOptions, Database, DatabaseConnection};
use tempfile::TempDir;

use crate::{Backend, postgres, sqlite, unique};

/// A fresh database that nobody else uses. It is gone when this is dropped; on the Postgres of `make test`, with
/// the server, because dropping makes a Postgres write and sync what all other tests have in memory.
#[derive(Debug)]
pub struct TestDatabase {
    url: String,
    place: Place,
}

#[derive(Debug)]
enum Place {
    Sqlite { _dir: TempDir },
    Postgres { name: String },
}

impl TestDatabase {
    /// A migrated database.
    ///
    /// # Panics
    /// If it cannot be made, and where Postgres is wanted and `make test` did not start one.
    pub async fn new(backend: Backend) -> TestDatabase {
        Self::create(backend, Schema::Migrated).await
    }

    /// A migrated SQLite file that a power cut would lose, and that costs no time to write: in the machine's memory where
    /// it has a file system there. For tests of what the database is asked, not of what the disk keeps.
    ///
    /// # Panics
    /// If it cannot be made.
    pub async fn in_memory() -> TestDatabase {
        let shared = Path::new("/dev/shm");
        let place = if shared.is_dir() {
            shared.to_owned()
        } else {
            std::env::temp_dir()
        };
        match Self::create_sqlite_in(&place, Schema::Migrated).await {
            Ok(database) => database,
            Err(error) => panic!("making a database in memory for a test: {error:#}"),
        }
    }

    /// A database without a table, for tests of the migrations themselves. Panics as [`TestDatabase::new`] does.
    pub async fn empty(backend: Backend) -> TestDatabase {
        Self::create(backend, Schema::Empty).await
    }

    /// What `DATABASE_URL` is for this database: `sqlite:///…/recado.db?mode=rwc` or `postgres://…`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Which of the two databases it is.
    pub fn backend(&self) -> Backend {
        match self.place {
            Place::Sqlite { .. } => Backend::Sqlite,
            Place::Postgres { .. } => Backend::Postgres,
        }
    }

    /// A new pool of up to four connections, beside those of the code under test. Panics if there is none to have.
    pub async fn connect(&self) -> DatabaseConnection {
        let mut options = ConnectOptions::new(&self.url);
        options
            .max_connections(4)
            .acquire_timeout(Duration::from_secs(10))
            .sqlx_logging(false);
        match Database::connect(options).await {
            Ok(db) => db,
            Err(error) => panic!("connecting to a test's database: {error}"),
        }
    }

    async fn create(backend: Backend, schema: Schema) -> TestDatabase {
        let created = match backend {
            Backend::Sqlite => Self::create_sqlite(schema).await,
            Backend::Postgres => Self::create_postgres(schema).await,
        };
        match created {
            Ok(database) => database,
            Err(error) => panic!("making a database for a test on {backend:?}: {error:#}"),
        }
    }

    async fn create_sqlite(schema: Schema) -> Result<TestDatabase> {
        Self::create_sqlite_in(&std::env::temp_dir(), schema).await
    }

    async fn create_sqlite_in(place: &Path, schema: Schema) -> Result<TestDatabase> {
        let dir = TempDir::with_prefix_in("recado-test-", place).context("making a folder")?;
        let file = dir.path().join("recado.db");
        if let Schema::Migrated = schema {
            sqlite::create(&file).await?;
        }
        Ok(TestDatabase {
            url: sqlite::url(&file),
            place: Place::Sqlite { _dir: dir },
        })
    }

    async fn create_postgres(schema: Schema) -> Result<TestDatabase> {
        let name = unique("recado_test");
        match schema {
            Schema::Migrated => postgres::create(&name).await?,
            Schema::Empty => postgres::create_empty(&name).await?,
        }
        Ok(TestDatabase {
            url: postgres::url(&name),
            place: Place::Postgres { name },
        })
    }
}

#[derive(Clone, Copy)]
enum Schema {
    Migrated,
    Empty,
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        if let Place::Postgres { name } = &self.place
            && !postgres::thrown_away()
            && let Err(error) = postgres::drop_blocking(name)
        {
            // Not a panic: the test may have stopped the server itself, or be panicking already.
            eprintln!("the test's database {name} stays behind: {error:#}");
        }
    }
}
