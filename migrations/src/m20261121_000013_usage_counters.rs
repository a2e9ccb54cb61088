//! What an owner has used in a period, as one row that is counted up: adding up the ledger grew with every message.
use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const UP: &str = "
-- The sum of what is not released in `usage`. Its row is locked where usage is counted.
create table usage_counters (
    owner text not null,
    feature text not null,
    period_start {timestamp} not null,
    used bigint not null,
    primary key (owner, feature, period_start)
);

insert into usage_counters (owner, feature, period_start, used)
select owner, feature, period_start, cast(sum(quantity) as bigint) from usage
where state <> 'released' group by owner, feature, period_start;
";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        crate::execute(manager, UP).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        crate::execute(manager, "drop table usage_counters").await
    }
}
