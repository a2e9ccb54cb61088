//! Runs are found by whom their lane leads to, and children in the order of their start.
use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

/// The first stands behind the last slash of a lane. Only of completed runs, so that a message pays for it once: the
/// others are few, and have an index of their own.
const UP: &str = "
create index runs_lane_end on runs (replace(lane, rtrim(lane, replace(lane, '/', '')), ''), id)
    where state = 'completed' and lane is not null;
drop index runs_children;
create index runs_children on runs (parent, id) where parent is not null;
";

const DOWN: &str = "
drop index runs_children;
create index runs_children on runs (parent) where parent is not null;
drop index runs_lane_end;
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
