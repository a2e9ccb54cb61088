//! Telephone numbers in E.164.
use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// An E.164 number: `+`, a known country's code, at most 15 digits. Source: ITU-T E.164.
///
/// `Debug` shows it masked, because numbers must not reach a log; `Display` shows it whole.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PhoneNumber {
    text: String,
    country: u16,
}

/// Why a text is not an E.164 number. Names the problem, never the number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPhone {
    /// Nothing there.
    #[error("the phone number is empty")]
    Empty,
    /// No `+`, so the country is unknown.
    #[error("the phone number does not begin with `+` and a country code")]
    NoPlus,
    /// Something other than a digit after the `+`.
    #[error("the phone number has something other than a digit at position {0}")]
    NotADigit(usize),
    /// Over 15 digits.
    #[error("the phone number has {0} digits, at most 15 are allowed")]
    TooLong(usize),
    /// Too few digits for its country.
    #[error("the phone number has too few digits")]
    TooShort,
    /// No country has this code.
    #[error("the phone number does not begin with a known country code")]
    UnknownCountry,
}

impl PhoneNumber {
    /// Reads `+5511912345678`: no spaces, no punctuation, no extension.
    ///
    /// # Errors
    /// [`InvalidPhone`] says what is wrong with the text.
    pub fn parse(text: &str) -> Result<Self, InvalidPhone> {
        if text.is_empty() {
            return Err(InvalidPhone::Empty);
        }
        let digits = text.strip_prefix('+').ok_or(InvalidPhone::NoPlus)?;
        if let Some(position) = digits.chars().position(|c| !c.is_ascii_digit()) {
            return Err(InvalidPhone::NotADigit(position + 2));
        }
        if digits.len() > 15 {
            return Err(InvalidPhone::TooLong(digits.len()));
        }
        let number = phonenumber::parse(None, text).map_err(|error| match error {
            phonenumber::ParseError::InvalidCountryCode => InvalidPhone::UnknownCountry,
            _ => InvalidPhone::TooShort,
        })?;
        Ok(Self {
            text: text.to_owned(),
            country: number.code().value(),
        })
    }

    /// The number as in `+5511912345678`.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The country's calling code, as in 55.
    pub fn country_code(&self) -> u16 {
        self.country
    }

    /// For people who may not see the whole: `+55 •••• 5678`. Short numbers lose their end too.
    pub fn masked(&self) -> String {
        let national = self.national();
        let shown = if national.len() >= 8 {
            &national[national.len() - 4..]
        } else {
            ""
        };
        format!("+{} •••• {shown}", self.country).trim_end().to_owned()
    }

    /// Whether both may reach the same telephone: equal, or Brazilian mobiles that differ only by the ninth
    /// digit (`+55 DD 9XXXXXXXX` and `+55 DD XXXXXXXX`), which WhatsApp drops for part of the country.
    /// Eight digits from 2 to 5 are a fixed line (Anatel), and never get one.
    pub fn same_subscriber(&self, other: &Self) -> bool {
        self == other
            || (self.country == 55 && other.country == 55 && self.without_ninth() == other.without_ninth())
    }

    /// The same Brazilian mobile with or without its ninth digit; `None` where there is only one way to write it.
    pub fn other_spelling(&self) -> Option<Self> {
        let (area, last_eight) = self.without_ninth();
        if self.country != 55 || area.is_empty() {
            return None;
        }
        let ninth = if self.national().len() == 10 { "9" } else { "" };
        Some(Self {
            text: format!("+55{area}{ninth}{last_eight}"),
            country: 55,
        })
    }

    fn national(&self) -> &str {
        &self.text[1 + self.country.to_string().len()..]
    }

    /// Area code and the last eight digits of a Brazilian mobile; any other number whole.
    fn without_ninth(&self) -> (&str, &str) {
        let national = self.national();
        match national.len() {
            11 if national[2..].starts_with('9') && !is_fixed_line(&national[3..]) => {
                (&national[..2], &national[3..])
            }
            10 if !is_fixed_line(&national[2..]) => (&national[..2], &national[2..]),
            _ => ("", national),
        }
    }
}

fn is_fixed_line(eight: &str) -> bool {
    eight.starts_with(['2', '3', '4', '5'])
}

impl FromStr for PhoneNumber {
    type Err = InvalidPhone;

    fn from_str(text: &str) -> Result<Self, InvalidPhone> {
        Self::parse(text)
    }
}

impl TryFrom<String> for PhoneNumber {
    type Error = InvalidPhone;

    fn try_from(text: String) -> Result<Self, InvalidPhone> {
        Self::parse(&text)
    }
}

impl From<PhoneNumber> for String {
    fn from(number: PhoneNumber) -> Self {
        number.text
    }
}

impl fmt::Display for PhoneNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for PhoneNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.masked())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn phone(text: &str) -> PhoneNumber {
        PhoneNumber::parse(text).unwrap()
    }

    #[test]
    fn what_is_wrong_with_a_number_is_said() {
        for (text, problem) in [
            ("", InvalidPhone::Empty),
            ("5511912345678", InvalidPhone::NoPlus),
            ("+55 11912345678", InvalidPhone::NotADigit(4)),
            ("+551191234567٨", InvalidPhone::NotADigit(14)),
            ("+5511912345678901", InvalidPhone::TooLong(16)),
            ("+0012345678", InvalidPhone::UnknownCountry),
            ("+", InvalidPhone::TooShort),
            ("+55", InvalidPhone::TooShort),
        ] {
            assert_eq!(PhoneNumber::parse(text), Err(problem), "{text:?}");
        }
    }

    #[test]
    fn a_number_survives_json_and_a_bad_one_is_refused_there() {
        let number = phone("+14155238886");
        assert_eq!(serde_json::to_string(&number).unwrap(), "\"+14155238886\"");
        assert_eq!(
            serde_json::from_str::<PhoneNumber>("\"+14155238886\"").unwrap(),
            number
        );
        let error = serde_json::from_str::<PhoneNumber>("\"4155238886\"")
            .unwrap_err()
            .to_string();
        assert!(error.contains("country code"), "{error}");
    }

    #[test]
    fn debug_does_not_show_the_number() {
        assert_eq!(format!("{:?}", phone("+5511912341234")), "+55 •••• 1234");
        assert_eq!(phone("+14155238886").masked(), "+1 •••• 8886");
    }

    #[test]
    fn the_ninth_digit_does_not_make_another_subscriber() {
        assert!(phone("+5511987654321").same_subscriber(&phone("+551187654321")));
        assert!(phone("+551187654321").same_subscriber(&phone("+5511987654321")));
        assert!(
            !phone("+5511987654321").same_subscriber(&phone("+552187654321")),
            "another area"
        );
        assert!(
            !phone("+5511932165498").same_subscriber(&phone("+551132165498")),
            "a fixed line"
        );
        assert!(!phone("+14155238886").same_subscriber(&phone("+14155238887")));
    }

    #[test]
    fn the_other_spelling_is_the_same_subscriber() {
        assert_eq!(
            phone("+5511987654321").other_spelling(),
            Some(phone("+551187654321"))
        );
        assert_eq!(
            phone("+551187654321").other_spelling(),
            Some(phone("+5511987654321"))
        );
        assert_eq!(phone("+551132165498").other_spelling(), None, "a fixed line");
        assert_eq!(phone("+14155238886").other_spelling(), None);
    }
}
