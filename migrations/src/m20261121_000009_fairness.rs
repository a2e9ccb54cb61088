//! Fairness between owners: weights, caps, and the indexes by which runs are claimed; lanes that let several in.
use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

// Claiming goes by owner from here on; `runs_open` serves whoever still asks for the oldest of all.
const UP: &str = "
create table owner_policies (
    owner text primary key,
    weight bigint not null default 1 check (weight between 1 and 255),
    most_running bigint check (most_running > 0),
    updated_at {timestamp} not null
);
create index runs_ready on runs (coalesce(owner, ''), id) where state = 'queued';
create index runs_busy on runs (coalesce(owner, '')) where state = 'running';
drop index runs_queued;
alter table lanes add column width bigint;
";

const DOWN: &str = "
alter table lanes drop column width;
create index runs_queued on runs (id) where state = 'queued';
drop index runs_busy;
drop index runs_ready;
drop table owner_policies;
";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        crate::execute(manager, UP).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        crate::execute(manager, DOWN).await
    }
}
