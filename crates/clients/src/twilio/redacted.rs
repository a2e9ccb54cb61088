//! Twilio's error messages quote the telephone number they complain about; ours must not.

/// Longer ones are cut: it is a sentence for a person, not a document.
const LONGEST: usize = 300;

/// Runs of as many digits as this are taken for a number. Twilio's error codes have five.
const NUMBER: usize = 6;

/// What people put between the digits of one number.
const SEPARATORS: [char; 5] = [' ', '-', '(', ')', '.'];

/// The text with every run of six digits or more, and the plus sign before it, replaced by `…`; separators within a
/// number, as in `+1 (415) 867-5309`, do not hide it.
pub(super) fn redacted(text: &str) -> String {
    let mut out = String::new();
    let mut run = String::new();
    for character in text.chars().take(LONGEST) {
        let begins = character.is_ascii_digit() || character == '+';
        let goes_on = character.is_ascii_digit() || SEPARATORS.contains(&character);
        if (run.is_empty() && begins) || (!run.is_empty() && goes_on) {
            run.push(character);
        } else {
            flush(&mut run, &mut out);
            out.push(character);
        }
    }
    flush(&mut run, &mut out);
    out
}

fn flush(run: &mut String, out: &mut String) {
    let digits = run.chars().filter(char::is_ascii_digit).count();
    if digits < NUMBER {
        out.push_str(run);
    } else {
        let after = run.trim_end_matches(SEPARATORS);
        out.push('…');
        out.push_str(&run[after.len()..]);
    }
    run.clear();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_go_and_the_rest_stays() {
        let cases = [
            (
                "The 'To' number +5511987654321 is not valid.",
                "The 'To' number … is not valid.",
            ),
            ("to whatsapp:+14158675309", "to whatsapp:…"),
            ("call +1 (415) 867-5309 now", "call … now"),
            ("error 21211, see page 3", "error 21211, see page 3"),
            ("at most 1600 characters", "at most 1600 characters"),
        ];
        for (text, expected) in cases {
            assert_eq!(redacted(text), expected);
        }
    }

    #[test]
    fn a_long_text_is_cut() {
        assert_eq!(redacted(&"é".repeat(1000)).chars().count(), LONGEST);
    }
}
