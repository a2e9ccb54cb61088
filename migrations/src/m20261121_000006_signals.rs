//! Signals to runs, children, links between runs, what runs publish of themselves.
use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const UP: &str = "
alter table runs add column inbox bigint not null default 0;
alter table runs add column parent text;
alter table runs add column parent_op bigint;
alter table runs add column on_close text check (on_close in ('abandon', 'cancel', 'terminate'));
create index runs_children on runs (parent) where parent is not null;

create table signals (
    run text not null,
    n bigint not null,
    kind text not null check (kind in
        ('signal', 'cancel', 'pause', 'resume', 'terminate', 'child', 'evidence', 'decision')),
    name text,
    key text,
    data text,
    at {timestamp} not null,
    primary key (run, n)
);
create unique index signals_key on signals (run, key) where key is not null;

create table run_links (
    run text not null,
    kind text not null check (kind in ('forked_from', 'continued_from', 'merged_into')),
    other text not null,
    at {timestamp} not null,
    primary key (run, kind, other)
);
create index run_links_other on run_links (other);

create table run_tags (
    name text not null,
    value text not null,
    run text not null,
    primary key (name, value, run)
);
create index run_tags_run on run_tags (run);

create table run_values (
    run text not null,
    name text not null,
    data text not null,
    at {timestamp} not null,
    primary key (run, name)
);

create table activity_progress (
    run text not null,
    op bigint not null,
    data text not null,
    at {timestamp} not null,
    primary key (run, op)
);
";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        crate::execute(manager, UP).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in [
            "activity_progress",
            "run_values",
            "run_tags",
            "run_links",
            "signals",
        ] {
            crate::execute(manager, &format!("drop table {table}")).await?;
        }
        crate::execute(manager, "drop index runs_children").await?;
        for column in ["on_close", "parent_op", "parent", "inbox"] {
            crate::execute(manager, &format!("alter table runs drop column {column}")).await?;
        }
        Ok(())
    }
}
