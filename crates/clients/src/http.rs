//! The one way this crate makes an HTTP client.

use std::time::Duration;

use reqwest::redirect;
use url::Url;

/// Connecting takes longer than this only if it will not succeed; the rest of the time-out is for the answer.
const CONNECT: Duration = Duration::from_secs(5);

/// Shorter than the 60 s after which common load balancers close an idle connection: a request that meets such a
/// close could not be told from one that was processed.
const IDLE: Duration = Duration::from_secs(20);

/// Why a client could not be made; a fault of the configuration.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The base URL is not an absolute http or https URL.
    #[error("the base URL of {whose} must be an absolute http or https URL")]
    BaseUrl {
        /// Whose base URL: `Twilio` or the provider's name.
        whose: String,
    },
    /// The API key holds a character that no HTTP header may hold, such as a line break.
    #[error("the API key of {whose} holds a character that cannot be sent")]
    ApiKey {
        /// The provider's name.
        whose: String,
    },
    /// TLS could not be set up, for instance because the machine has no root certificates.
    #[error("cannot set up HTTPS: {0}")]
    Tls(#[source] reqwest::Error),
}

/// An HTTP client that gives up on a request after `request_timeout`, from the first byte of the connection to the
/// last of the answer.
///
/// It follows no redirect (credentials must not travel to another host) and never sends a request a second time.
/// It installs ring as the process's TLS provider unless there is one.
///
/// # Errors
/// [`SetupError::Tls`].
pub fn http(request_timeout: Duration) -> Result<reqwest::Client, SetupError> {
    // "Already installed" is the only failure, and means what we want: there is one.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder()
        .user_agent(concat!("recado/", env!("CARGO_PKG_VERSION")))
        .timeout(request_timeout)
        .connect_timeout(CONNECT.min(request_timeout / 2))
        .pool_idle_timeout(IDLE)
        .redirect(redirect::Policy::none())
        .retry(reqwest::retry::never())
        .referer(false)
        .build()
        .map_err(SetupError::Tls)
}

/// Parses the URL under which `whose` API is found; a trailing slash makes no difference.
pub(crate) fn base_url(text: &str, whose: &str) -> Result<Url, SetupError> {
    let refused = || SetupError::BaseUrl {
        whose: whose.to_owned(),
    };
    let url = Url::parse(text.trim_end_matches('/')).map_err(|_| refused())?;
    let usable = matches!(url.scheme(), "http" | "https") && url.has_host();
    if usable && url.query().is_none() && url.fragment().is_none() {
        Ok(url)
    } else {
        Err(refused())
    }
}

/// What went wrong, all the way down, without the URL (which names accounts and telephone numbers).
pub(crate) fn reason(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut text = error.to_string();
    let mut source = std::error::Error::source(&error);
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_url_must_be_absolute_http() {
        for bad in [
            "",
            "api.twilio.com",
            "ftp://api.twilio.com",
            "https://",
            "/path",
            "https://a.b/?q=1",
        ] {
            assert!(base_url(bad, "Twilio").is_err(), "{bad:?} was taken");
        }
        for good in [
            "https://api.twilio.com",
            "http://127.0.0.1:4010/",
            "http://localhost/v1/openai/",
        ] {
            assert!(base_url(good, "Twilio").is_ok(), "{good:?} was refused");
        }
    }

    #[test]
    fn an_error_about_the_base_url_says_whose_it_is() {
        let error = base_url("nonsense", "groq").expect_err("not a URL");
        assert!(error.to_string().contains("groq"));
    }

    #[test]
    fn making_two_clients_is_no_conflict() {
        http(Duration::from_secs(1)).expect("the first");
        http(Duration::from_secs(1)).expect("the second");
    }
}
