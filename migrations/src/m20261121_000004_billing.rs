//! Plans, subscriptions and the ledger of usage.
use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const UP: &str = "
create table features (
    id text primary key,
    kind text not null check (kind in ('boolean', 'quota', 'tier', 'config'))
);

create table plans (
    id text not null,
    version bigint not null,
    name text not null,
    price_cents bigint,
    currency text not null,
    primary key (id, version)
);

-- A quota of null is unlimited, 0 is off.
create table plan_features (
    plan text not null,
    version bigint not null,
    feature text not null references features (id),
    quota bigint,
    enabled boolean not null default true,
    primary key (plan, version, feature),
    foreign key (plan, version) references plans (id, version)
);

-- Periods are counted from the anchor, so that one that began on the 31st does not drift.
create table subscriptions (
    id text primary key,
    owner text not null unique references owners (id),
    plan text not null,
    plan_version bigint not null,
    state text not null check (state in ('incomplete', 'trialing', 'active', 'past_due', 'paused',
        'pending_cancellation', 'canceled', 'expired', 'unpaid', 'suspended')),
    period text not null check (period in ('month', 'year', 'lifetime')),
    anchor_at {timestamp} not null,
    current_period_start {timestamp} not null,
    current_period_end {timestamp},
    created_at {timestamp} not null,
    updated_at {timestamp} not null,
    foreign key (plan, plan_version) references plans (id, version)
);

create table usage (
    run text not null,
    feature text not null,
    owner text not null,
    quantity bigint not null check (quantity >= 0),
    state text not null check (state in ('reserved', 'committed', 'released')),
    period_start {timestamp} not null,
    at {timestamp} not null,
    primary key (run, feature)
);
create index usage_period on usage (owner, feature, period_start, state, quantity);

create table quota_notices (
    owner text not null,
    address text not null,
    feature text not null,
    period_start {timestamp} not null,
    run text not null,
    at {timestamp} not null,
    primary key (owner, address, feature, period_start)
);

create table overrides (
    id text primary key,
    owner text not null references owners (id),
    feature text not null references features (id),
    quota bigint,
    who text not null,
    why text not null,
    until {timestamp},
    at {timestamp} not null
);
create index overrides_owner on overrides (owner, feature);
";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        crate::execute(manager, UP).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in [
            "overrides",
            "quota_notices",
            "usage",
            "subscriptions",
            "plan_features",
            "plans",
            "features",
        ] {
            crate::execute(manager, &format!("drop table {table}")).await?;
        }
        Ok(())
    }
}
