//! Identifiers: ULIDs in text, so that they sort by age and never collide between processes.
use std::{
    fmt,
    sync::{Mutex, PoisonError},
};

use serde::{Deserialize, Serialize};
use ulid::{Generator, Ulid};

/// One generator for the process: ids made within one millisecond still sort in the order they were made.
static GENERATOR: Mutex<Generator> = Mutex::new(Generator::new());

fn fresh() -> Ulid {
    let mut generator = GENERATOR.lock().unwrap_or_else(PoisonError::into_inner);
    match generator.generate() {
        Ok(id) => id,
        Err(overflow) => overflow.commit_overflow_increment(),
    }
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident,)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// A fresh id, later in order than any this process made before.
            #[expect(clippy::new_without_default, reason = "a default that differs every time misleads")]
            pub fn new() -> Self {
                Self(fresh().to_string())
            }

            /// The id as it stands in the database and in URLs.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl From<&str> for $name {
            fn from(id: &str) -> Self {
                Self(id.to_owned())
            }
        }

        impl From<String> for $name {
            fn from(id: String) -> Self {
                Self(id)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    )*};
}

ids! {
    /// An organisation, the tenant. May also be a readable word such as `default`.
    OwnerId,
    /// A person who logs in.
    UserId,
    /// Somebody who writes to an owner.
    ContactId,
    /// One conversation between an owner and a contact on one channel.
    ConversationId,
    /// One message, received or sent; one part where a text was split.
    MessageId,
    /// One telephone call, made or received.
    CallId,
    /// An owner's Twilio account, as a row of ours; not Twilio's SID.
    AccountId,
    /// What somebody did that is written down for those who ask later.
    AuditId,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_sort_in_the_order_they_were_made() {
        let made: Vec<_> = (0..1000).map(|_| MessageId::new()).collect();
        assert!(made.windows(2).all(|pair| pair[0] < pair[1]));
    }

    #[test]
    fn an_id_is_plain_text_in_json() {
        assert_eq!(
            serde_json::to_string(&OwnerId::from("default")).unwrap(),
            "\"default\""
        );
        assert_eq!(
            serde_json::from_str::<OwnerId>("\"default\"").unwrap(),
            OwnerId::from("default")
        );
    }
}
