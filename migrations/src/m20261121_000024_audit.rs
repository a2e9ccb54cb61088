//! What operators did that leaves no other trace, such as looking at what is masked; and, for the thread of a
//! conversation, the way from a message to what Twilio said of it.
use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const UP: &str = "
-- subject: what it was done to, e.g. run:01J…; no text or number of a contact.
create table audit (
    id text primary key,
    owner text,
    actor text not null,
    act text not null,
    subject text not null,
    at {timestamp} not null
);
create index audit_subject on audit (subject, id);
create index message_events_message on message_events (message, id);
";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        crate::execute(manager, UP).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        crate::execute(manager, "drop index message_events_message; drop table audit").await
    }
}
