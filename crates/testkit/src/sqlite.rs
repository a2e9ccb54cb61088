//! SQLite files for tests: migrated once per process, then copied.
use std::path::Path;

use anyhow::{Context, Result};
use recado_migrations::{Migrator, MigratorTrait};
use sea_orm::{ConnectOptions, ConnectionTrait, Database};
use tempfile::TempDir;
use tokio::sync::OnceCell;

/// A migrated file, whole.
static TEMPLATE: OnceCell<Vec<u8>> = OnceCell::const_new();

/// The address of the database in `file`, which is made on the first connection if it is missing.
pub(crate) fn url(file: &Path) -> String {
    format!("sqlite://{}?mode=rwc", file.display())
}

/// Puts a migrated database into `file`.
pub(crate) async fn create(file: &Path) -> Result<()> {
    let template = TEMPLATE
        .get_or_try_init(migrate)
        .await
        .context("migrating a SQLite file")?;
    tokio::fs::write(file, template)
        .await
        .with_context(|| format!("writing {}", file.display()))
}

async fn migrate() -> Result<Vec<u8>> {
    let dir = TempDir::new()?;
    let file = dir.path().join("template.db");
    let mut options = ConnectOptions::new(url(&file));
    options.max_connections(1).sqlx_logging(false);
    let db = Database::connect(options).await?;
    // Nobody needs the template after a power cut, and every test program makes one. Not kept in the file.
    db.execute_unprepared("pragma synchronous = off").await?;
    Migrator::up(&db, None).await?;
    // Closing the last connection folds a write-ahead log into the file.
    db.close().await?;
    Ok(tokio::fs::read(&file).await?)
}
