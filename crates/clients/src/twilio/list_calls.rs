//! Lists calls: the only way to find out what became of one that was asked for and not answered.

use chrono::{DateTime, SecondsFormat, Utc};

use super::call::CallResource;
use super::list::{Listed, PAGE_SIZE, Page};
use super::{Call, Client, Credentials, TwilioError};

impl Listed for Call {
    type Resource = CallResource;
    const RESOURCE: &'static str = "Calls";

    fn sid(&self) -> &str {
        &self.sid
    }

    fn date_created(&self) -> Option<DateTime<Utc>> {
        self.date_created
    }
}

impl Client {
    /// The calls from one number to another that Twilio took at `since` or later, newest first; five seconds are allowed
    /// for the difference of the clocks.
    ///
    /// Invariant: `StartTime` is not asked for. A call that waits has none.
    ///
    /// # Errors
    /// [`TwilioError`]; a listing is whole or an error, never cut short.
    pub async fn list_calls(
        &self,
        credentials: &Credentials,
        (from, to): (&str, &str),
        since: DateTime<Utc>,
    ) -> Result<Vec<Call>, TwilioError> {
        let query = [("PageSize", PAGE_SIZE), ("To", to), ("From", from)];
        self.list_since(credentials, &query, since).await
    }

    /// A page of all calls of an account, either way, that began at `since` or later, newest first. `next` is the `next`
    /// of the page before.
    ///
    /// # Errors
    /// [`TwilioError`].
    pub async fn account_calls(
        &self,
        credentials: &Credentials,
        since: DateTime<Utc>,
        next: Option<&str>,
    ) -> Result<Page<Call>, TwilioError> {
        let since = since.to_rfc3339_opts(SecondsFormat::Secs, true);
        let query = [("StartTime>", since.as_str()), ("PageSize", PAGE_SIZE)];
        self.list_page(credentials, &query, next).await
    }
}
