//! What Twilio charged for a message or call, in millionths of a currency; it tells that some time afterwards.
use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const TABLES: [&str; 2] = ["messages", "calls"];
const COLUMNS: [(&str, &str); 2] = [("price", "bigint"), ("price_unit", "text")];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in TABLES {
            for (column, kind) in COLUMNS {
                crate::execute(
                    manager,
                    &format!("alter table {table} add column {column} {kind}"),
                )
                .await?;
            }
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in TABLES {
            for (column, _) in COLUMNS {
                crate::execute(manager, &format!("alter table {table} drop column {column}")).await?;
            }
        }
        Ok(())
    }
}
