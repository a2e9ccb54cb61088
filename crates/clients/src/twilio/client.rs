//! Twilio's REST API, version 2010-04-01.

use std::time::Duration;

use reqwest::RequestBuilder;
use secrecy::ExposeSecret;
use serde::de::DeserializeOwned;
use tracing::Instrument;
use url::Url;

use super::{Credentials, TwilioError, Uncertainty};
use crate::SetupError;
use crate::bounded_body::{BodyError, bounded_body};
use crate::http::{base_url, http};

const VERSION: &str = "2010-04-01";

/// A page of 1000 messages of 1600 characters, with room; more is not Twilio.
const LONGEST_ANSWER: usize = 16 * 1024 * 1024;

/// Asks Twilio, each request once. Cheap to clone; clones share their connections.
#[derive(Debug, Clone)]
pub struct Client {
    pub(super) http: reqwest::Client,
    base: Url,
}

impl Client {
    /// A client for the API at `base_url`: `https://api.twilio.com`, or a simulator. `request_timeout` bounds a whole
    /// request, from connecting to the end of the answer.
    ///
    /// # Errors
    /// [`SetupError::BaseUrl`], [`SetupError::Tls`].
    pub fn new(base_url_text: &str, request_timeout: Duration) -> Result<Self, SetupError> {
        Ok(Self {
            base: base_url(base_url_text, "Twilio")?,
            http: http(request_timeout)?,
        })
    }

    /// Where the API is.
    pub(super) fn base(&self) -> &Url {
        &self.base
    }

    /// `/2010-04-01/Accounts/{account}` or, with a `resource`, something below it.
    pub(super) fn url(&self, account_sid: &str, resource: &[&str]) -> Url {
        let mut url = self.base.clone();
        // Segments are escaped one by one, so that no SID, wherever it came from, can lead to another resource.
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend([VERSION, "Accounts"]);
            match resource.split_last() {
                None => segments.push(&format!("{account_sid}.json")),
                Some((last, before)) => segments
                    .push(account_sid)
                    .extend(before)
                    .push(&format!("{last}.json")),
            };
        }
        url
    }

    /// Where the audio of a recording is, as MP3. Reading it takes the account's credentials.
    pub fn recording_url(&self, account_sid: &str, sid: &str) -> String {
        let json = self.url(account_sid, &["Recordings", sid]);
        let url = json.as_str();
        format!("{}.mp3", url.strip_suffix(".json").unwrap_or(url))
    }

    /// The URL that Twilio's `next_page_uri`, a path, stands for; `None` if it leads away from this account.
    ///
    /// Invariant: credentials are sent only to `base`, whatever an answer says.
    pub(super) fn page(&self, account_sid: &str, resource: &str, uri: &str) -> Option<Url> {
        let base = self.base.as_str().trim_end_matches('/');
        let page = Url::parse(&format!("{base}{uri}")).ok()?;
        let here = self.url(account_sid, &[resource]);
        (page.origin() == here.origin() && page.path() == here.path()).then_some(page)
    }

    /// Sends `request` once with the account's credentials and reads the answer as JSON.
    pub(super) async fn send<T: DeserializeOwned>(
        &self,
        credentials: &Credentials,
        request: RequestBuilder,
    ) -> Result<T, TwilioError> {
        let token = credentials.auth_token.expose_secret();
        let request = request.basic_auth(&credentials.account_sid, Some(token));
        let (http, request) = request.build_split();
        let request = request.map_err(TwilioError::transport)?;
        let span = tracing::info_span!(target: "recado::trace", "twilio", otel.name = format!("twilio {}", request.method()), otel.kind = "client", status = tracing::field::Empty, error = tracing::field::Empty);
        let answered = http.execute(request).instrument(span.clone()).await;
        match &answered {
            Ok(answer) => span
                .record("status", answer.status().as_u16())
                .record("error", !answer.status().is_success()),
            Err(_) => span.record("error", true),
        };
        drop(span);
        let response = answered.map_err(TwilioError::transport)?;
        let (status, headers) = (response.status(), response.headers().clone());
        let body = bounded_body(response, LONGEST_ANSWER).await;
        if !status.is_success() {
            // The status says what happened even if the rest of the answer was lost.
            return Err(TwilioError::answered(status, &headers, &body.unwrap_or_default()));
        }
        let body = body.map_err(|error| match error {
            BodyError::TooLong => TwilioError::Unknown(Uncertainty::Unreadable),
            BodyError::Lost(error) => TwilioError::transport(error),
        })?;
        serde_json::from_slice(&body).map_err(|_| TwilioError::Unknown(Uncertainty::Unreadable))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(base: &str) -> Client {
        Client::new(base, Duration::from_secs(1)).expect("a client")
    }

    #[test]
    fn resources_are_below_the_base_url_whether_or_not_it_ends_in_a_slash() {
        for base in ["http://localhost:4010/twilio", "http://localhost:4010/twilio/"] {
            let url = client(base).url("AC1", &["Messages", "SM1"]);
            assert_eq!(
                url.as_str(),
                "http://localhost:4010/twilio/2010-04-01/Accounts/AC1/Messages/SM1.json"
            );
        }
        let url = client("https://api.twilio.com").url("AC1", &[]);
        assert_eq!(
            url.as_str(),
            "https://api.twilio.com/2010-04-01/Accounts/AC1.json"
        );
    }

    #[test]
    fn a_strange_account_sid_stays_one_segment() {
        let url = client("https://api.twilio.com").url("../AC2/x?y#z", &["Messages"]);
        assert_eq!(
            url.path(),
            "/2010-04-01/Accounts/..%2FAC2%2Fx%3Fy%23z/Messages.json"
        );
    }

    #[test]
    fn the_next_page_is_of_this_account_on_this_host() {
        let client = client("https://api.twilio.com");
        let good = "/2010-04-01/Accounts/AC1/Messages.json?Page=1&PageToken=PASM";
        assert_eq!(
            client.page("AC1", "Messages", good).map(String::from),
            Some(format!("https://api.twilio.com{good}"))
        );
        for bad in [
            "https://evil.example/2010-04-01/Accounts/AC1/Messages.json",
            ".evil.example/2010-04-01/Accounts/AC1/Messages.json",
            "@evil.example/2010-04-01/Accounts/AC1/Messages.json",
            ":444/2010-04-01/Accounts/AC1/Messages.json",
            "/2010-04-01/Accounts/AC2/Messages.json",
            "/2010-04-01/Accounts/AC1/../AC2/Messages.json",
            "",
        ] {
            assert_eq!(client.page("AC1", "Messages", bad), None, "{bad}");
        }
    }
}
