//! The body of a webhook: `application/x-www-form-urlencoded`.

use std::borrow::Cow;

use percent_encoding::percent_decode;

/// What is wrong with a webhook's form. It never quotes a value: values are people's messages and numbers.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FormError {
    /// Some name or value, decoded, is not UTF-8.
    #[error("the form is not UTF-8")]
    NotUtf8,
    /// More fields than we take.
    #[error("the form has more than {max} fields")]
    TooManyFields {
        /// How many we take.
        max: usize,
    },
    /// A field we cannot do without is absent or empty.
    #[error("the field {field} is missing")]
    Missing {
        /// Its name, as Twilio spells it.
        field: &'static str,
    },
    /// A field does not look as Twilio documents it.
    #[error("the field {field} is malformed")]
    Malformed {
        /// Its name, as Twilio spells it.
        field: &'static str,
    },
}

/// The pairs of a form in the order they came, repeated names included.
///
/// A percent sign that begins no escape stands for itself, as the URL standard has it; text that is not UTF-8 is an
/// error rather than replaced, because a replaced byte would no longer match the signature.
///
/// # Errors
/// [`FormError::NotUtf8`], [`FormError::TooManyFields`].
pub fn parse_form(body: &[u8], max_fields: usize) -> Result<Vec<(String, String)>, FormError> {
    let mut fields = Vec::new();
    for pair in body.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty()) {
        if fields.len() == max_fields {
            return Err(FormError::TooManyFields { max: max_fields });
        }
        let equals = pair.iter().position(|byte| *byte == b'=').unwrap_or(pair.len());
        let value = pair.get(equals + 1..).unwrap_or_default();
        fields.push((decoded(&pair[..equals])?, decoded(value)?));
    }
    Ok(fields)
}

fn decoded(text: &[u8]) -> Result<String, FormError> {
    let spaced: Vec<u8> = text
        .iter()
        .map(|byte| if *byte == b'+' { b' ' } else { *byte })
        .collect();
    percent_decode(&spaced)
        .decode_utf8()
        .map(Cow::into_owned)
        .map_err(|_| FormError::NotUtf8)
}

/// The first value of the first of `names` that is present and not empty.
pub(super) fn value<'a>(fields: &'a [(String, String)], names: &[&str]) -> Option<&'a str> {
    names.iter().find_map(|name| {
        let of_name = fields.iter().filter(|(key, _)| key == name);
        of_name
            .map(|(_, value)| value.as_str())
            .find(|value| !value.is_empty())
    })
}

/// Like [`value`], where the form is no use without one; the error names the first, current name.
pub(super) fn required(fields: &[(String, String)], names: &[&'static str]) -> Result<String, FormError> {
    let field = names.first().copied().unwrap_or_default();
    value(fields, names)
        .map(str::to_owned)
        .ok_or(FormError::Missing { field })
}

/// A count or code; absent or empty is `None`.
pub(super) fn number(fields: &[(String, String)], field: &'static str) -> Result<Option<u32>, FormError> {
    value(fields, &[field])
        .map(|text| text.parse().map_err(|_| FormError::Malformed { field }))
        .transpose()
}

/// The form without U+0000, which no Postgres text can hold: a message must not be lost for one.
pub(super) fn storable(fields: &[(String, String)]) -> Vec<(String, String)> {
    let clean = |text: &String| text.replace('\0', "\u{FFFD}");
    fields
        .iter()
        .map(|(key, value)| (clean(key), clean(value)))
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(body: &str) -> Vec<(String, String)> {
        parse_form(body.as_bytes(), 100).expect("a form")
    }

    fn pair(key: &str, value: &str) -> (String, String) {
        (key.to_owned(), value.to_owned())
    }

    #[test]
    fn plus_and_percent_are_decoded() {
        let form = parse("From=whatsapp%3A%2B5511987654321&Body=ol%C3%A1+mundo%21");
        assert_eq!(
            form,
            [
                pair("From", "whatsapp:+5511987654321"),
                pair("Body", "olá mundo!")
            ]
        );
    }

    #[test]
    fn odd_pairs_are_kept_as_they_are() {
        let form = parse("&a&b=&=c&d=1=2&e=%zz&e=100%&");
        let expected = [
            pair("a", ""),
            pair("b", ""),
            pair("", "c"),
            pair("d", "1=2"),
            pair("e", "%zz"),
            pair("e", "100%"),
        ];
        assert_eq!(form, expected);
    }

    #[test]
    fn text_that_is_not_utf8_is_refused_escaped_or_not() {
        assert_eq!(parse_form(b"Body=%FF", 10), Err(FormError::NotUtf8));
        assert_eq!(parse_form(b"Body=\xff", 10), Err(FormError::NotUtf8));
        assert_eq!(parse_form(b"%C3=1", 10), Err(FormError::NotUtf8));
    }

    #[test]
    fn the_limit_of_fields_is_met_exactly() {
        assert!(parse_form(b"a=1&b=2", 2).is_ok());
        assert_eq!(
            parse_form(b"a=1&b=2&c=3", 2),
            Err(FormError::TooManyFields { max: 2 })
        );
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(body in prop::collection::vec(any::<u8>(), 0..300), max in 0usize..20) {
            if let Ok(fields) = parse_form(&body, max) {
                prop_assert!(fields.len() <= max);
            }
        }

        #[test]
        fn what_was_encoded_comes_back(form in prop::collection::vec((".{1,8}", ".{0,30}"), 0..20)) {
            let body = serde_urlencoded::to_string(&form).expect("encodes");
            prop_assert_eq!(parse_form(body.as_bytes(), 20), Ok(form));
        }
    }
}
