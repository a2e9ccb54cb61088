//! Where a message comes from or goes to, as Twilio writes it.
use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{InvalidPhone, PhoneNumber, UnknownWord};

/// By which way a message travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Channel {
    /// SMS and MMS.
    Sms,
    /// WhatsApp.
    Whatsapp,
}

impl Channel {
    /// The word in the database, in JSON and in URLs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sms => "sms",
            Self::Whatsapp => "whatsapp",
        }
    }

    /// The channel of a word.
    ///
    /// # Errors
    /// When the word is no channel.
    pub fn parse(word: &str) -> Result<Self, UnknownWord> {
        match word {
            "sms" => Ok(Self::Sms),
            "whatsapp" => Ok(Self::Whatsapp),
            _ => Err(UnknownWord {
                what: "channel",
                word: word.to_owned(),
            }),
        }
    }
}

impl fmt::Display for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An address on a channel: `+…`, a short code or an alphanumeric sender for SMS; `whatsapp:+…` or a
/// business-scoped id such as `whatsapp:BR.1502…` for WhatsApp. `Debug` shows it masked.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Address {
    channel: Channel,
    subscriber: Subscriber,
}

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Subscriber {
    Phone(PhoneNumber),
    /// Short code, alphanumeric sender or business-scoped id.
    Named(String),
}

/// Why a text is not an address. Names the problem, never the address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidAddress {
    /// Nothing there, or nothing after `whatsapp:`.
    #[error("the address is empty")]
    Empty,
    /// It begins like a telephone number and is none.
    #[error(transparent)]
    Phone(#[from] InvalidPhone),
    /// Neither telephone number, short code (3 to 8 digits) nor alphanumeric sender (up to 11 characters).
    #[error("the address is neither a phone number, a short code nor a sender name of up to 11 characters")]
    Sms,
    /// Neither telephone number nor business-scoped id.
    #[error("the WhatsApp address is neither a phone number nor a business-scoped id")]
    Whatsapp,
    /// A prefix that is not `whatsapp:`.
    #[error("the address has an unknown prefix; only `whatsapp:` is known")]
    Prefix,
}

impl Address {
    /// Reads an address as Twilio writes it.
    ///
    /// # Errors
    /// [`InvalidAddress`] says what is wrong.
    pub fn parse(text: &str) -> Result<Self, InvalidAddress> {
        let (channel, rest) = match text.split_once(':') {
            None => (Channel::Sms, text),
            Some(("whatsapp", rest)) => (Channel::Whatsapp, rest),
            Some(_) => return Err(InvalidAddress::Prefix),
        };
        let subscriber = match rest {
            "" => return Err(InvalidAddress::Empty),
            _ if rest.starts_with('+') => Subscriber::Phone(PhoneNumber::parse(rest)?),
            _ if channel == Channel::Sms && is_sender(rest) => Subscriber::Named(rest.to_owned()),
            _ if channel == Channel::Sms => return Err(InvalidAddress::Sms),
            _ if is_business_scoped(rest) => Subscriber::Named(rest.to_owned()),
            _ => return Err(InvalidAddress::Whatsapp),
        };
        Ok(Self { channel, subscriber })
    }

    /// A telephone on a channel.
    pub fn of_phone(channel: Channel, phone: PhoneNumber) -> Self {
        Self {
            channel,
            subscriber: Subscriber::Phone(phone),
        }
    }

    /// By which way messages reach it.
    pub fn channel(&self) -> Channel {
        self.channel
    }

    /// The telephone number, where there is one.
    pub fn phone(&self) -> Option<&PhoneNumber> {
        match &self.subscriber {
            Subscriber::Phone(phone) => Some(phone),
            Subscriber::Named(_) => None,
        }
    }

    /// The same subscriber written otherwise on the same channel, see [`PhoneNumber::other_spelling`].
    pub fn other_spelling(&self) -> Option<Self> {
        let phone = self.phone()?.other_spelling()?;
        Some(Self::of_phone(self.channel, phone))
    }

    /// As Twilio writes it; the form in the database too.
    pub fn to_twilio(&self) -> String {
        let prefix = if self.channel == Channel::Whatsapp {
            "whatsapp:"
        } else {
            ""
        };
        match &self.subscriber {
            Subscriber::Phone(phone) => format!("{prefix}{phone}"),
            Subscriber::Named(name) => format!("{prefix}{name}"),
        }
    }

    /// For people who may not see the whole: `whatsapp:+55 •••• 5678`.
    pub fn masked(&self) -> String {
        let prefix = if self.channel == Channel::Whatsapp {
            "whatsapp:"
        } else {
            ""
        };
        match &self.subscriber {
            Subscriber::Phone(phone) => format!("{prefix}{}", phone.masked()),
            Subscriber::Named(name) => {
                let shown: String = name.chars().take(3).collect();
                format!("{prefix}{shown}••••")
            }
        }
    }
}

/// Source: Twilio, "Short codes" (3 to 8 digits, by country) and "Alphanumeric sender ID" (up to 11 of
/// letters, digits, space and `+ - _ &`, with at least one letter).
fn is_sender(text: &str) -> bool {
    let short_code = (3..=8).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    let alphanumeric = text.len() <= 11
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b" +-_&".contains(&b))
        && text.bytes().any(|b| b.is_ascii_alphabetic());
    short_code || alphanumeric
}

/// Source: Meta, "Business-scoped user IDs": two letters of a country, a period, up to 128 letters and digits
/// (a parent account's has `ENT.` between).
fn is_business_scoped(text: &str) -> bool {
    text.split_once('.').is_some_and(|(country, id)| {
        let id = id.strip_prefix("ENT.").unwrap_or(id);
        country.len() == 2
            && country.bytes().all(|b| b.is_ascii_uppercase())
            && (1..=128).contains(&id.len())
            && id.bytes().all(|b| b.is_ascii_alphanumeric())
    })
}

impl FromStr for Address {
    type Err = InvalidAddress;

    fn from_str(text: &str) -> Result<Self, InvalidAddress> {
        Self::parse(text)
    }
}

impl TryFrom<String> for Address {
    type Error = InvalidAddress;

    fn try_from(text: String) -> Result<Self, InvalidAddress> {
        Self::parse(&text)
    }
}

impl From<Address> for String {
    fn from(address: Address) -> Self {
        address.to_twilio()
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.masked())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_twilio_writes_is_read_and_written_back() {
        for (text, channel, has_phone) in [
            ("+14155238886", Channel::Sms, true),
            ("whatsapp:+5511912345678", Channel::Whatsapp, true),
            ("whatsapp:BR.1502000000000000", Channel::Whatsapp, false),
            ("whatsapp:US.ENT.11815799212886844830", Channel::Whatsapp, false),
            ("12345", Channel::Sms, false),
            ("PADARIA", Channel::Sms, false),
        ] {
            let address = Address::parse(text).unwrap();
            assert_eq!(
                (address.channel(), address.phone().is_some()),
                (channel, has_phone),
                "{text}"
            );
            assert_eq!(address.to_twilio(), text);
            let json = serde_json::to_string(&address).unwrap();
            assert_eq!(json, format!("\"{text}\""));
            assert_eq!(serde_json::from_str::<Address>(&json).unwrap(), address);
        }
    }

    #[test]
    fn what_is_wrong_with_an_address_is_said() {
        for (text, problem) in [
            ("", InvalidAddress::Empty),
            ("whatsapp:", InvalidAddress::Empty),
            ("messenger:123", InvalidAddress::Prefix),
            ("whatsapp:5511912345678", InvalidAddress::Whatsapp),
            ("whatsapp:br.1", InvalidAddress::Whatsapp),
            ("whatsapp:+", InvalidAddress::Phone(InvalidPhone::TooShort)),
            ("12", InvalidAddress::Sms),
            ("5511912345678", InvalidAddress::Sms),
            ("A NAME TOO LONG", InvalidAddress::Sms),
        ] {
            assert_eq!(Address::parse(text), Err(problem), "{text:?}");
        }
    }

    #[test]
    fn debug_does_not_show_the_address() {
        let debug = |text| format!("{:?}", Address::parse(text).unwrap());
        assert_eq!(debug("whatsapp:+5511912345678"), "whatsapp:+55 •••• 5678");
        assert_eq!(debug("whatsapp:BR.1502000000000000"), "whatsapp:BR.••••");
    }
}
