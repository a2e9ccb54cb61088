//! The last conversation of a contact is looked for at every message by owner and contact. Of the indexes that begin
//! with one of the two, a server without statistics took the owner's, and read all that the owner has.
use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const UP: &str = "
drop index conversations_contact;
create index conversations_contact on conversations (contact, owner, id);
";

const DOWN: &str = "
drop index conversations_contact;
create index conversations_contact on conversations (contact, id);
";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        crate::execute(manager, UP).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        crate::execute(manager, DOWN).await
    }
}
