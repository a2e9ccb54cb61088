//! Long texts become several messages.

/// At most this many characters go into one message; Twilio refuses more than 1600 (error 21617).
pub const MAX_CHARS: usize = 1500;

/// Cuts a text into parts of at most `max_chars` characters: after a paragraph, else a sentence, else a word,
/// else anywhere. No part is empty, and only white space at the cuts is lost; white space alone has no part.
///
/// A paragraph or a sentence that would fill less than a quarter of a part is not worth a message of its own.
pub fn split(text: &str, max_chars: usize) -> Vec<String> {
    let max_chars = max_chars.max(1);
    let mut parts = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        let (part, after) = rest.split_at(cut(rest, max_chars));
        parts.push(part.trim_end().to_owned());
        rest = after.trim_start();
    }
    parts
}

/// Where to cut a text that begins with no white space, in bytes; never 0.
fn cut(text: &str, max_chars: usize) -> usize {
    let byte_of = |chars: usize| {
        text.char_indices()
            .nth(chars)
            .map_or(text.len(), |(byte, _)| byte)
    };
    let limit = byte_of(max_chars);
    if limit == text.len() {
        return limit;
    }
    // One more character, because a cut right before white space keeps the full length.
    let window = &text[..byte_of(max_chars + 1)];
    let worth = byte_of(max_chars / 4).max(1);
    let last = |is_end: fn(&str, usize) -> bool| {
        window.char_indices().rev().map(|(byte, _)| byte).find(|&byte| {
            byte <= limit
                && byte > 0
                && window[byte..].starts_with(char::is_whitespace)
                && is_end(window, byte)
        })
    };
    last(ends_paragraph)
        .filter(|byte| *byte >= worth)
        .or_else(|| last(ends_sentence).filter(|byte| *byte >= worth))
        .or_else(|| last(|_, _| true))
        .unwrap_or(limit)
}

fn ends_paragraph(text: &str, byte: usize) -> bool {
    let blank = text[byte..].chars().take_while(|c| c.is_whitespace());
    blank.filter(|c| *c == '\n').count() >= 2 && !text[..byte].ends_with(char::is_whitespace)
}

fn ends_sentence(text: &str, byte: usize) -> bool {
    text[..byte].ends_with(['.', '!', '?', '…', '。', '！', '？']) || text[byte..].starts_with('\n')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_short_text_is_one_part() {
        assert_eq!(split("  Bom dia! ", MAX_CHARS), ["Bom dia!"]);
        assert!(split(" \n ", MAX_CHARS).is_empty());
    }

    #[test]
    fn a_paragraph_goes_before_a_sentence_and_a_sentence_before_a_word() {
        assert_eq!(
            split("Um dois.\n\nTrês. Quatro cinco", 18),
            ["Um dois.", "Três. Quatro cinco"]
        );
        assert_eq!(
            split("Um dois. Três quatro cinco", 16),
            ["Um dois.", "Três quatro", "cinco"]
        );
        assert_eq!(split("um dois três", 8), ["um dois", "três"]);
        assert_eq!(split("abcdefgh", 3), ["abc", "def", "gh"]);
    }

    #[test]
    fn a_word_that_ends_at_the_limit_stays_whole() {
        assert_eq!(split("pão doce", 3), ["pão", "doc", "e"]);
    }

    proptest! {
        #[test]
        fn nothing_is_lost_and_no_part_is_too_long(text in "[a-zé🍞\\n .!?]{0,400}", max in 1usize..60) {
            let parts = split(&text, max);
            prop_assert!(parts.iter().all(|part| !part.trim().is_empty() && part.chars().count() <= max));
            let without_space = |text: &str| text.split_whitespace().collect::<String>();
            prop_assert_eq!(without_space(&parts.concat()), without_space(&text));
            // White space inside a part is untouched: every part stands in the text, in order.
            let mut rest = text.as_str();
            for part in &parts {
                let at = rest.find(part.as_str());
                prop_assert!(at.is_some_and(|at| rest[..at].trim().is_empty()));
                rest = &rest[at.unwrap_or(0) + part.len()..];
            }
            prop_assert!(rest.trim().is_empty());
        }
    }
}
