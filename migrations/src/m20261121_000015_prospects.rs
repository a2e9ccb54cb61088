//! Whom an owner writes to of its own accord, under the owner's own ids.
use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const UP: &str = "
-- recent: when it was last written to, milliseconds since 1970, a JSON array of those that count against its limit.
create table prospects (
    owner text not null,
    id text not null,
    recent text not null default '[]',
    created_at {timestamp} not null,
    primary key (owner, id)
);

create table prospect_addresses (
    owner text not null,
    prospect text not null,
    address text not null,
    contact text not null,
    created_at {timestamp} not null,
    primary key (owner, prospect, address)
);
";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        crate::execute(manager, UP).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in ["prospect_addresses", "prospects"] {
            crate::execute(manager, &format!("drop table {table}")).await?;
        }
        Ok(())
    }
}
