//! Lists of a kind of resource: whole, or page by page.

use std::collections::HashSet;

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use serde::{Deserialize, de::DeserializeOwned};

use super::{Client, Credentials, TwilioError, Uncertainty};

/// The most Twilio gives at once.
pub(super) const PAGE_SIZE: &str = "1000";

/// Ten thousand resources between two addresses since an intent is not a listing that anybody wants to search.
const MOST_PAGES: usize = 10;

/// How far Twilio's clock may be behind ours. A resource just before the time asked for does less harm in the answer
/// than one that is missing from it.
const CLOCK_SKEW: TimeDelta = TimeDelta::seconds(5);

/// Twilio sorts by the date of sending and we look at the date of creation; a page all of whose resources are older
/// than this, relative to the time asked for, ends the search.
const ORDER_MARGIN: TimeDelta = TimeDelta::days(1);

/// What is listed.
pub(super) trait Listed: Sized {
    /// The resource as it stands in an answer.
    type Resource: DeserializeOwned + Into<Self>;
    /// The last part of its URL.
    const RESOURCE: &'static str;

    fn sid(&self) -> &str;

    /// When Twilio took it; one without a readable date counts as new.
    fn date_created(&self) -> Option<DateTime<Utc>>;
}

#[derive(Deserialize)]
struct Answer<R> {
    #[serde(alias = "messages", alias = "calls")]
    items: Vec<R>,
    next_page_uri: Option<String>,
}

/// A part of a listing.
#[derive(Debug, Clone)]
pub struct Page<T> {
    /// Newest first.
    pub items: Vec<T>,
    /// Where the next page is, if there is one: what [`Client`] takes to go on.
    pub next: Option<String>,
}

impl Client {
    /// All that match and were created at `since` or later, newest first.
    ///
    /// # Errors
    /// [`TwilioError`]; a listing is whole or an error, never cut short.
    pub(super) async fn list_since<T: Listed>(
        &self,
        credentials: &Credentials,
        query: &[(&str, &str)],
        since: DateTime<Utc>,
    ) -> Result<Vec<T>, TwilioError> {
        let since = since.trunc_subsecs(0) - CLOCK_SKEW;
        let mut found = Vec::new();
        let mut next = None;
        for _ in 0..MOST_PAGES {
            let page = self.list_page::<T>(credentials, query, next.as_deref()).await?;
            let past = !page.items.is_empty()
                && page
                    .items
                    .iter()
                    .all(|item| !created_since(item, since - ORDER_MARGIN));
            found.extend(page.items.into_iter().filter(|item| created_since(item, since)));
            match page.next {
                Some(uri) if !past => next = Some(uri),
                _ => return Ok(without_repetition(found)),
            }
        }
        Err(TwilioError::Unknown(Uncertainty::TooManyPages {
            pages: MOST_PAGES,
        }))
    }

    /// One page: the first, or the one at `uri`, an earlier page's `next`.
    ///
    /// # Errors
    /// [`TwilioError`]; unreadable where the URI leads away from this account's list.
    pub(super) async fn list_page<T: Listed>(
        &self,
        credentials: &Credentials,
        query: &[(&str, &str)],
        uri: Option<&str>,
    ) -> Result<Page<T>, TwilioError> {
        let account = &credentials.account_sid;
        let request = match uri {
            None => self.http.get(self.url(account, &[T::RESOURCE])).query(query),
            Some(uri) => {
                let unreadable = TwilioError::Unknown(Uncertainty::Unreadable);
                self.http
                    .get(self.page(account, T::RESOURCE, uri).ok_or(unreadable)?)
            }
        };
        let answer: Answer<T::Resource> = self.send(credentials, request).await?;
        Ok(Page {
            items: answer.items.into_iter().map(Into::into).collect(),
            next: answer.next_page_uri,
        })
    }
}

fn created_since(item: &impl Listed, since: DateTime<Utc>) -> bool {
    item.date_created().is_none_or(|created| created >= since)
}

/// One that arrives while we page pushes others onto the next page, where they are seen again.
fn without_repetition<T: Listed>(items: Vec<T>) -> Vec<T> {
    let mut seen = HashSet::new();
    items
        .into_iter()
        .filter(|item| seen.insert(item.sid().to_owned()))
        .collect()
}
