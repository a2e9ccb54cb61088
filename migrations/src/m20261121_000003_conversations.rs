//! Contacts, their conversations and messages.
//!
//! These tables do not reference `owners`: on Postgres every insert would lock the owner's row, and the owners who
//! write most would wait for themselves.
use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const UP: &str = "
create table contacts (
    id text primary key,
    owner text not null,
    name text,
    language text,
    created_at {timestamp} not null
);
create index contacts_owner on contacts (owner, id);

-- No reference to contacts: an address is claimed first, and whoever claims it makes the contact.
create table contact_addresses (
    owner text not null,
    address text not null,
    contact text not null,
    created_at {timestamp} not null,
    primary key (owner, address)
);
create index contact_addresses_contact on contact_addresses (contact);

create table opt_outs (
    owner text not null,
    address text not null,
    since {timestamp} not null,
    source text not null,
    primary key (owner, address)
);

create table conversations (
    id text primary key,
    owner text not null,
    contact text not null references contacts (id),
    channel text not null check (channel in ('sms', 'whatsapp')),
    our_address text not null,
    contact_address text not null,
    state text not null check (state in ('pending', 'progress', 'human_handoff', 'idle_timeout',
        'agent_closed', 'support_closed', 'user_closed', 'expired', 'failed')),
    previous_id text references conversations (id),
    recovered boolean not null default false,
    version bigint not null default 0,
    opened_at {timestamp} not null,
    last_inbound_at {timestamp},
    handoff_at {timestamp},
    queue text,
    closed_at {timestamp},
    updated_at {timestamp} not null
);
-- One conversation at a time: whoever loses the race to open one finds the winner's.
create unique index conversations_open on conversations (owner, channel, our_address, contact)
    where state in ('pending', 'progress', 'human_handoff', 'idle_timeout');
create index conversations_contact on conversations (contact, id);
create index conversations_owner on conversations (owner, id);
create index conversations_state on conversations (owner, state, id);

create table conversation_transitions (
    conversation text not null references conversations (id),
    owner text not null,
    version bigint not null,
    from_state text not null,
    to_state text not null,
    actor text not null check (actor in ('contact', 'agent', 'human', 'system')),
    reason text not null,
    at {timestamp} not null,
    primary key (conversation, version)
);

create table messages (
    id text primary key,
    owner text not null,
    conversation text not null references conversations (id),
    contact text not null references contacts (id),
    direction text not null check (direction in ('inbound', 'outbound')),
    kind text not null,
    body text not null,
    twilio_sid text,
    token text,
    run text,
    part bigint not null default 0,
    status text check (status in ('scheduled', 'accepted', 'queued', 'sending', 'sent', 'partially_delivered',
        'undelivered', 'failed', 'canceled', 'delivered', 'read', 'receiving', 'received')),
    error_code bigint,
    error_message text,
    form text,
    created_at {timestamp} not null,
    sent_at {timestamp},
    updated_at {timestamp} not null
);
create unique index messages_sid on messages (twilio_sid) where twilio_sid is not null;
create unique index messages_token on messages (token) where token is not null;
create index messages_thread on messages (conversation, created_at, id);

create table message_events (
    id text primary key,
    message text not null references messages (id),
    owner text not null,
    status text not null,
    error_code bigint,
    raw text not null,
    at {timestamp} not null
);
create index message_events_message on message_events (message, id);

-- Callbacks that came before their message's row; they have no owner until it appears.
create table orphan_callbacks (
    id text primary key,
    account_sid text not null,
    token text,
    twilio_sid text not null,
    status text not null,
    error_code bigint,
    raw text not null,
    at {timestamp} not null
);
create index orphan_callbacks_sid on orphan_callbacks (twilio_sid);
create index orphan_callbacks_token on orphan_callbacks (token) where token is not null;
";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        crate::execute(manager, UP).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in [
            "orphan_callbacks",
            "message_events",
            "messages",
            "conversation_transitions",
            "conversations",
            "opt_outs",
            "contact_addresses",
            "contacts",
        ] {
            crate::execute(manager, &format!("drop table {table}")).await?;
        }
        Ok(())
    }
}
