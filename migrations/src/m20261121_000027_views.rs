//! Lists of runs that operators keep under a name.
use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const UP: &str = "
create table views (
    operator text not null,
    name text not null,
    line text not null,
    columns text not null,
    at {timestamp} not null,
    primary key (operator, name)
);
";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        crate::execute(manager, UP).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        crate::execute(manager, "drop table views").await
    }
}
