//! Downloads what is attached to a message.
//!
//! Source: <https://www.twilio.com/docs/messaging/api/media-resource>: the URL needs the account's own credentials and
//! answers with a redirect to a signed URL elsewhere, which must not be given any.

use std::fmt;
use std::time::{Duration, Instant};

use reqwest::StatusCode;
use reqwest::header::{CONTENT_DISPOSITION, HeaderMap, LOCATION};
use secrecy::ExposeSecret;
use url::{Host, Url};

use super::{Client, Credentials, MediaStream};
use crate::http::reason;
use crate::retry_after::retry_after;

/// A redirect leads to the storage; one more may lead from region to region.
const REDIRECTS: usize = 5;
/// Where Twilio keeps what is attached, beside its own hosts.
const ELSEWHERE: [&str; 3] = ["twiliocdn.com", "s3.amazonaws.com", "s3-external-1.amazonaws.com"];
const TWILIO: &str = "twilio.com";
/// A name is shown to people, and ends up as the name of a file.
const LONGEST_NAME: usize = 100;

/// Where an attachment is, and how much of it is taken.
#[derive(Clone, Copy)]
pub struct FetchMedia<'a> {
    /// As the webhook said it.
    pub url: &'a str,
    /// The most that is read, in bytes; more is an error.
    pub limit: u64,
    /// The longest that it may take, redirects included.
    pub timeout: Duration,
}

/// What was attached.
#[derive(Clone, PartialEq, Eq)]
pub struct Downloaded {
    /// The content.
    pub bytes: Vec<u8>,
    /// The name that the sender's file had.
    pub name: Option<String>,
}

/// Why there is no attachment. No text of it holds the URL, which names account and message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MediaError {
    /// The URL, or a redirect, leads to a host that is not Twilio's.
    #[error("it is not at one of Twilio's hosts")]
    Elsewhere,
    /// Not there, which right after the message means not yet.
    #[error("it is not there (404)")]
    NotThere,
    /// Longer than the limit.
    #[error("it is larger than {} MB", limit / 1_000_000)]
    TooLarge {
        /// The limit, in bytes.
        limit: u64,
    },
    /// Refused for good.
    #[error("the server answered {status}")]
    Refused {
        /// The HTTP status.
        status: u16,
    },
    /// Something that may be better the next time.
    #[error("{reason}")]
    Away {
        /// What went wrong.
        reason: String,
        /// How long we are asked to wait.
        retry_after: Option<Duration>,
    },
}

impl Client {
    /// Downloads an attachment, once, into memory; as of [`Client::open_media`].
    ///
    /// # Errors
    /// [`MediaError`].
    pub async fn fetch_media(
        &self,
        credentials: &Credentials,
        media: FetchMedia<'_>,
    ) -> Result<Downloaded, MediaError> {
        let mut stream = self.open_media(credentials, media).await?;
        let mut bytes = Vec::new();
        while let Some(part) = stream.next().await? {
            bytes.extend(part);
        }
        Ok(Downloaded {
            bytes,
            name: stream.name,
        })
    }

    /// Begins to download an attachment. The account's credentials go to the API's own hosts, to paths of that account and
    /// nowhere else; redirects are followed to Twilio's hosts only, and never from https to http.
    ///
    /// # Errors
    /// [`MediaError`].
    pub async fn open_media(
        &self,
        credentials: &Credentials,
        media: FetchMedia<'_>,
    ) -> Result<MediaStream, MediaError> {
        let mut url = Url::parse(media.url).map_err(|_| MediaError::Elsewhere)?;
        let ends = Instant::now() + media.timeout;
        for _ in 0..=REDIRECTS {
            let left = ends.saturating_duration_since(Instant::now());
            let response = self.ask_for_media(credentials, &url, left).await?;
            let status = response.status();
            if status.is_success() {
                let name = name_in(response.headers());
                return Ok(MediaStream::new(response, media.limit, name));
            }
            if !status.is_redirection() {
                return Err(refused(status, response.headers()));
            }
            url = next(&url, response.headers()).ok_or(MediaError::Elsewhere)?;
        }
        Err(away("it leads from one place to the next without end"))
    }

    /// `timeout` is for the body, too.
    async fn ask_for_media(
        &self,
        credentials: &Credentials,
        url: &Url,
        timeout: Duration,
    ) -> Result<reqwest::Response, MediaError> {
        if !self.is_twilios(url) {
            return Err(MediaError::Elsewhere);
        }
        let request = self.http.get(url.clone()).timeout(timeout);
        let request = if self.takes_credentials(url, &credentials.account_sid) {
            let token = credentials.auth_token.expose_secret();
            request.basic_auth(&credentials.account_sid, Some(token))
        } else {
            request
        };
        request.send().await.map_err(|error| away(&reason(error)))
    }

    /// Whether something may be fetched from there: Twilio's hosts by https, and the host of the configured API.
    fn is_twilios(&self, url: &Url) -> bool {
        let base = self.base();
        let same_host = match (url.host(), base.host()) {
            (Some(one), Some(other)) if one == other => {
                is_loopback(&one) || url.port_or_known_default() == base.port_or_known_default()
            }
            (Some(one), Some(other)) => is_loopback(&one) && is_loopback(&other),
            _ => false,
        };
        if same_host && url.scheme() == base.scheme() {
            return true;
        }
        let Some(Host::Domain(host)) = url.host() else {
            return false;
        };
        let below = |domain: &str| {
            host == domain || host.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.'))
        };
        url.scheme() == "https"
            && url.port().is_none()
            && (below(TWILIO) || ELSEWHERE.iter().any(|domain| below(domain)))
    }

    /// Whether it is the API, and there a path of this account.
    fn takes_credentials(&self, url: &Url, account: &str) -> bool {
        let base = self.base();
        let is_configured = url.origin() == base.origin();
        let is_api = url.scheme() == "https"
            && url.port().is_none()
            && url
                .host_str()
                .is_some_and(|host| host.starts_with("api.") && host.ends_with(".twilio.com"));
        let ours = self.url(account, &["x"]);
        let mut folder = ours.path().trim_end_matches("x.json");
        if !is_configured {
            folder = folder
                .strip_prefix(base.path().trim_end_matches('/'))
                .unwrap_or(folder);
        }
        (is_configured || is_api) && url.path().starts_with(folder)
    }
}

fn is_loopback(host: &Host<&str>) -> bool {
    match host {
        Host::Domain(name) => *name == "localhost",
        Host::Ipv4(address) => address.is_loopback(),
        Host::Ipv6(address) => address.is_loopback(),
    }
}

/// Where a redirect leads; `None` if nowhere, or out of https.
fn next(from: &Url, headers: &HeaderMap) -> Option<Url> {
    let location = headers.get(LOCATION)?.to_str().ok()?;
    let next = from.join(location).ok()?;
    (next.scheme() == "https" || from.scheme() != "https").then_some(next)
}

fn refused(status: StatusCode, headers: &HeaderMap) -> MediaError {
    match status {
        StatusCode::NOT_FOUND => MediaError::NotThere,
        StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT => MediaError::Away {
            reason: format!("the server answered {}", status.as_u16()),
            retry_after: retry_after(headers, chrono::Utc::now()),
        },
        status if status.is_server_error() => MediaError::Away {
            reason: format!("the server answered {}", status.as_u16()),
            retry_after: retry_after(headers, chrono::Utc::now()),
        },
        status => MediaError::Refused {
            status: status.as_u16(),
        },
    }
}

pub(super) fn away(reason: &str) -> MediaError {
    MediaError::Away {
        reason: reason.to_owned(),
        retry_after: None,
    }
}

/// The file name of `Content-Disposition` (RFC 6266), without its folders.
fn name_in(headers: &HeaderMap) -> Option<String> {
    let text = headers.get(CONTENT_DISPOSITION)?.to_str().ok()?;
    let parameter = |wanted: &str| {
        text.split(';').find_map(|part| {
            let (name, value) = part.split_once('=')?;
            name.trim()
                .eq_ignore_ascii_case(wanted)
                .then(|| value.trim().trim_matches('"'))
        })
    };
    let extended = parameter("filename*").and_then(|value| {
        let (_, encoded) = value.rsplit_once('\'')?;
        percent_encoding::percent_decode_str(encoded)
            .decode_utf8()
            .ok()
            .map(String::from)
    });
    let name = extended.or_else(|| parameter("filename").map(str::to_owned))?;
    let name = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let name: String = name
        .chars()
        .filter(|char| !char.is_control())
        .take(LONGEST_NAME)
        .collect();
    (!name.trim_matches(['.', ' ']).is_empty()).then_some(name)
}

impl fmt::Debug for Downloaded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Downloaded")
            .field("bytes", &self.bytes.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(base: &str) -> Client {
        Client::new(base, Duration::from_secs(1)).expect("a client")
    }

    fn judged(base: &str, url: &str) -> (bool, bool) {
        let (client, url) = (client(base), Url::parse(url).expect("a URL"));
        (client.is_twilios(&url), client.takes_credentials(&url, "AC1"))
    }

    #[test]
    fn only_twilios_hosts_are_asked_and_only_the_api_for_this_account_is_given_credentials() {
        let twilio = "https://api.twilio.com";
        for (url, expected) in [
            (
                "https://api.twilio.com/2010-04-01/Accounts/AC1/Messages/MM1/Media/ME1",
                (true, true),
            ),
            (
                "https://api.dublin.ie1.twilio.com/2010-04-01/Accounts/AC1/Messages/MM1/Media/ME1",
                (true, true),
            ),
            (
                "https://api.twilio.com/2010-04-01/Accounts/AC2/Messages/MM1/Media/ME1",
                (true, false),
            ),
            (
                "https://api.twilio.com/2010-04-01/Accounts/AC1/../AC2/Messages",
                (true, false),
            ),
            (
                "https://api.twilio.com/2010-04-01/Accounts/AC12/Messages",
                (true, false),
            ),
            ("https://mms.twiliocdn.com/AC1/x?sig=1", (true, false)),
            (
                "https://s3-external-1.amazonaws.com/media.twiliocdn.com/AC1/x",
                (true, false),
            ),
            (
                "http://api.twilio.com/2010-04-01/Accounts/AC1/Messages",
                (false, false),
            ),
            (
                "https://api.twilio.com:444/2010-04-01/Accounts/AC1/Messages",
                (false, false),
            ),
            (
                "https://api.twilio.com.evil.example/2010-04-01/Accounts/AC1/x",
                (false, false),
            ),
            ("https://eviltwilio.com/2010-04-01/Accounts/AC1/x", (false, false)),
            (
                "https://user@evil.example/2010-04-01/Accounts/AC1/x",
                (false, false),
            ),
            ("http://169.254.169.254/latest/meta-data", (false, false)),
            ("http://127.0.0.1:8000/", (false, false)),
            ("file:///etc/passwd", (false, false)),
        ] {
            assert_eq!(judged(twilio, url), expected, "{url}");
        }
        let simulator = "http://127.0.0.1:4010";
        for (url, expected) in [
            (
                "http://127.0.0.1:4010/2010-04-01/Accounts/AC1/Messages/MM1/Media/ME1",
                (true, true),
            ),
            ("http://localhost:4010/cdn/ME1?sig=1", (true, false)),
            (
                "http://127.0.0.1:4011/2010-04-01/Accounts/AC1/Messages",
                (true, false),
            ),
            (
                "http://10.0.0.1:4010/2010-04-01/Accounts/AC1/Messages",
                (false, false),
            ),
        ] {
            assert_eq!(judged(simulator, url), expected, "{url}");
        }
    }

    #[test]
    fn a_name_is_what_is_left_of_its_folders() {
        let name = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_DISPOSITION, text.parse().expect("a header"));
            name_in(&headers)
        };
        assert_eq!(name("inline; filename=\"nota.pdf\"").as_deref(), Some("nota.pdf"));
        assert_eq!(
            name("attachment; filename=x; filename*=UTF-8''or%C3%A7amento.pdf").as_deref(),
            Some("orçamento.pdf")
        );
        assert_eq!(
            name("attachment; filename=\"../../etc/passwd\"").as_deref(),
            Some("passwd")
        );
        assert_eq!(name("attachment; filename=\"..\""), None);
        assert_eq!(name("inline"), None);
    }
}
