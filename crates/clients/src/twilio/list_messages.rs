//! Lists messages: the only way to find out what became of a send that was not answered.

use std::fmt;

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use serde::Deserialize;

use super::message::MessageResource;
use super::{Client, Credentials, Message, TwilioError, Uncertainty};

/// The most Twilio gives at once.
const PAGE_SIZE: &str = "1000";

/// Ten thousand messages between two addresses since an intent is not a listing that anybody wants to search.
const MOST_PAGES: usize = 10;

/// How far Twilio's clock may be behind ours. A message just before the time asked for does less harm in the answer
/// than one that is missing from it.
const CLOCK_SKEW: TimeDelta = TimeDelta::seconds(5);

/// Twilio sorts by the date of sending and we look at the date of creation; a page all of whose messages are older
/// than this, relative to the time asked for, ends the search.
const ORDER_MARGIN: TimeDelta = TimeDelta::days(1);

/// Which messages to list. Twilio can filter by nothing else that is of use.
#[derive(Clone, PartialEq, Eq)]
pub struct ListMessages {
    /// Only those to this address, as Twilio spells it.
    pub to: Option<String>,
    /// Only those from this address, as Twilio spells it.
    pub from: Option<String>,
    /// Only those Twilio took at this time or later; five seconds are allowed for the difference of the clocks, and a
    /// message without a readable date counts as new.
    pub sent_after: DateTime<Utc>,
}

#[derive(Deserialize)]
struct Page {
    messages: Vec<MessageResource>,
    next_page_uri: Option<String>,
}

impl Client {
    /// The messages that match, newest first.
    ///
    /// Invariant: `DateSent` is not asked for. A message just created has none and Twilio does not say that such
    /// filters let it through, and it is exactly the message that is looked for.
    ///
    /// # Errors
    /// [`TwilioError`]; a listing is whole or an error, never cut short.
    pub async fn list_messages(
        &self,
        credentials: &Credentials,
        wanted: &ListMessages,
    ) -> Result<Vec<Message>, TwilioError> {
        let account = &credentials.account_sid;
        let since = wanted.sent_after.trunc_subsecs(0) - CLOCK_SKEW;
        let mut found = Vec::new();
        let mut request = self
            .http
            .get(self.url(account, &["Messages"]))
            .query(&wanted.query());
        for _ in 0..MOST_PAGES {
            let page: Page = self.send(credentials, request).await?;
            let messages: Vec<Message> = page.messages.into_iter().map(Message::from).collect();
            let past = !messages.is_empty()
                && messages
                    .iter()
                    .all(|message| !created_since(message, since - ORDER_MARGIN));
            found.extend(
                messages
                    .into_iter()
                    .filter(|message| created_since(message, since)),
            );
            match page.next_page_uri {
                Some(uri) if !past => {
                    let unreadable = TwilioError::Unknown(Uncertainty::Unreadable);
                    request = self.http.get(self.page(account, &uri).ok_or(unreadable)?);
                }
                _ => return Ok(without_repetition(found)),
            }
        }
        Err(TwilioError::Unknown(Uncertainty::TooManyPages {
            pages: MOST_PAGES,
        }))
    }
}

impl ListMessages {
    fn query(&self) -> Vec<(&'static str, &str)> {
        let to = self.to.as_deref().map(|to| ("To", to));
        let from = self.from.as_deref().map(|from| ("From", from));
        [Some(("PageSize", PAGE_SIZE)), to, from]
            .into_iter()
            .flatten()
            .collect()
    }
}

fn created_since(message: &Message, since: DateTime<Utc>) -> bool {
    message.date_created.is_none_or(|created| created >= since)
}

/// A message that arrives while we page pushes others onto the next page, where they are seen again.
fn without_repetition(messages: Vec<Message>) -> Vec<Message> {
    let mut seen = std::collections::HashSet::new();
    messages
        .into_iter()
        .filter(|message| seen.insert(message.sid.clone()))
        .collect()
}

/// Says nothing of whose messages they are.
impl fmt::Debug for ListMessages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ListMessages")
            .field("sent_after", &self.sent_after)
            .finish_non_exhaustive()
    }
}
