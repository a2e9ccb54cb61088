use proptest::prelude::*;

use super::*;

const URL: &str = "https://mycompany.com/myapp.php?foo=1&bar=2";
const SIGNATURE: &str = "RSOYDt4T1cUTdK1PDd93/VVr8B8=";

fn tokens(token: &str) -> Vec<SecretString> {
    vec![SecretString::from(token)]
}

fn params(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect()
}

fn call() -> Vec<(String, String)> {
    params(&[
        ("CallSid", "CA1234567890ABCDE"),
        ("Digits", "1234"),
        ("From", "+14158675309"),
        ("To", "+18005551212"),
        ("Caller", "+14158675309"),
    ])
}

#[test]
fn the_published_vector_is_met() {
    assert_eq!(sign("12345", URL, &call()), SIGNATURE);
    assert!(verify(&tokens("12345"), URL, &call(), SIGNATURE));
}

#[test]
fn another_token_does_not_verify() {
    assert!(!verify(&tokens("12346"), URL, &call(), SIGNATURE));
}

#[test]
fn any_of_several_tokens_verifies() {
    let both = vec![SecretString::from("old"), SecretString::from("12345")];
    assert!(verify(&both, URL, &call(), SIGNATURE));
}

#[test]
fn without_a_token_nothing_verifies() {
    assert!(!verify(&[], URL, &call(), SIGNATURE));
    let forged = sign("", URL, &call());
    assert!(!verify(&tokens(""), URL, &call(), &forged));
}

#[test]
fn a_port_may_be_added_or_dropped_on_the_way() {
    for (signed, seen) in [
        ("https://a.example/x?y=1", "https://a.example:443/x?y=1"),
        ("https://a.example:443/x?y=1", "https://a.example/x?y=1"),
        ("http://a.example/x", "http://a.example:80/x"),
        ("http://a.example:80/x", "http://a.example/x"),
        ("http://a.example", "http://a.example:8000"),
        ("https://[::1]/x", "https://[::1]:443/x"),
        ("https://[::1]:443/x", "https://[::1]/x"),
        ("https://u:p@a.example/x", "https://u:p@a.example:443/x"),
        ("https://a.example?a=b:1", "https://a.example:443?a=b:1"),
    ] {
        let signature = sign("t", signed, &call());
        assert!(
            verify(&tokens("t"), seen, &call(), &signature),
            "signed {signed}, seen {seen}"
        );
    }
}

#[test]
fn another_port_is_another_url() {
    let signature = sign("t", "https://a.example:444/x", &call());
    assert!(!verify(
        &tokens("t"),
        "https://a.example:443/x",
        &call(),
        &signature
    ));
    assert!(!verify(&tokens("t"), "https://a.example/x", &call(), &signature));
}

#[test]
fn a_fragment_is_not_signed() {
    assert_eq!(
        sign("t", "https://a.example/x#rc=5&rp=all", &[]),
        sign("t", "https://a.example/x", &[])
    );
    let signature = sign("t", "https://a.example/x", &call());
    assert!(verify(
        &tokens("t"),
        "https://a.example:443/x#rc=5&rp=all",
        &call(),
        &signature
    ));
}

#[test]
fn values_of_one_key_are_sorted_and_stand_once() {
    let twice = params(&[("MediaUrl", "b"), ("MediaUrl", "a"), ("MediaUrl", "b")]);
    let once = params(&[("MediaUrl", "a"), ("MediaUrl", "b")]);
    assert_eq!(sign("t", URL, &twice), sign("t", URL, &once));
    assert_eq!(
        sign("t", URL, &once),
        sign("t", &format!("{URL}MediaUrlaMediaUrlb"), &[])
    );
}

#[test]
fn nothing_is_trimmed() {
    let with = params(&[("Body", " hi ")]);
    let without = params(&[("Body", "hi")]);
    assert_ne!(sign("t", URL, &with), sign("t", URL, &without));
}

#[test]
fn a_json_body_is_proved_by_its_hash_in_the_url() {
    let body = br#"{"a":1}"#;
    let hash = hex(&Sha256::digest(body));
    let url = format!("https://a.example/x?bodySHA256={hash}&z=1");
    let signature = sign("t", &url, &[]);
    assert!(verify_json(&tokens("t"), &url, body, &signature));
    assert!(!verify_json(&tokens("t"), &url, br#"{"a":2}"#, &signature));
    assert!(!verify_json(&tokens("u"), &url, body, &signature));
}

#[test]
fn a_json_body_without_a_hash_in_the_url_is_refused() {
    let signature = sign("t", "https://a.example/x", &[]);
    assert!(!verify_json(
        &tokens("t"),
        "https://a.example/x",
        b"{}",
        &signature
    ));
}

fn form() -> impl Strategy<Value = Vec<(String, String)>> {
    prop::collection::vec(("[A-Za-z0-9]{1,8}", ".{0,12}"), 0..8)
}

proptest! {
    #[test]
    fn the_order_of_parameters_does_not_matter(form in form(), turn in 0usize..8) {
        let mut turned = form.clone();
        if !turned.is_empty() {
            let turn = turn % turned.len();
            turned.rotate_left(turn);
            turned.reverse();
        }
        prop_assert_eq!(sign("t", URL, &form), sign("t", URL, &turned));
    }

    #[test]
    fn what_was_signed_verifies_and_a_changed_byte_does_not(form in form(), at in any::<prop::sample::Index>(), to in "[a-zA-Z0-9+/=]") {
        let signature = sign("t", URL, &form);
        prop_assert!(verify(&tokens("t"), URL, &form, &signature));
        let at = at.index(signature.len());
        let mut changed = signature.clone();
        changed.replace_range(at..=at, &to);
        prop_assert_eq!(verify(&tokens("t"), URL, &form, &changed), changed == signature);
    }

    #[test]
    fn a_changed_value_fails(form in form(), key in "[a-z]{1,5}", value in ".{0,9}", other in ".{0,9}") {
        prop_assume!(value != other);
        let mut signed = form.clone();
        signed.push((key.clone(), value));
        let mut changed = form;
        changed.push((key.clone(), other));
        // The two differ only if the added value was not there already under that key.
        prop_assume!(canonical(&signed) != canonical(&changed));
        prop_assert!(!verify(&tokens("t"), URL, &changed, &sign("t", URL, &signed)));
    }

    #[test]
    fn no_url_and_no_signature_makes_it_panic(url in ".{0,60}", signature in ".{0,40}", body in prop::collection::vec(any::<u8>(), 0..40)) {
        verify(&tokens("t"), &url, &[], &signature);
        verify_json(&tokens("t"), &url, &body, &signature);
    }
}
