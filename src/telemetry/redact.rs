//! What no line of the log may hold: addresses and numbers of people, whatever text brought them.
//!
//! Our own lines name runs and steps; the texts of other programs' errors may quote anything.
use std::{borrow::Cow, sync::LazyLock};

use regex::{Captures, Regex};

/// An e-mail address.
static EMAIL: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+").ok());

/// CNPJ with letters, as Brazil gives them since 2026; with or without its signs.
static CNPJ: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"\b[0-9A-Z]{2}\.[0-9A-Z]{3}\.[0-9A-Z]{3}/[0-9A-Z]{4}-[0-9]{2}\b").ok());

/// Digits as people group them: telephone, CPF, CNPJ, card. A plus may be escaped as in a URL.
static NUMBER: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"(?:\+|%2[Bb])?\(?[0-9](?:[ ().\-]{0,2}[0-9]){6,24}").ok());

/// The fewest digits of a number with a plus, and of one without; and the most of any.
const WITH_PLUS: usize = 7;
const WITHOUT: usize = 10;
const MOST: usize = 19;

/// `text` with words in the place of e-mail addresses and of the numbers of telephones, people, companies and cards.
/// Ids stay: their digits stand among letters.
pub(crate) fn redact(text: &str) -> Cow<'_, str> {
    let mut text = Cow::Borrowed(text);
    for (pattern, word) in [(&EMAIL, "[email]"), (&CNPJ, "[cnpj]")] {
        if let Some(pattern) = pattern.as_ref()
            && let Cow::Owned(replaced) = pattern.replace_all(&text, word)
        {
            text = Cow::Owned(replaced);
        }
    }
    let Some(pattern) = NUMBER.as_ref() else {
        return text;
    };
    let replaced = pattern.replace_all(&text, |found: &Captures<'_>| number(&text, found));
    match replaced {
        Cow::Owned(replaced) => Cow::Owned(replaced),
        Cow::Borrowed(_) => text,
    }
}

/// The word for a number, or what was found where it is none.
fn number(text: &str, found: &Captures<'_>) -> String {
    let Some(at) = found.get(0) else {
        return String::new();
    };
    let told = at.as_str();
    let plus = told.starts_with(['+', '%']);
    let digits = told.trim_start_matches("%2B").trim_start_matches("%2b");
    let digits = digits.bytes().filter(u8::is_ascii_digit).count();
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let before = at.start().checked_sub(1).map(|at| text.as_bytes()[at]);
    let after = text.as_bytes().get(at.end()).copied();
    let alone = !before.is_some_and(is_word) && !after.is_some_and(is_word);
    let is_number = match plus {
        true => digits >= WITH_PLUS,
        false => alone && (WITHOUT..=MOST).contains(&digits),
    };
    if is_number {
        "[number]".to_owned()
    } else {
        told.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_numbers_of_people_become_words() {
        for (told, shown) in [
            ("to +5511987654321 now", "to [number] now"),
            ("\"whatsapp:+5511987654321\"", "\"whatsapp:[number]\""),
            ("To=whatsapp%3A%2B5511987654321&x", "To=whatsapp%3A[number]&x"),
            ("(11) 98765-4321", "[number]"),
            ("5511987654321abc +14155550100abc", "5511987654321abc [number]abc"),
            ("CPF 123.456.789-09, 12345678909", "CPF [number], [number]"),
            (
                "CNPJ 12.345.678/0001-95 or 12.ABC.345/01DE-35",
                "CNPJ [cnpj] or [cnpj]",
            ),
            ("card 4111 1111 1111 1111.", "card [number]."),
            ("ana.silva+x@exemplo.com.br: no", "[email]: no"),
        ] {
            assert_eq!(redact(told), shown);
        }
    }

    #[test]
    fn times_ids_and_small_numbers_stay() {
        for told in [
            r#"{"timestamp":"2026-11-21T17:53:22.123456Z","level":"INFO","attempt":12}"#,
            "run.id=01KAH2T7ZC8M5T9G4W6J3Y1Q0R trace_id=019aa22d1fec4505d82092e1a7e0dd18",
            "SM00000000000000000000000000000042 answered 503 after 10.250s",
            "127.0.0.1:54321: connection refused (os error 111)",
            "worker-01KAH2T7ZC8M5T9G4W6J3Y1Q0R",
        ] {
            assert_eq!(redact(told), told);
        }
    }
}
