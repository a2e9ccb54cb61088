//! What Twilio's error codes mean for us.
//!
//! Source: <https://www.twilio.com/docs/api/errors>. A fact that changes is changed here, not in a branch.

/// What to do about an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorClass {
    /// Nothing known: repeat with the ordinary back-off.
    Retry,
    /// This message to this address will never arrive.
    Permanent,
    /// The tenant's account must be set up differently first.
    Configuration,
    /// The contact opted out: suppress the address.
    OptedOut,
    /// The contact cannot be reached at the moment; minutes to hours.
    Later,
    /// A carrier took the message for spam: permanent, and somebody should know.
    Filtered,
    /// Worth one more attempt, and no more.
    RetryOnce,
    /// WhatsApp's 24 hours are over: only a template may be sent.
    OutsideWindow,
    /// Too fast: wait for what `Retry-After` says, else back off.
    BackOff,
    /// WhatsApp will not deliver it; SMS might.
    UseSms,
    /// The sender's daily limit is reached: wait for tomorrow.
    DailyLimit,
}

impl ErrorClass {
    /// The word in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Retry => "retry",
            Self::Permanent => "permanent",
            Self::Configuration => "configuration",
            Self::OptedOut => "opted_out",
            Self::Later => "later",
            Self::Filtered => "filtered",
            Self::RetryOnce => "retry_once",
            Self::OutsideWindow => "outside_window",
            Self::BackOff => "back_off",
            Self::UseSms => "use_sms",
            Self::DailyLimit => "daily_limit",
        }
    }

    /// Whether the very same message may be accepted some minutes later without anybody doing anything.
    pub const fn may_pass_later(self) -> bool {
        matches!(self, Self::Retry | Self::Later | Self::RetryOnce | Self::BackOff)
    }
}

/// An error code that we know what to do about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KnownError {
    /// Twilio's code.
    pub code: u32,
    /// What the platform does.
    pub class: ErrorClass,
    /// What happened, in a clause.
    pub meaning: &'static str,
    /// What a person can do, in a sentence.
    pub remedy: &'static str,
}

impl KnownError {
    /// What happened and what a person can do, as sentences.
    pub fn told(&self) -> String {
        format!("{}. {}", self.meaning, self.remedy)
    }
}

/// What we know about `code`.
pub fn known(code: u32) -> Option<&'static KnownError> {
    let at = ERRORS.binary_search_by_key(&code, |known| known.code).ok()?;
    ERRORS.get(at)
}

/// `code` as a metric's label: 0 is none, and those that we do not know are all `other`.
pub fn code_label(code: u32) -> String {
    match code {
        0 => "0".to_owned(),
        code => known(code).map_or_else(|| "other".to_owned(), |known| known.code.to_string()),
    }
}

/// The class of `code`; [`ErrorClass::Retry`] if we do not know it.
pub fn class_of(code: u32) -> ErrorClass {
    known(code).map_or(ErrorClass::Retry, |known| known.class)
}

const fn row(code: u32, class: ErrorClass, meaning: &'static str, remedy: &'static str) -> KnownError {
    KnownError {
        code,
        class,
        meaning,
        remedy,
    }
}

use ErrorClass::{
    BackOff, Configuration, DailyLimit, Filtered, Later, OptedOut, OutsideWindow, Permanent, RetryOnce,
    UseSms,
};

/// Every code we know, in ascending order.
#[rustfmt::skip]
pub static ERRORS: &[KnownError] = &[
    row(20003, Configuration, "the account SID or auth token is wrong", "Correct the credentials of the channel account."),
    row(20005, Configuration, "the account is not active", "Reactivate the account in Twilio's console."),
    row(20429, BackOff, "too many requests at once", "It is tried again for some minutes; after that, send it again later."),
    row(21201, Permanent, "there is no number to call", "Give the contact a number."),
    row(21205, Permanent, "the url of the call is not valid", "Give a public https address that answers with TwiML."),
    row(21210, Configuration, "the account may not call from this number", "Choose a number of this account that can make calls, or verify it."),
    row(21211, Permanent, "the To number is not a valid number", "Correct the contact's number."),
    row(21212, Configuration, "the From number is not a valid number", "Choose a number of this account that can make calls."),
    row(21214, Permanent, "the To number cannot be reached by telephone", "Correct the contact's number."),
    row(21215, Configuration, "the account may not call this country", "Enable the country under Voice, Geo permissions."),
    row(21216, Permanent, "Twilio does not let this number be called", "Reach the contact in another way, or ask Twilio's support."),
    row(21217, Permanent, "the To number does not look like a telephone number", "Correct the contact's number."),
    row(21219, Configuration, "a trial account calls and writes to verified numbers only", "Verify the number in Twilio's console, or upgrade the account."),
    row(21266, Permanent, "To and From are the same number", "Correct the contact's number, or choose another sender."),
    row(21408, Configuration, "the account may not send to this country", "Enable the country under Messaging, Geo permissions."),
    row(21602, Permanent, "the message has no text", "Write a text."),
    row(21603, Configuration, "there is no From number", "Give the owner a number, or name one."),
    row(21604, Permanent, "there is no To number", "Give the contact a number."),
    row(21606, Configuration, "the From number cannot send messages, or is not of this account", "Choose a number of this account that can send messages."),
    row(21610, OptedOut, "the contact opted out", "Wait for the contact to write START."),
    row(21612, Permanent, "the To number cannot be reached from this From number", "Send from another number or channel."),
    row(21614, Permanent, "the To number is not a mobile number", "Correct the contact's number, or call it."),
    row(21617, Permanent, "the text is longer than 1600 characters", "Shorten it."),
    row(21620, Permanent, "the address of the media is not valid", "Give a public https address."),
    row(21623, Permanent, "there are more media than one message may carry", "Send at most 10, on WhatsApp one."),
    row(21655, Permanent, "there is no such template", "Correct the template's SID; it begins with HX."),
    row(21656, Permanent, "the variables do not fit the template", "Give every variable of the template as text."),
    row(21659, Configuration, "the From number is not a Twilio number", "Correct the number of the channel account."),
    row(21660, Configuration, "the From number belongs to another account", "Correct the number or the account."),
    row(21910, Permanent, "To and From are not on the same channel", "Choose a sender of the contact's channel."),
    row(30001, BackOff, "the account's queue is full", "It is tried again for some minutes; after that, send it again later."),
    row(30002, Configuration, "the account is suspended", "Ask Twilio's support."),
    row(30003, Later, "the telephone is off or out of reach", "Send it again later."),
    row(30004, Permanent, "the contact or the carrier blocks our messages", "Reach the contact in another way."),
    row(30005, Permanent, "the number does not exist", "Correct the contact's number."),
    row(30006, Permanent, "the number is a landline or its carrier takes no messages", "Call, or use another number."),
    row(30007, Filtered, "the carrier took the message for spam", "Change the wording, and check the sender's registration."),
    row(30008, RetryOnce, "the carrier gave no reason", "Nothing; it is tried once more."),
    row(30034, Configuration, "the number is not registered for messages to the United States", "Register it for A2P 10DLC in Twilio's console."),
    row(63003, Permanent, "the contact cannot be found on this channel", "Use another channel or number."),
    row(63005, Permanent, "the channel does not take this content", "Change the content: its type, its size or its wording."),
    row(63007, Configuration, "the WhatsApp sender is not registered with this account", "Register the sender, or correct it."),
    row(63013, Filtered, "the message breaks a rule of the channel", "Change the wording, and check WhatsApp's business policy."),
    row(63015, Configuration, "the contact has not joined the WhatsApp sandbox", "Have the contact write the join code, or use a sender of your own."),
    row(63016, OutsideWindow, "the contact last wrote more than 24 hours ago", "Send a template."),
    row(63017, BackOff, "WhatsApp's rate limit for this sender is reached", "It is tried again for some minutes; after that, send it again later."),
    row(63018, BackOff, "WhatsApp's rate limit for this contact or sender is reached", "It is tried again for some minutes; after that, send it again later."),
    row(63019, Permanent, "the media cannot be downloaded", "Check that its address is public and its size allowed."),
    row(63024, Permanent, "the contact has no WhatsApp at this number", "Use another channel or number."),
    row(63032, UseSms, "WhatsApp does not deliver to this contact at present", "Send it as SMS."),
    row(63038, DailyLimit, "the account's daily limit of messages is reached", "Wait for tomorrow, or ask Twilio for more."),
    row(63049, UseSms, "Meta chose not to deliver this marketing message", "Send it as SMS, or not before tomorrow."),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_ascend_so_that_each_can_be_found() {
        assert!(ERRORS.windows(2).all(|pair| pair[0].code < pair[1].code));
        assert!(ERRORS.iter().all(|row| known(row.code) == Some(row)));
    }

    #[test]
    fn an_unknown_code_is_retried() {
        assert_eq!(known(12), None);
        assert_eq!(class_of(12), ErrorClass::Retry);
    }

    #[test]
    fn a_code_that_nobody_knows_makes_no_label_of_its_own() {
        assert_eq!(
            [0, 30007, 12, 99999].map(code_label),
            ["0", "30007", "other", "other"]
        );
    }

    #[test]
    fn the_codes_of_the_domain_have_their_class() {
        let expected = [
            (Permanent, &[21211, 21614, 21612, 30004, 30005, 30006, 63024][..]),
            (Configuration, &[21408]),
            (OptedOut, &[21610]),
            (Later, &[30003]),
            (Filtered, &[30007]),
            (RetryOnce, &[30008]),
            (OutsideWindow, &[63016]),
            (BackOff, &[63017, 63018, 20429]),
            (UseSms, &[63032]),
            (DailyLimit, &[63038]),
        ];
        for (class, codes) in expected {
            for code in codes {
                assert_eq!(class_of(*code), class, "{code}");
            }
        }
    }
}
