//! How much an owner, and each of its senders, sent within the last minute.
use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const UP: &str = "
-- seconds: a JSON array of [second since 1970, how many]; scope: of the whole owner (id is empty), or of one sender.
create table send_windows (
    owner text not null,
    scope text not null check (scope in ('owner', 'sender')),
    id text not null,
    seconds text not null default '[]',
    primary key (owner, scope, id)
);
";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        crate::execute(manager, UP).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        crate::execute(manager, "drop table send_windows").await
    }
}
