//! What is attached to messages; the files themselves are elsewhere, by owner and hash.
use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const UP: &str = "
-- place: of one message, from 0. sha256: of the content, where it is kept; gone once it is not any more.
-- error: why it could not be had, for a person.
create table media (
    id text primary key,
    owner text not null,
    message text not null references messages (id),
    place bigint not null,
    state text not null check (state in ('stored', 'failed', 'expired')),
    content_type text not null,
    bytes bigint not null,
    seconds bigint,
    name text,
    sha256 text,
    error text,
    created_at {timestamp} not null
);
create unique index media_message on media (message, place);
create index media_kept on media (owner, created_at) where state = 'stored';
create index media_content on media (owner, sha256) where state = 'stored';
";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        crate::execute(manager, UP).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        crate::execute(manager, "drop table media").await
    }
}
