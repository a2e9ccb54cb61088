//! Ticks that end the runs before them.
use sea_orm_migration::{prelude::*, sea_orm::DatabaseBackend};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const BEFORE: &str = "'skip', 'queue', 'allow'";
const AFTER: &str = "'skip', 'queue', 'allow', 'cancel', 'terminate'";

/// SQLite changes no check in its place: the table is made anew.
const ANEW: &str = "
alter table schedules rename to schedules_before;
create table schedules (
    id text primary key,
    workflow text not null,
    input text not null,
    owner text,
    cron text not null,
    time_zone text not null,
    overlap text not null check (overlap in ({words})),
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
insert into schedules select * from schedules_before;
drop table schedules_before;
create index schedules_due on schedules (next_at, id) where next_at is not null;
create index schedules_owner on schedules (owner, id);
";

const CHECK: &str = "
alter table schedules drop constraint schedules_overlap_check,
    add constraint schedules_overlap_check check (overlap in ({words}));
";

async fn allow(manager: &SchemaManager<'_>, words: &str) -> Result<(), DbErr> {
    let sql = match manager.get_database_backend() {
        DatabaseBackend::Postgres => CHECK,
        _ => ANEW,
    };
    crate::execute(manager, &sql.replace("{words}", words)).await
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        allow(manager, AFTER).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // What the schema before does not know becomes the most careful policy.
        let known = "update schedules set overlap = 'skip' where overlap in ('cancel', 'terminate')";
        crate::execute(manager, known).await?;
        allow(manager, BEFORE).await
    }
}
