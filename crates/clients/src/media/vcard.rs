//! What a contact card says, in a line. Source: RFC 6350.

/// The most that is told of one card, in characters.
const LONGEST: usize = 300;
const NUMBERS: usize = 5;

/// `👤 Name: +55…, +55…`; `None` if it names nobody.
pub(super) fn words(bytes: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(bytes);
    // A line that begins with a space goes on where the last one ended.
    let text = text.replace("\r\n", "\n").replace("\n ", "").replace("\n\t", "");
    let of = |wanted: &str| {
        let lines = text.lines().filter_map(|line| line.split_once(':'));
        let wanted = wanted.to_owned();
        lines
            .filter(move |(name, _)| {
                let name = name.split(';').next().unwrap_or_default();
                // `item1.TEL` belongs to a group.
                let name = name.rsplit('.').next().unwrap_or_default();
                name.eq_ignore_ascii_case(&wanted)
            })
            .map(|(_, value)| value.trim().trim_start_matches("tel:").replace('\\', ""))
            .filter(|value| !value.is_empty())
            .collect::<Vec<_>>()
    };
    let mut numbers = of("TEL");
    numbers.truncate(NUMBERS);
    let name = of("FN").into_iter().next();
    let told = match (name, numbers.is_empty()) {
        (Some(name), true) => format!("👤 {name}"),
        (Some(name), false) => format!("👤 {name}: {}", numbers.join(", ")),
        (None, false) => format!("👤 {}", numbers.join(", ")),
        (None, true) => return None,
    };
    Some(
        told.chars()
            .filter(|char| !char.is_control())
            .take(LONGEST)
            .collect(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_folded_lines_and_escapes_are_read() {
        let card = "BEGIN:VCARD\nFN:Padaria\\, Cent\n ral\nitem1.TEL;waid=551133330000:+55 11 3333-0000\nTEL:\nEND:VCARD";
        assert_eq!(
            words(card.as_bytes()).as_deref(),
            Some("👤 Padaria, Central: +55 11 3333-0000")
        );
        assert_eq!(words(b"BEGIN:VCARD\nEND:VCARD"), None);
    }
}
