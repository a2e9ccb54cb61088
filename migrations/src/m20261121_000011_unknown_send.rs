//! What an owner wants done with a message of which nobody can tell whether it was sent.
use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const UP: &str = "
alter table owners add column unknown_send text not null default 'hold'
    check (unknown_send in ('hold', 'resend', 'give_up'));
";

const DOWN: &str = "alter table owners drop column unknown_send";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        crate::execute(manager, UP).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        crate::execute(manager, DOWN).await
    }
}
