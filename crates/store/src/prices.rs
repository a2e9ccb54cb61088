//! What Twilio charged for messages and calls, as it tells some time afterwards.
use std::collections::HashSet;

use recado_domain::OwnerId;
use sea_orm::{ConnectionTrait, FromQueryResult};

use crate::{
    StoreError,
    rows::{Column, Rows},
    statement::text,
    unfinished::Sending,
};

/// What one cost.
#[derive(Clone, Copy, Debug)]
pub struct Priced<'a> {
    /// Twilio's SID of it.
    pub sid: &'a str,
    /// In millionths of the unit.
    pub millionths: i64,
    /// The currency: `USD`, ….
    pub unit: &'a str,
}

#[derive(FromQueryResult)]
struct Sid {
    twilio_sid: String,
}

fn table(sending: Sending) -> &'static str {
    match sending {
        Sending::Messages => "messages",
        Sending::Calls => "calls",
    }
}

/// Which of these SIDs are an owner's, without a price yet.
///
/// # Errors
/// Those of the database.
pub async fn unpriced(
    conn: &impl ConnectionTrait,
    owner: &OwnerId,
    sending: Sending,
    sids: impl Iterator<Item = &str>,
) -> Result<HashSet<String>, StoreError> {
    const COLUMNS: &[Column] = &[("its_sid", "text")];
    let sql = format!(
        "select twilio_sid from {{rows}} join {} on twilio_sid = t.its_sid where owner = $2 and price is null",
        table(sending)
    );
    let mut rows = Rows::new(COLUMNS);
    for sid in sids {
        rows.push([sid.into()]);
    }
    let found: Vec<Sid> = rows.query(conn, &sql, vec![text(owner.as_str())]).await?;
    Ok(found.into_iter().map(|row| row.twilio_sid).collect())
}

/// Writes down what these cost; a price that is known stays. Returns how many were news.
///
/// # Errors
/// Those of the database.
pub async fn put_prices(
    conn: &impl ConnectionTrait,
    owner: &OwnerId,
    sending: Sending,
    prices: &[Priced<'_>],
) -> Result<u64, StoreError> {
    const COLUMNS: &[Column] = &[("its_sid", "text"), ("its_price", "bigint"), ("its_unit", "text")];
    let sql = format!(
        "update {} set price = t.its_price, price_unit = t.its_unit from {{rows}}
         where twilio_sid = t.its_sid and owner = $2 and price is null",
        table(sending)
    );
    let mut sorted: Vec<&Priced<'_>> = prices.iter().collect();
    sorted.sort_by_key(|price| price.sid);
    let mut rows = Rows::new(COLUMNS);
    for price in sorted {
        rows.push([price.sid.into(), price.millionths.into(), price.unit.into()]);
    }
    Ok(rows.execute(conn, &sql, vec![text(owner.as_str())]).await?)
}
