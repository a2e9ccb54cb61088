//! The durable engine: runs, their keys and journals, lanes, workers.
use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const UP: &str = "
create table runs (
    id text primary key,
    workflow text not null,
    key text not null,
    owner text,
    state text not null check (state in
        ('queued', 'running', 'waiting', 'parked', 'completed', 'failed', 'cancelled', 'terminated')),
    outcome text,
    waiting_for text,
    since {timestamp} not null,
    until {timestamp},
    lane text,
    place bigint,
    worker text,
    epoch bigint not null default 0,
    takeovers bigint not null default 0,
    attempt bigint not null default 0,
    build text not null,
    input text not null,
    output text,
    error text,
    created_at {timestamp} not null,
    finished_at {timestamp}
);
create index runs_queued on runs (id) where state = 'queued';
create index runs_due on runs (until) where state = 'waiting' and until is not null;
create index runs_held on runs (worker) where state = 'running';
create index runs_open on runs (state, id) where state <> 'completed';
create index runs_owner on runs (owner, id);

create table run_keys (
    workflow text not null,
    key text not null,
    run text not null,
    primary key (workflow, key)
);

create table journal (
    run text not null,
    seq bigint not null,
    op bigint,
    kind text not null,
    name text,
    hash text,
    attempt bigint,
    started_at {timestamp},
    at {timestamp} not null,
    input text,
    data text,
    primary key (run, seq)
);

create table lanes (
    key text primary key,
    next_place bigint not null
);

create table lane_places (
    lane text not null,
    place bigint not null,
    run text not null,
    waiting boolean not null default false,
    primary key (lane, place)
);

create table workers (
    id text primary key,
    build text not null,
    started_at {timestamp} not null,
    heartbeat_at {timestamp} not null
);
";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        crate::execute(manager, UP).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let tables = ["workers", "lane_places", "lanes", "journal", "run_keys", "runs"];
        for table in tables {
            crate::execute(manager, &format!("drop table {table}")).await?;
        }
        Ok(())
    }
}
