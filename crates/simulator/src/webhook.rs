//! Posting a signed webhook the way Twilio does, with the overrides of its URL's fragment.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::Utc;
use reqwest::StatusCode;
use secrecy::SecretString;

use crate::entry::{Delivery, Entry};
use crate::signature::sign;
use crate::state::State;

/// A webhook that is to be posted.
pub(crate) struct Hook<'a> {
    pub(crate) url: &'a str,
    pub(crate) auth_token: &'a SecretString,
    pub(crate) params: Vec<(String, String)>,
    pub(crate) sid: &'a str,
    pub(crate) status: &'a str,
}

/// Posts it, again if the fragment asks for it; every attempt is in the book.
///
/// # Errors
/// If the book cannot be written.
pub(crate) async fn post(state: &Arc<State>, hook: &Hook<'_>) -> io::Result<Vec<Arc<Delivery>>> {
    Ok(ask(state, hook).await?.0)
}

/// [`post`], and what the last attempt was answered, if that was a 2xx.
///
/// # Errors
/// If the book cannot be written.
pub(crate) async fn ask(
    state: &Arc<State>,
    hook: &Hook<'_>,
) -> io::Result<(Vec<Arc<Delivery>>, Option<String>)> {
    let (url, fragment) = hook.url.split_once('#').unwrap_or((hook.url, ""));
    let overrides = Overrides::parse(fragment);
    let signature = sign(hook.auth_token, url, &hook.params);
    let token = new_token();
    let (mut attempts, mut told) = (Vec::new(), None);
    for attempt in 1..=overrides.retries + 1 {
        let at = Utc::now();
        let begun = Instant::now();
        let request = state
            .http
            .post(url)
            .timeout(overrides.read_timeout)
            .header("X-Twilio-Signature", &signature)
            .header("I-Twilio-Idempotency-Token", &token)
            .header("User-Agent", "TwilioProxy/1.1")
            .form(&hook.params);
        let answer = exchange(request).await.map(|(status, body)| {
            told = status.is_success().then_some(body);
            status
        });
        let delivery = Arc::new(Delivery {
            at,
            sid: hook.sid.to_owned(),
            status: hook.status.to_owned(),
            url: url.to_owned(),
            attempt,
            token: token.clone(),
            answer: answer.as_ref().ok().map(StatusCode::as_u16),
            error: answer.as_ref().err().map(describe),
            millis: u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX),
        });
        state.book.append(vec![Entry::Delivery(Arc::clone(&delivery))])?;
        attempts.push(delivery);
        if attempt > overrides.retries || !overrides.want_retry(&answer) {
            break;
        }
        tokio::time::sleep(pause_after(attempt)).await;
    }
    Ok((attempts, told))
}

/// The answer, read to its end: only then is the connection used again.
async fn exchange(request: reqwest::RequestBuilder) -> reqwest::Result<(StatusCode, String)> {
    let answer = request.send().await?;
    let status = answer.status();
    Ok((status, answer.text().await?))
}

/// Twilio's connection overrides (`#rc=5&rp=all&rt=5000`); its defaults are one retry of a failed
/// connection, and 15 seconds to answer. Source: Twilio, "Webhooks (HTTP callbacks): connection
/// overrides".
#[derive(Debug, PartialEq)]
struct Overrides {
    retries: u32,
    policies: Vec<String>,
    read_timeout: Duration,
}

impl Overrides {
    /// Values that are not understood keep their default, as a vendor would have it.
    fn parse(fragment: &str) -> Self {
        let mut this = Self {
            retries: 1,
            policies: vec!["ct".to_owned()],
            read_timeout: Duration::from_secs(15),
        };
        for (key, value) in fragment.split('&').filter_map(|pair| pair.split_once('=')) {
            match (key, value.parse::<u32>()) {
                ("rc", Ok(count @ 0..=5)) => this.retries = count,
                ("rt", Ok(millis @ 100..=15_000)) => {
                    this.read_timeout = Duration::from_millis(millis.into());
                }
                ("rp", _) => this.policies = value.split(',').map(str::to_owned).collect(),
                _ => {}
            }
        }
        this
    }

    fn want_retry(&self, answer: &reqwest::Result<StatusCode>) -> bool {
        let policy = match answer {
            Err(error) if error.is_connect() => "ct",
            Err(_) => "rt",
            Ok(status) if status.is_client_error() => "4xx",
            Ok(status) if status.is_server_error() => "5xx",
            Ok(_) => return false,
        };
        self.policies
            .iter()
            .any(|wanted| wanted == policy || wanted == "all")
    }
}

/// 0.1 s, doubled with every attempt.
fn pause_after(attempt: u32) -> Duration {
    Duration::from_millis(100) * 2_u32.saturating_pow(attempt - 1)
}

/// The kind of an error; its own text holds the URL, and that may hold secrets.
fn describe(error: &reqwest::Error) -> String {
    let kind = if error.is_timeout() {
        "timed out"
    } else if error.is_connect() {
        "cannot connect"
    } else if error.is_builder() {
        "not a URL"
    } else {
        "connection lost"
    };
    kind.to_owned()
}

fn new_token() -> String {
    let hex = format!("{:032x}", rand::random::<u128>());
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fragment_says_how_often_and_why_to_retry() {
        let asked = Overrides::parse("rc=5&rp=4xx,rt&rt=500");
        assert_eq!(
            (asked.retries, asked.read_timeout),
            (5, Duration::from_millis(500))
        );
        assert_eq!(asked.policies, ["4xx", "rt"]);
        assert_eq!(Overrides::parse("rc=9&nonsense"), Overrides::parse(""));
        assert_eq!(Overrides::parse("").policies, ["ct"]);
    }
}
