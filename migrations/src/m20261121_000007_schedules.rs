//! Schedules: workflows that are started by the clock.
use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const UP: &str = "
create table schedules (
    id text primary key,
    workflow text not null,
    input text not null,
    owner text,
    cron text not null,
    time_zone text not null,
    overlap text not null check (overlap in ('skip', 'queue', 'allow')),
    catch_up_seconds bigint not null check (catch_up_seconds > 0),
    paused boolean not null default false,
    next_at {timestamp},
    last_at {timestamp},
    last_run text,
    missed bigint not null default 0,
    skipped bigint not null default 0,
    created_at {timestamp} not null,
    updated_at {timestamp} not null
);
create index schedules_due on schedules (next_at, id) where next_at is not null;
create index schedules_owner on schedules (owner, id);

-- The runs of a schedule that were not seen to have ended.
create table schedule_runs (
    schedule text not null,
    run text not null,
    primary key (schedule, run)
);
";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        crate::execute(manager, UP).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in ["schedule_runs", "schedules"] {
            crate::execute(manager, &format!("drop table {table}")).await?;
        }
        Ok(())
    }
}
