//! People who log in.
use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const UP: &str = "
create table users (
    id text primary key,
    email text not null unique,
    name text not null,
    role text not null check (role in ('admin', 'agent', 'viewer')),
    owner text not null references owners (id),
    password_hash text,
    created_at {timestamp} not null
);
create index users_owner on users (owner, id);
";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        crate::execute(manager, UP).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in ["users"] {
            crate::execute(manager, &format!("drop table {table}")).await?;
        }
        Ok(())
    }
}
