//! Large documents beside the rows, the keys that documents are sealed with, and how long finished runs are kept.
use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const UP: &str = "
alter table runs add column payload_key text;
create index runs_finished on runs (coalesce(owner, ''), finished_at) where finished_at is not null;

create table blobs (
    id text primary key,
    run text not null,
    data text not null
);
create index blobs_run on blobs (run);

create table owner_keys (
    owner text primary key,
    id text not null unique,
    sealed text not null,
    created_at {timestamp} not null
);

create table retention (
    owner text primary key,
    days bigint not null check (days > 0)
);
";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        crate::execute(manager, UP).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in ["retention", "owner_keys", "blobs"] {
            crate::execute(manager, &format!("drop table {table}")).await?;
        }
        crate::execute(manager, "drop index runs_finished").await?;
        crate::execute(manager, "alter table runs drop column payload_key").await
    }
}
