//! What every message paid for: indexes that no query uses any more, and a reference that another one implies.
//! One that the list of an address's conversations lacked is paid for once a conversation.
use sea_orm_migration::{prelude::*, sea_orm::DatabaseBackend};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const UP: &str = "
drop index usage_period;
drop index contacts_owner;
drop index message_events_message;
create index conversations_address on conversations (owner, contact_address, id);
";

const DOWN: &str = "
drop index conversations_address;
create index usage_period on usage (owner, feature, period_start, state, quantity);
create index contacts_owner on contacts (owner, id);
create index message_events_message on message_events (message, id);
";

/// A message's contact is that of its conversation, which references it. On Postgres the check also locks the contact's
/// row at every message; SQLite has no such locks, and cannot drop a reference.
///
/// Rows that are soon changed get room beside them: a change that stays in its page needs no entry in any index.
const UP_POSTGRES: &str = "
alter table messages drop constraint messages_contact_fkey;
alter table conversations set (fillfactor = 70);
alter table usage set (fillfactor = 60);
alter table usage_counters set (fillfactor = 50);
";
const DOWN_POSTGRES: &str = "
alter table usage_counters reset (fillfactor);
alter table usage reset (fillfactor);
alter table conversations reset (fillfactor);
alter table messages add constraint messages_contact_fkey foreign key (contact) references contacts (id);
";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        crate::execute(manager, UP).await?;
        match manager.get_database_backend() {
            DatabaseBackend::Postgres => crate::execute(manager, UP_POSTGRES).await,
            _ => Ok(()),
        }
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        crate::execute(manager, DOWN).await?;
        match manager.get_database_backend() {
            DatabaseBackend::Postgres => crate::execute(manager, DOWN_POSTGRES).await,
            _ => Ok(()),
        }
    }
}
