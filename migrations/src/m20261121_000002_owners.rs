//! Owners, the Twilio accounts by which they are reached, and what their agents know.
use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const UP: &str = "
create table owners (
    id text primary key,
    name text not null,
    language text not null default 'pt',
    notice_over_quota text not null,
    handoff_notice text not null,
    settings text not null default '{}',
    created_at {timestamp} not null
);

-- Several owners may share one Twilio account, each with numbers of its own.
create table channel_accounts (
    id text primary key,
    owner text not null references owners (id),
    twilio_account_sid text not null,
    auth_token {bytes} not null,
    created_at {timestamp} not null,
    unique (owner, twilio_account_sid)
);
create index channel_accounts_sid on channel_accounts (twilio_account_sid);

create table channel_numbers (
    owner text not null references owners (id),
    account text not null references channel_accounts (id),
    twilio_account_sid text not null,
    address text not null,
    created_at {timestamp} not null,
    primary key (twilio_account_sid, address)
);
create index channel_numbers_owner on channel_numbers (owner, address);

create table channel_services (
    service_sid text primary key,
    owner text not null references owners (id),
    account text not null references channel_accounts (id),
    twilio_account_sid text not null,
    created_at {timestamp} not null
);

create table questions (
    id text primary key,
    owner text not null references owners (id),
    question text not null,
    answer text not null,
    keywords text not null default '[]',
    created_at {timestamp} not null
);
create index questions_owner on questions (owner, id);

create table specialists (
    owner text not null references owners (id),
    name text not null,
    enabled boolean not null default true,
    keywords text not null default '[]',
    instructions text not null,
    primary key (owner, name)
);
";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        crate::execute(manager, UP).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in [
            "specialists",
            "questions",
            "channel_services",
            "channel_numbers",
            "channel_accounts",
            "owners",
        ] {
            crate::execute(manager, &format!("drop table {table}")).await?;
        }
        Ok(())
    }
}
