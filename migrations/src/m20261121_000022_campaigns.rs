//! Campaigns: one message to many people, with a row for each of them.
use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const UP: &str = "
-- message: what every row says, a JSON object with gaps; pace: rows a minute.
create table campaigns (
    id text primary key,
    owner text not null,
    name text not null,
    channel text not null check (channel in ('sms', 'whatsapp')),
    sender text,
    message text not null,
    pace bigint check (pace > 0),
    state text not null check (state in ('draft', 'running', 'paused', 'completed', 'cancelled')),
    request text,
    created_at {timestamp} not null,
    started_at {timestamp},
    finished_at {timestamp},
    updated_at {timestamp} not null
);
create index campaigns_owner on campaigns (owner, id);
create unique index campaigns_request on campaigns (owner, request) where request is not null;

-- One person of a campaign; n is the row's number from 1. fields: what was given for the row, a JSON object of texts.
create table campaign_rows (
    campaign text not null references campaigns (id),
    n bigint not null,
    owner text not null,
    address text not null,
    prospect text not null,
    fields text not null default '{}',
    state text not null check (state in ('ready', 'invalid', 'taken', 'sent', 'failed', 'held', 'cancelled')),
    problem text,
    field text,
    error_code bigint,
    error_message text,
    run text,
    sid text,
    updated_at {timestamp} not null,
    primary key (campaign, n)
);
create index campaign_rows_state on campaign_rows (campaign, state, n);
-- Nobody is written to twice by one campaign.
create unique index campaign_rows_address on campaign_rows (campaign, address) where state <> 'invalid';
";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        crate::execute(manager, UP).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in ["campaign_rows", "campaigns"] {
            crate::execute(manager, &format!("drop table {table}")).await?;
        }
        Ok(())
    }
}
