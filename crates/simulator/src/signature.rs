//! Twilio's request signature, the sending side.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use sha1::Sha1;

/// The value of `X-Twilio-Signature`: base64(HMAC-SHA1(auth token, URL + each key followed by its
/// value)), sorted by key, then by value; of a key that stands more than once each different value
/// counts once, with the key before it. A fragment of the URL is not signed. Source: Twilio,
/// "Validating requests", and `RequestValidator` of Twilio's own libraries.
pub fn sign(auth_token: &SecretString, url: &str, params: &[(String, String)]) -> String {
    let mut sorted: Vec<_> = params.iter().collect();
    sorted.sort();
    sorted.dedup();

    let mut mac = Hmac::<Sha1>::new_from_slice(auth_token.expose_secret().as_bytes())
        .unwrap_or_else(|_| unreachable!("HMAC takes a key of any length"));
    mac.update(url.split('#').next().unwrap_or_default().as_bytes());
    for (key, value) in sorted {
        mac.update(key.as_bytes());
        mac.update(value.as_bytes());
    }
    STANDARD.encode(mac.finalize().into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect()
    }

    const URL: &str = "https://mycompany.com/myapp.php?foo=1&bar=2";

    #[test]
    fn twilios_own_vector_is_reproduced() {
        let params = pairs(&[
            ("To", "+18005551212"),
            ("Digits", "1234"),
            ("CallSid", "CA1234567890ABCDE"),
            ("From", "+14158675309"),
            ("Caller", "+14158675309"),
        ]);
        let token = SecretString::from("12345");
        assert_eq!(sign(&token, URL, &params), "RSOYDt4T1cUTdK1PDd93/VVr8B8=");
        assert_eq!(
            sign(&token, &format!("{URL}#rc=5&rp=all"), &params),
            sign(&token, URL, &params)
        );
    }

    #[test]
    fn repeated_keys_are_signed_with_each_of_their_values_once_and_sorted() {
        let token = SecretString::from("12345");
        let repeated = pairs(&[("K", "b"), ("K", "a"), ("K", "b")]);
        assert_eq!(
            sign(&token, URL, &repeated),
            sign(&token, URL, &pairs(&[("K", "aKb")]))
        );
        assert_ne!(
            sign(&token, URL, &repeated),
            sign(&token, URL, &pairs(&[("K", "bKa")]))
        );
    }
}
