//! What goes instead of a message that WhatsApp does not take, as its owner wants it.
use recado_clients::twilio::{self, ErrorClass};
use recado_domain::{Address, Channel, OwnerId, Template};
use recado_store::{StoreError, owners, owners::WayOut, senders::Senders};
use sea_orm::ConnectionTrait;
use serde::{Deserialize, Serialize};

/// What goes instead of a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Instead {
    /// The owner's template, by the same way.
    Template(Template),
    /// The text as SMS.
    Sms(SmsWay),
}

/// From where to where an SMS goes. `Debug` leaves the numbers out.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SmsWay {
    /// The Twilio account.
    pub account: String,
    /// Our number.
    pub from: Address,
    /// The messaging service through which it goes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// The contact's number.
    pub to: Address,
}

impl std::fmt::Debug for SmsWay {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SmsWay").finish_non_exhaustive()
    }
}

/// What WhatsApp does not take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Closed {
    /// A text: the contact wrote too long ago.
    Window,
    /// Anything: it does not deliver to the contact, or the contact is not there.
    Channel,
}

impl Closed {
    /// What one of Twilio's codes says, where it is one of these.
    pub(crate) fn by(code: u32) -> Option<Self> {
        match (code, twilio::class_of(code)) {
            // Nobody there has this number.
            (63003 | 63024, _) | (_, ErrorClass::UseSms) => Some(Self::Channel),
            (_, ErrorClass::OutsideWindow) => Some(Self::Window),
            _ => None,
        }
    }
}

/// Whether a code of Twilio's says that a message may go in another way.
pub fn may_go_otherwise(code: u32) -> bool {
    Closed::by(code).is_some()
}

/// A message that WhatsApp does not take.
pub(crate) struct Refused<'a> {
    pub(crate) owner: &'a OwnerId,
    pub(crate) to: &'a Address,
    pub(crate) text: &'a str,
    pub(crate) is_template: bool,
    pub(crate) has_media: bool,
}

impl Refused<'_> {
    /// What its owner wants sent instead, as things stand now; nothing where there is nothing that says the same.
    pub(crate) async fn instead(
        &self,
        conn: &impl ConnectionTrait,
        closed: Closed,
    ) -> Result<Option<Instead>, StoreError> {
        if self.to.channel() != Channel::Whatsapp {
            return Ok(None);
        }
        let owner = owners::find(conn, self.owner).await?;
        let way_out = WayOut::of(&owner.ok_or(StoreError::NotFound("owner"))?)?;
        if closed == Closed::Window
            && !self.is_template
            && let Some(template) = way_out.template_for(self.text)
        {
            return Ok(Some(Instead::Template(template)));
        }
        let says_something = !self.text.trim().is_empty() || self.has_media;
        let (Some(sms), Some(phone), true) = (way_out.sms, self.to.phone(), says_something) else {
            return Ok(None);
        };
        let to = Address::of_phone(Channel::Sms, phone.clone());
        let senders = Senders::of(conn, self.owner).await?;
        match senders.choose(sms.from.as_deref(), &to) {
            Ok(chosen) => Ok(Some(Instead::Sms(SmsWay {
                account: chosen.account_sid.to_owned(),
                from: chosen.address.clone(),
                service: chosen.service.map(str::to_owned),
                to,
            }))),
            Err(problem) => {
                // The number was taken away since it was set.
                tracing::warn!(owner = %self.owner, %problem, "an owner's way out by SMS leads nowhere");
                Ok(None)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_tells_what_whatsapp_does_not_take() {
        for (code, closed) in [
            (63016, Some(Closed::Window)),
            (63032, Some(Closed::Channel)),
            (63049, Some(Closed::Channel)),
            (63003, Some(Closed::Channel)),
            (63024, Some(Closed::Channel)),
            (30007, None),
            (21610, None),
            (63038, None),
        ] {
            assert_eq!(Closed::by(code), closed, "{code}");
        }
    }
}
