//! The catalogue: features, and plans that grant them. It belongs to the platform, so that it has no tenant.
use sea_orm::ConnectionTrait;

use crate::{
    StoreError,
    statement::{execute, text},
};

/// Messages received, each.
pub const MESSAGES: &str = "messages";
/// Answers by an agent, each.
pub const AGENT_ANSWERS: &str = "agent_answers";
/// Minutes of voice turned into text, begun ones whole.
pub const TRANSCRIPTION_MINUTES: &str = "transcription_minutes";
/// Whether there are statistics.
pub const ANALYTICS: &str = "analytics";
/// For how many days finished conversations are kept.
pub const RETENTION_DAYS: &str = "retention_days";

/// What everyone begins with.
pub const FREE: &str = "free";
/// What most pay for.
pub const PRO: &str = "pro";
/// By agreement.
pub const ENTERPRISE: &str = "enterprise";
/// The operator's own: no limit, no price.
pub const UNLIMITED: &str = "unlimited";

/// The version of what is below; a plan that changes gets a new one, and subscribers keep theirs.
const VERSION: i64 = 1;

const FEATURES: [(&str, &str); 5] = [
    (MESSAGES, "quota"),
    (AGENT_ANSWERS, "quota"),
    (TRANSCRIPTION_MINUTES, "quota"),
    (ANALYTICS, "boolean"),
    (RETENTION_DAYS, "config"),
];

struct Plan {
    id: &'static str,
    name: &'static str,
    /// In cents of a real; none where the price is agreed on.
    price: Option<i64>,
    /// In the order of [`FEATURES`]; none is unlimited, 0 is off.
    quotas: [Option<i64>; 5],
}

const PLANS: [Plan; 4] = [
    Plan {
        id: FREE,
        name: "Free",
        price: Some(0),
        quotas: [Some(100), Some(50), Some(10), Some(0), Some(30)],
    },
    Plan {
        id: PRO,
        name: "Pro",
        price: Some(9_900),
        quotas: [Some(1_000), Some(500), Some(120), None, Some(365)],
    },
    Plan {
        id: ENTERPRISE,
        name: "Enterprise",
        price: None,
        quotas: [None; 5],
    },
    Plan {
        id: UNLIMITED,
        name: "Unlimited",
        price: Some(0),
        quotas: [None; 5],
    },
];

/// Puts the catalogue into the database; what is there stays.
///
/// # Errors
/// Those of the database.
pub async fn install(conn: &impl ConnectionTrait) -> Result<(), StoreError> {
    for (feature, kind) in FEATURES {
        let sql = "insert into features (id, kind) values ($1, $2) on conflict do nothing";
        execute(conn, sql, vec![text(feature), text(kind)]).await?;
    }
    for plan in &PLANS {
        let sql = "
            insert into plans (id, version, name, price_cents, currency) values ($1, $2, $3, $4, 'BRL')
            on conflict do nothing";
        execute(
            conn,
            sql,
            vec![text(plan.id), VERSION.into(), text(plan.name), plan.price.into()],
        )
        .await?;
        for ((feature, _), quota) in FEATURES.iter().zip(plan.quotas) {
            let sql = "
                insert into plan_features (plan, version, feature, quota, enabled) values ($1, $2, $3, $4, $5)
                on conflict do nothing";
            let enabled = quota != Some(0);
            let values = vec![
                text(plan.id),
                VERSION.into(),
                text(feature),
                quota.into(),
                enabled.into(),
            ];
            execute(conn, sql, values).await?;
        }
    }
    Ok(())
}
