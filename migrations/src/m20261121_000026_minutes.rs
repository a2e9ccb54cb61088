//! What happened in each minute, counted once when it was over, so that nobody looks through runs for it again.
use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const UP: &str = "
-- owner: one of them, '' for runs whose owner was not known, '*' for all together. The row ('*', at, 'closed', '') says
-- that the minute is counted.
create table minutes (
    owner text not null,
    at {timestamp} not null,
    measure text not null,
    label text not null,
    n bigint not null,
    primary key (owner, at, measure, label)
);
create index minutes_at on minutes (at);
";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        crate::execute(manager, UP).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        crate::execute(manager, "drop table minutes").await
    }
}
