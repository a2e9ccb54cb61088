//! Texts that are shortened or masked before they are shown.
use recado_domain::PhoneNumber;
use serde_json::Value;

/// The most that a page shows of one document, in bytes.
const SHOWN: usize = 32 * 1024;

/// A document with line breaks; a very long one is cut, and says so.
pub(crate) fn pretty(value: &Value) -> String {
    let text = serde_json::to_string_pretty(value).unwrap_or_default();
    if text.len() <= SHOWN {
        return text;
    }
    let end = text.floor_char_boundary(SHOWN);
    format!("{}\n… cut here; {} bytes in all", &text[..end], text.len())
}

/// `text` with every telephone number in it masked: `+55 •••• 1234`.
pub(crate) fn masked(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(plus) = rest.find('+') {
        let (before, number) = rest.split_at(plus);
        let digits = number[1..].bytes().take_while(u8::is_ascii_digit).count();
        let (number, after) = number.split_at(1 + digits);
        shown.push_str(before);
        match PhoneNumber::parse(number) {
            Ok(phone) => shown.push_str(&phone.masked()),
            // Too short for anybody's number.
            Err(_) if digits < 6 => shown.push_str(number),
            Err(_) => shown.push_str("+••••"),
        }
        rest = after;
    }
    shown.push_str(rest);
    shown
}

/// The end of an id, by which a person tells it from its neighbours.
pub(crate) fn short(id: &str) -> &str {
    let cut = id.len().saturating_sub(6);
    id.get(cut..).unwrap_or(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_number_is_left_whole() {
        let lane = "AC1|whatsapp:+14155238886|whatsapp:+5511987654321";
        assert_eq!(masked(lane), "AC1|whatsapp:+1 •••• 8886|whatsapp:+55 •••• 4321");
        assert_eq!(masked("+9999999999999999999 and 1+1"), "+•••• and 1+1");
        assert_eq!(masked("à+"), "à+");
    }

    #[test]
    fn a_long_document_is_cut_between_two_characters() {
        let long = pretty(&Value::from("é".repeat(SHOWN)));
        assert!(long.len() < SHOWN + 100, "{}", long.len());
        assert!(long.contains("cut here"));
    }
}
