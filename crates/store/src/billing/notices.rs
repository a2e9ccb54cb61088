//! Who is told that the plan is used up: once a period.
use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, Utc};
use sea_orm::{ConnectionTrait, FromQueryResult};

use crate::{
    StoreError,
    rows::{Column, Rows, time},
};

/// Somebody who is refused a feature in a period: owner, address, feature, start of the period.
pub(super) type Refused<'a> = (&'a str, String, &'a str, DateTime<Utc>);

#[derive(FromQueryResult)]
struct Told {
    owner: String,
    address: String,
    feature: String,
    period_start: DateTime<Utc>,
    run: String,
}

/// Says for each refusal by which run the contact is told: the first that was refused, now or earlier.
pub(super) async fn tellers(
    conn: &impl ConnectionTrait,
    refused: &BTreeMap<Refused<'_>, &str>,
    now: DateTime<Utc>,
) -> Result<HashMap<(String, String, String, DateTime<Utc>), String>, StoreError> {
    const COLUMNS: &[Column] = &[
        ("owner", "text"),
        ("address", "text"),
        ("feature", "text"),
        ("period_start", "timestamptz"),
        ("run", "text"),
    ];
    let sql = "
        insert into quota_notices (owner, address, feature, period_start, run, at)
        select owner, address, feature, period_start, run, $2 from {rows} where true
        on conflict (owner, address, feature, period_start) do update set run = quota_notices.run
        returning owner, address, feature, period_start, run";
    let mut rows = Rows::new(COLUMNS);
    for ((owner, address, feature, start), run) in refused {
        rows.push([
            (*owner).into(),
            address.as_str().into(),
            (*feature).into(),
            time(*start),
            (*run).into(),
        ]);
    }
    let told: Vec<Told> = rows.query(conn, sql, vec![now.into()]).await?;
    Ok(told
        .into_iter()
        .map(|row| ((row.owner, row.address, row.feature, row.period_start), row.run))
        .collect())
}
