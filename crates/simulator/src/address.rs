//! Addresses as they stand on the wire: `+5511…` or `whatsapp:+5511…`.

const WHATSAPP: &str = "whatsapp:";

/// Whether the address is on WhatsApp.
pub(crate) fn is_whatsapp(address: &str) -> bool {
    address.starts_with(WHATSAPP)
}

/// The number without its channel.
pub(crate) fn without_channel(address: &str) -> &str {
    address.strip_prefix(WHATSAPP).unwrap_or(address)
}

/// Whether Twilio would take it as a contact: E.164, or on WhatsApp also a business-scoped user
/// id such as `BR.1502…`.
pub(crate) fn is_valid(address: &str) -> bool {
    let plain = without_channel(address);
    is_e164(plain) || (is_whatsapp(address) && is_scoped_id(plain))
}

fn is_e164(text: &str) -> bool {
    text.strip_prefix('+').is_some_and(|digits| {
        (2..=15).contains(&digits.len())
            && !digits.starts_with('0')
            && digits.bytes().all(|b| b.is_ascii_digit())
    })
}

fn is_scoped_id(text: &str) -> bool {
    text.split_once('.').is_some_and(|(country, id)| {
        country.len() == 2
            && country.bytes().all(|b| b.is_ascii_uppercase())
            && !id.is_empty()
            && id.bytes().all(|b| b.is_ascii_alphanumeric())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_scoped_ids_are_told_from_nonsense() {
        for good in ["+5511987654321", "whatsapp:+14155550100", "whatsapp:BR.1502"] {
            assert!(is_valid(good), "{good}");
        }
        for bad in [
            "",
            "5511987654321",
            "+0123",
            "+1234567890123456",
            "BR.1502",
            "+55 11",
            "sms:+1",
        ] {
            assert!(!is_valid(bad), "{bad}");
        }
    }
}
