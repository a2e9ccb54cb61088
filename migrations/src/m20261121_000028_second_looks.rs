//! Files of calls found as those of messages are; a campaign that Twilio sent back for a day, and the request that made it.
use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const UP: [&str; 4] = [
    "create index recordings_owner on recordings (owner, created_at)",
    "create index recordings_sha256 on recordings (owner, sha256) where sha256 is not null",
    // How often a row was put back since Twilio took no more that day: each time another run sends it.
    "alter table campaign_rows add column tries bigint not null default 0",
    // A hash of what the request asked for that made it.
    "alter table campaigns add column asked text",
];

const DOWN: [&str; 4] = [
    "alter table campaigns drop column asked",
    "alter table campaign_rows drop column tries",
    "drop index recordings_sha256",
    "drop index recordings_owner",
];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for sql in UP {
            crate::execute(manager, sql).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for sql in DOWN {
            crate::execute(manager, sql).await?;
        }
        Ok(())
    }
}
