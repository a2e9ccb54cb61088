//! `GET …/Messages.json`: filters and pages.

use std::sync::Arc;

use chrono::{DateTime, NaiveDate, NaiveTime, SubsecRound, TimeDelta, Utc};
use serde_json::{Value, json};

use super::error::ApiError;
use super::resource;
use crate::config::Account;
use crate::entry::Message;
use crate::request::Raw;
use crate::state::State;

const DEFAULT_PAGE: usize = 50;
const LARGEST_PAGE: usize = 1000;

/// A page of messages of both directions, newest first.
///
/// # Errors
/// 400 if a parameter is malformed.
pub(crate) fn list(state: &State, raw: &Raw, account: &Account) -> Result<Value, ApiError> {
    let filter = Filter::parse(raw, &account.sid)?;
    let page = number(raw, "Page", 0)?;
    let size = number(raw, "PageSize", DEFAULT_PAGE)?.clamp(1, LARGEST_PAGE);
    let token = raw.query("PageToken").and_then(|token| token.strip_prefix("PA"));
    let lag = state.lock_faults().listing_lag_ms;
    let newest = Utc::now() - TimeDelta::milliseconds(i64::try_from(lag).unwrap_or(i64::MAX / 2));

    let mut found: Vec<Arc<Message>> = state.book.read(|index| {
        let end = match token {
            Some(sid) => index.position(sid).ok_or_else(|| invalid("PageToken"))?,
            None => index.messages().len(),
        };
        let skip = if token.is_some() {
            0
        } else {
            page.saturating_mul(size)
        };
        Ok(index
            .newest_first(filter.to, filter.from, end)
            .filter(|message| message.created <= newest && filter.takes(message))
            .skip(skip)
            // One more tells whether there is a next page.
            .take(size + 1)
            .cloned()
            .collect())
    })?;

    let more = found.len() > size;
    found.truncate(size);
    let next = found.last().filter(|_| more);
    let next_page_uri = next.map(|last| page_uri(raw, page + 1, size, Some(&last.sid)));
    Ok(json!({
        "end": (page * size + found.len()).saturating_sub(1),
        "first_page_uri": page_uri(raw, 0, size, None),
        "messages": found.iter().map(|message| resource::message(state, message)).collect::<Vec<_>>(),
        "next_page_uri": next_page_uri,
        "page": page,
        "page_size": size,
        "previous_page_uri": (page > 0).then(|| page_uri(raw, page - 1, size, None)),
        "start": page * size,
        "uri": page_uri(raw, page, size, token),
    }))
}

/// What a listing asks for.
struct Filter<'a> {
    account: &'a str,
    to: Option<&'a str>,
    from: Option<&'a str>,
    sent: Vec<Sent>,
}

/// Bounds of `date_sent`, both inclusive. Twilio keeps whole seconds. A message that has not been
/// sent yet has no `date_sent` and fails every such filter.
enum Sent {
    From(DateTime<Utc>),
    Until(DateTime<Utc>),
}

impl<'a> Filter<'a> {
    fn parse(raw: &'a Raw, account: &'a str) -> Result<Self, ApiError> {
        let given = |name| raw.query(name).filter(|value| !value.is_empty());
        let mut sent = Vec::new();
        if let Some(text) = given("DateSent>") {
            sent.push(Sent::From(parse_date(text, "DateSent>")?.0));
        }
        if let Some(text) = given("DateSent<") {
            sent.push(Sent::Until(parse_date(text, "DateSent<")?.0));
        }
        if let Some(text) = given("DateSent") {
            let (begin, length) = parse_date(text, "DateSent")?;
            sent.push(Sent::From(begin));
            sent.push(Sent::Until(begin + length - TimeDelta::seconds(1)));
        }
        Ok(Self {
            account,
            to: given("To"),
            from: given("From"),
            sent,
        })
    }

    fn takes(&self, message: &Message) -> bool {
        message.account == self.account
            && self.to.is_none_or(|to| to == message.to)
            && self.from.is_none_or(|from| from == message.from)
            && self.sent.iter().all(|bound| {
                message
                    .sent()
                    .map(|at| at.trunc_subsecs(0))
                    .is_some_and(|at| match bound {
                        Sent::From(begin) => at >= *begin,
                        Sent::Until(end) => at <= *end,
                    })
            })
    }
}

/// A day (its midnight in UTC) or an instant, cut to the second, and how long it lasts.
fn parse_date(text: &str, name: &str) -> Result<(DateTime<Utc>, TimeDelta), ApiError> {
    if let Ok(day) = text.parse::<NaiveDate>() {
        return Ok((day.and_time(NaiveTime::MIN).and_utc(), TimeDelta::days(1)));
    }
    match DateTime::parse_from_rfc3339(text) {
        Ok(instant) => Ok((instant.to_utc().trunc_subsecs(0), TimeDelta::seconds(1))),
        Err(_) => Err(invalid(name)),
    }
}

fn number(raw: &Raw, name: &str, default: usize) -> Result<usize, ApiError> {
    raw.query(name)
        .map_or(Ok(default), |text| text.parse().map_err(|_| invalid(name)))
}

fn invalid(name: &str) -> ApiError {
    ApiError::bad(20001, format!("Invalid parameter: {name}"))
}

/// The URI of another page: the same query with another place.
pub(super) fn page_uri(raw: &Raw, page: usize, size: usize, after: Option<&str>) -> String {
    let mut query: Vec<(&str, String)> = raw
        .query
        .iter()
        .filter(|(key, _)| !matches!(key.as_str(), "Page" | "PageSize" | "PageToken"))
        .map(|(key, value)| (key.as_str(), value.clone()))
        .collect();
    query.push(("PageSize", size.to_string()));
    query.push(("Page", page.to_string()));
    query.extend(after.map(|sid| ("PageToken", format!("PA{sid}"))));
    let query = serde_urlencoded::to_string(query).unwrap_or_default();
    format!("{}?{query}", raw.path)
}
