//! Lists messages: the only way to find out what became of a send that was not answered, or what a webhook that never
//! came would have told.

use std::fmt;

use chrono::{DateTime, SecondsFormat, Utc};

use super::list::{Listed, PAGE_SIZE, Page};
use super::message::MessageResource;
use super::{Client, Credentials, Message, TwilioError};

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

impl Listed for Message {
    type Resource = MessageResource;
    const RESOURCE: &'static str = "Messages";

    fn sid(&self) -> &str {
        &self.sid
    }

    fn date_created(&self) -> Option<DateTime<Utc>> {
        self.date_created
    }
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
        self.list_since(credentials, &wanted.query(), wanted.sent_after)
            .await
    }

    /// A page of at most `size` of the messages that reached one of our addresses at `since` or later, newest first.
    /// `next` is the `next` of the page before. One that was received has a date of sending, so that it may be asked
    /// for.
    ///
    /// # Errors
    /// [`TwilioError`].
    pub async fn received_messages(
        &self,
        credentials: &Credentials,
        to: &str,
        since: DateTime<Utc>,
        size: u16,
        next: Option<&str>,
    ) -> Result<Page<Message>, TwilioError> {
        let (since, size) = (since.to_rfc3339_opts(SecondsFormat::Secs, true), size.to_string());
        let query = [
            ("To", to),
            ("DateSent>", since.as_str()),
            ("PageSize", size.as_str()),
        ];
        self.list_page(credentials, &query, next).await
    }
}

impl Client {
    /// A page of all messages of an account, either way, that were sent at `since` or later, newest first. `next` is the
    /// `next` of the page before.
    ///
    /// # Errors
    /// [`TwilioError`].
    pub async fn account_messages(
        &self,
        credentials: &Credentials,
        since: DateTime<Utc>,
        next: Option<&str>,
    ) -> Result<Page<Message>, TwilioError> {
        let since = since.to_rfc3339_opts(SecondsFormat::Secs, true);
        let query = [("DateSent>", since.as_str()), ("PageSize", PAGE_SIZE)];
        self.list_page(credentials, &query, next).await
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

/// Says nothing of whose messages they are.
impl fmt::Debug for ListMessages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ListMessages")
            .field("sent_after", &self.sent_after)
            .finish_non_exhaustive()
    }
}
