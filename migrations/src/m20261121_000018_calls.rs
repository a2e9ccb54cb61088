//! Telephone calls, what Twilio reports of them, and their recordings.
use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const UP: &str = "
-- contact is null where the caller withholds the number. rank is that of status, so that one statement can let it rise.
create table calls (
    id text primary key,
    owner text not null,
    contact text references contacts (id),
    direction text not null check (direction in ('inbound', 'outbound')),
    our_address text not null,
    contact_address text not null,
    twilio_sid text,
    token text,
    run text,
    form text,
    status text check (status in ('queued', 'initiated', 'ringing', 'in-progress', 'completed', 'busy', 'failed',
        'no-answer', 'canceled')),
    rank bigint not null default 0,
    duration bigint,
    answered_by text,
    error_code bigint,
    error_message text,
    created_at {timestamp} not null,
    sent_at {timestamp},
    updated_at {timestamp} not null
);
create unique index calls_sid on calls (twilio_sid) where twilio_sid is not null;
create unique index calls_token on calls (token) where token is not null;
create index calls_contact on calls (contact, created_at, id);

create table recordings (
    twilio_sid text primary key,
    owner text not null,
    call text not null references calls (id),
    account_sid text not null,
    status text not null check (status in ('in-progress', 'paused', 'stopped', 'processing', 'completed', 'absent',
        'failed', 'deleted')),
    rank bigint not null,
    duration bigint,
    sha256 text,
    content_type text,
    bytes bigint,
    created_at {timestamp} not null,
    updated_at {timestamp} not null
);
create index recordings_call on recordings (call);

-- Everything that was reported. One whose call is not known yet has none, and no owner, until the call appears.
create table call_events (
    id text primary key,
    call text references calls (id),
    owner text,
    account_sid text not null,
    token text,
    call_sid text not null,
    recording_sid text,
    status text not null,
    duration bigint,
    answered_by text,
    error_code bigint,
    raw text not null,
    at {timestamp} not null
);
create index call_events_orphan_sid on call_events (call_sid) where call is null;
create index call_events_orphan_token on call_events (token) where call is null;
create index call_events_call on call_events (call, id) where call is not null;
";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        crate::execute(manager, UP).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in ["call_events", "recordings", "calls"] {
            crate::execute(manager, &format!("drop table {table}")).await?;
        }
        Ok(())
    }
}
