//! Numbers that fail by themselves: Twilio's own magic numbers, and one for every error code.

use crate::address;
use crate::calls::CallStatus;

/// Twilio's own, with the error that each is refused with. Source: Twilio, "Test credentials".
const TWILIOS: &[(&str, u32)] = &[
    ("+15005550001", 21211),
    ("+15005550002", 21612),
    ("+15005550003", 21408),
    ("+15005550004", 21610),
    ("+15005550009", 21614),
];

/// What comes before a code of five digits: `+1500521211` is refused with 21211.
const ANY: &str = "+15005";

/// The error with which a message to `to` is refused.
pub(crate) fn refusal(to: &str) -> Option<u32> {
    code(to).filter(|code| *code < 30_000)
}

/// The error with which a message to `to` is lost after it was taken: carriers and channels tell late.
pub(crate) fn loss(to: &str) -> Option<u32> {
    // What begins with 63 is a channel's: an SMS to the same number arrives.
    code(to).filter(|code| *code >= 30_000 && (*code < 63_000 || address::is_whatsapp(to)))
}

/// Twilio's own for calls. Source: Twilio, "Test credentials".
const TWILIOS_CALLS: &[(&str, u32)] = &[
    ("+15005550001", 21217),
    ("+15005550002", 21214),
    ("+15005550003", 21215),
    ("+15005550004", 21216),
];

/// Numbers that are called in vain.
const ENDS: &[(&str, CallStatus)] = &[
    ("+1500500486", CallStatus::Busy),
    ("+1500500480", CallStatus::NoAnswer),
    ("+1500500500", CallStatus::Failed),
];

/// The error with which a call to `to` is refused.
pub(crate) fn call_refusal(to: &str) -> Option<u32> {
    let own = TWILIOS_CALLS.iter().find(|(magic, _)| *magic == to);
    own.map(|(_, code)| *code).or_else(|| refusal(to))
}

/// How a call to `to` ends, unless it is answered.
pub(crate) fn call_end(to: &str) -> Option<CallStatus> {
    let end = ENDS.iter().find(|(magic, _)| *magic == to);
    end.map(|(_, end)| *end)
}

fn code(to: &str) -> Option<u32> {
    let number = address::without_channel(to);
    if let Some((_, code)) = TWILIOS.iter().find(|(magic, _)| *magic == number) {
        return Some(*code);
    }
    let digits = number.strip_prefix(ANY).filter(|digits| digits.len() == 5)?;
    digits.parse().ok().filter(|code| *code >= 20_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_says_by_which_error_and_when_it_fails() {
        assert_eq!(refusal("+15005550009"), Some(21614));
        assert_eq!(refusal("whatsapp:+1500521211"), Some(21211));
        assert_eq!((refusal("+1500530007"), loss("+1500530007")), (None, Some(30007)));
        assert_eq!(
            (loss("whatsapp:+1500563032"), loss("+1500563032")),
            (Some(63032), None)
        );
        for ordinary in ["+15005550006", "+5511987654321", "+1500500012", "+150052121"] {
            assert_eq!((refusal(ordinary), loss(ordinary)), (None, None), "{ordinary}");
        }
    }
}
