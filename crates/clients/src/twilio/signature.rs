//! The signature Twilio puts on its webhooks (`X-Twilio-Signature`).
//!
//! Source: <https://www.twilio.com/docs/usage/security#validating-requests>, and the behaviour of Twilio's own
//! libraries where that page is silent: repeated parameters, ports, the hash of a JSON body.

use base64::{Engine, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use sha1::Sha1;
use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};

/// The signature of a form posted to `url`: base64 of HMAC-SHA1 over the URL without its fragment, then each key
/// followed by its value; keys and the values of one key are sorted and stand once, nothing is trimmed.
pub fn sign(token: &str, url: &str, params: &[(String, String)]) -> String {
    signature(token, without_fragment(url), &canonical(params))
}

/// Whether `signature` was made for this form by the holder of one of `tokens`.
///
/// An account has two tokens while one is being replaced. The URL counts with and without its port, 443 or 80 filled
/// in, because proxies add and drop it. An empty token verifies nothing: anyone could sign with it.
pub fn verify(tokens: &[SecretString], url: &str, params: &[(String, String)], signature: &str) -> bool {
    matches(tokens, url, &canonical(params), signature)
}

/// Whether `signature` was made for this JSON body, which the URL names by `bodySHA256`, by the holder of one of
/// `tokens`. A URL without that parameter proves nothing about the body, and is refused.
pub fn verify_json(tokens: &[SecretString], url: &str, raw_body: &[u8], signature: &str) -> bool {
    let Some(claimed) = body_hash(url) else {
        return false;
    };
    let actual = hex(&Sha256::digest(raw_body));
    let same_body = actual.as_bytes().ct_eq(claimed.to_ascii_lowercase().as_bytes());
    bool::from(same_body) & matches(tokens, url, "", signature)
}

/// Every token and form of the URL is tried, so that the time taken does not tell which one was near.
fn matches(tokens: &[SecretString], url: &str, params: &str, given: &str) -> bool {
    let urls = with_and_without_port(without_fragment(url));
    let mut found = Choice::from(0);
    for token in tokens
        .iter()
        .map(ExposeSecret::expose_secret)
        .filter(|token| !token.is_empty())
    {
        for url in &urls {
            found |= signature(token, url, params).as_bytes().ct_eq(given.as_bytes());
        }
    }
    found.into()
}

fn signature(token: &str, url: &str, params: &str) -> String {
    #[expect(clippy::expect_used, reason = "HMAC takes a key of any length")]
    let mut mac = Hmac::<Sha1>::new_from_slice(token.as_bytes()).expect("a key of any length");
    mac.update(url.as_bytes());
    mac.update(params.as_bytes());
    STANDARD.encode(mac.finalize().into_bytes())
}

fn canonical(params: &[(String, String)]) -> String {
    let mut pairs: Vec<&(String, String)> = params.iter().collect();
    pairs.sort_unstable();
    pairs.dedup();
    pairs
        .into_iter()
        .flat_map(|(key, value)| [key.as_str(), value.as_str()])
        .collect()
}

fn without_fragment(url: &str) -> &str {
    url.split_once('#').map_or(url, |(before, _)| before)
}

/// The URL as it stands, and its twin: without the port if it has one, else with the one its scheme implies.
///
/// By hand, because a URL library would also normalise the rest, and every byte of it is signed.
fn with_and_without_port(url: &str) -> [String; 2] {
    let (authority, rest) = split_authority(url);
    let twin = match explicit_port(authority) {
        Some(port) => format!("{}{rest}", &authority[..authority.len() - port.len() - 1]),
        None if authority.starts_with("https:") => format!("{authority}:443{rest}"),
        None => format!("{authority}:80{rest}"),
    };
    [url.to_owned(), twin]
}

/// `https://user@host:443` and `/path?query`.
fn split_authority(url: &str) -> (&str, &str) {
    let host = url.find("://").map_or(0, |at| at + 3);
    let end = url[host..].find(['/', '?']).map_or(url.len(), |at| host + at);
    url.split_at(end)
}

fn explicit_port(authority: &str) -> Option<&str> {
    let (_, port) = authority.rsplit_once(':')?;
    // Colons within an IPv6 address are followed by its closing bracket, the one of a scheme by slashes.
    port.bytes().all(|byte| byte.is_ascii_digit()).then_some(port)
}

fn body_hash(url: &str) -> Option<&str> {
    let (_, query) = without_fragment(url).split_once('?')?;
    query.split('&').find_map(|pair| pair.strip_prefix("bodySHA256="))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
#[path = "signature_tests.rs"]
mod tests;
