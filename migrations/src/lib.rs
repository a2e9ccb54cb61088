//! The schema, one file per change, append-only; each runs up and down on SQLite and on Postgres.
pub use sea_orm_migration::prelude::{MigratorTrait, SchemaManager};
use sea_orm_migration::{prelude::*, sea_orm::DatabaseBackend};

mod m20261121_000001_engine;
mod m20261121_000002_owners;
mod m20261121_000003_conversations;
mod m20261121_000004_billing;
mod m20261121_000005_people;
mod m20261121_000006_signals;
mod m20261121_000007_schedules;
mod m20261121_000008_payloads;
mod m20261121_000009_fairness;
mod m20261121_000010_offers;
mod m20261121_000011_unknown_send;
mod m20261121_000012_overlap;
mod m20261121_000013_usage_counters;
mod m20261121_000014_fewer_indexes;
mod m20261121_000015_prospects;
mod m20261121_000016_media;
mod m20261121_000018_calls;
mod m20261121_000021_send_windows;
mod m20261121_000022_campaigns;
mod m20261121_000024_audit;
mod m20261121_000026_minutes;
mod m20261121_000027_views;
mod m20261121_000028_second_looks;
mod m20261121_000029_run_filters;
mod m20261121_000031_prices;
mod m20261121_000032_campaign_waits;
mod m20261121_000037_conversations_of_contact;

/// Every migration, oldest first.
#[derive(Debug)]
pub struct Migrator;

#[async_trait::async_trait]
impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(m20261121_000001_engine::Migration),
            Box::new(m20261121_000002_owners::Migration),
            Box::new(m20261121_000003_conversations::Migration),
            Box::new(m20261121_000004_billing::Migration),
            Box::new(m20261121_000005_people::Migration),
            Box::new(m20261121_000006_signals::Migration),
            Box::new(m20261121_000007_schedules::Migration),
            Box::new(m20261121_000008_payloads::Migration),
            Box::new(m20261121_000009_fairness::Migration),
            Box::new(m20261121_000010_offers::Migration),
            Box::new(m20261121_000011_unknown_send::Migration),
            Box::new(m20261121_000012_overlap::Migration),
            Box::new(m20261121_000013_usage_counters::Migration),
            Box::new(m20261121_000014_fewer_indexes::Migration),
            Box::new(m20261121_000015_prospects::Migration),
            Box::new(m20261121_000016_media::Migration),
            Box::new(m20261121_000018_calls::Migration),
            Box::new(m20261121_000021_send_windows::Migration),
            Box::new(m20261121_000022_campaigns::Migration),
            Box::new(m20261121_000024_audit::Migration),
            Box::new(m20261121_000026_minutes::Migration),
            Box::new(m20261121_000027_views::Migration),
            Box::new(m20261121_000028_second_looks::Migration),
            Box::new(m20261121_000029_run_filters::Migration),
            Box::new(m20261121_000031_prices::Migration),
            Box::new(m20261121_000032_campaign_waits::Migration),
            Box::new(m20261121_000037_conversations_of_contact::Migration),
        ]
    }
}

/// Runs statements written once for both databases: `{timestamp}` and `{bytes}` become each one's own type.
pub(crate) async fn execute(manager: &SchemaManager<'_>, sql: &str) -> Result<(), DbErr> {
    let (timestamp, bytes) = match manager.get_database_backend() {
        DatabaseBackend::Postgres => ("timestamptz", "bytea"),
        _ => ("timestamp_with_timezone_text", "blob"),
    };
    let sql = sql.replace("{timestamp}", timestamp).replace("{bytes}", bytes);
    manager.get_connection().execute_unprepared(&sql).await.map(drop)
}
