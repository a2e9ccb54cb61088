//! What Twilio posts when a message comes in.
//!
//! Source: <https://www.twilio.com/docs/messaging/guides/webhook-request>.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::InboundContent;
use super::form::{FormError, number, required, storable, value};
use super::sid;

/// An inbound message. New fields arrive unannounced, so the whole form is kept beside the ones we name.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct InboundForm {
    /// The message: `SM` or `MM` and 32 hexadecimal digits.
    pub message_sid: String,
    /// The account it came in on: `AC` and 32 hexadecimal digits.
    pub account_sid: String,
    /// The messaging service our address belongs to, if any.
    pub messaging_service_sid: Option<String>,
    /// The contact's address: `+…`, `whatsapp:+…`, or a business-scoped id.
    pub from: String,
    /// Our address, in the same forms.
    pub to: String,
    /// The text; empty if the message has none, as with a voice note.
    pub body: String,
    /// How many attachments Twilio announces; usually, but not surely, `media.len()`.
    pub num_media: u32,
    /// The attachments, in order.
    pub media: Vec<Media>,
    /// The name the contact shows on WhatsApp.
    pub profile_name: Option<String>,
    /// The contact's WhatsApp number in digits, without `+`.
    pub wa_id: Option<String>,
    /// `STOP`, `START` or `HELP`, where Twilio handled an opt-out keyword itself.
    pub opt_out_type: Option<String>,
    /// What it carries beside its text: a place, a choice, a quoted message, …
    pub content: InboundContent,
    /// The whole form, in order, U+0000 replaced by U+FFFD.
    pub fields: Vec<(String, String)>,
}

/// One attachment of an inbound message.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Media {
    /// Where Twilio keeps it; needs the account's credentials.
    pub url: String,
    /// The type the sender declared, such as `audio/ogg`; to be checked against the content.
    pub content_type: Option<String>,
}

impl InboundForm {
    /// Reads the form of an inbound webhook.
    ///
    /// # Errors
    /// [`FormError::Missing`] or [`FormError::Malformed`], naming the field.
    pub fn from_fields(fields: &[(String, String)]) -> Result<Self, FormError> {
        let fields = storable(fields);
        let optional = |name| value(&fields, &[name]).map(str::to_owned);
        let num_media = number(&fields, "NumMedia")?.unwrap_or(0);
        Ok(Self {
            message_sid: sid::message(
                required(&fields, &["MessageSid", "SmsSid", "SmsMessageSid"])?,
                "MessageSid",
            )?,
            account_sid: sid::account(required(&fields, &["AccountSid"])?, "AccountSid")?,
            messaging_service_sid: optional("MessagingServiceSid"),
            from: address(&fields, "From")?,
            to: address(&fields, "To")?,
            body: optional("Body").unwrap_or_default(),
            num_media,
            media: media(&fields, num_media),
            profile_name: optional("ProfileName"),
            wa_id: optional("WaId"),
            opt_out_type: optional("OptOutType"),
            content: InboundContent::of(&fields),
            fields,
        })
    }

    /// The first value of any field of the form, by Twilio's name for it.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }
}

/// The longest address that we take; Twilio's are far shorter.
const LONGEST_ADDRESS: usize = 255;

fn address(fields: &[(String, String)], field: &'static str) -> Result<String, FormError> {
    let address = required(fields, &[field])?;
    if address.len() > LONGEST_ADDRESS {
        Err(FormError::Malformed { field })
    } else {
        Ok(address)
    }
}

/// As many as are announced and present: a message with a missing attachment is still a message.
fn media(fields: &[(String, String)], announced: u32) -> Vec<Media> {
    // A form cannot hold more attachments than fields, whatever number it announces.
    let most = (announced as usize).min(fields.len());
    let at = |index: usize| {
        let url = value(fields, &[&format!("MediaUrl{index}")])?.to_owned();
        let content_type = value(fields, &[&format!("MediaContentType{index}")]).map(str::to_owned);
        Some(Media { url, content_type })
    };
    (0..most).filter_map(at).collect()
}

/// Says nothing of who wrote what.
impl fmt::Debug for InboundForm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("InboundForm");
        shown
            .field("message_sid", &self.message_sid)
            .field("account_sid", &self.account_sid);
        shown.field("num_media", &self.num_media).finish_non_exhaustive()
    }
}

/// The URL names account and message.
impl fmt::Debug for Media {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Media")
            .field("content_type", &self.content_type)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::twilio::parse_form;

    const SID: &str = "SM0123456789abcdef0123456789ABCDEF";
    const ACCOUNT: &str = "AC0123456789abcdef0123456789abcdef";

    fn form(extra: &str) -> Vec<(String, String)> {
        let body = format!("AccountSid={ACCOUNT}&From=whatsapp%3A%2B5511987654321&To=%2B15550001&{extra}");
        parse_form(body.as_bytes(), 200).expect("a form")
    }

    fn inbound(extra: &str) -> Result<InboundForm, FormError> {
        InboundForm::from_fields(&form(extra))
    }

    #[test]
    fn a_text_is_read() {
        let message = inbound(&format!(
            "MessageSid={SID}&Body=ol%C3%A1&ProfileName=Ana&WaId=5511987654321"
        ))
        .expect("a message");
        assert_eq!(message.message_sid, SID);
        assert_eq!(message.from, "whatsapp:+5511987654321");
        assert_eq!(message.body, "olá");
        assert_eq!(message.profile_name.as_deref(), Some("Ana"));
        assert_eq!(message.num_media, 0);
    }

    #[test]
    fn a_voice_note_has_media_and_no_body() {
        let message = inbound(&format!(
            "MessageSid={SID}&NumMedia=2&MediaUrl0=https%3A%2F%2Fa%2F0&MediaContentType0=audio%2Fogg&MediaUrl1=https%3A%2F%2Fa%2F1"
        ))
        .expect("a message");
        assert_eq!(message.body, "");
        assert_eq!(message.media.len(), 2);
        assert_eq!(message.media[0].content_type.as_deref(), Some("audio/ogg"));
        assert_eq!(message.media[1].url, "https://a/1");
    }

    #[test]
    fn old_names_of_the_sid_are_taken() {
        for name in ["SmsSid", "SmsMessageSid"] {
            assert_eq!(
                inbound(&format!("{name}={SID}")).expect("a message").message_sid,
                SID
            );
        }
    }

    #[test]
    fn what_we_do_not_name_is_kept() {
        let message = inbound(&format!("MessageSid={SID}&ReferralBody=ad&Brandnew=1")).expect("a message");
        assert_eq!(message.field("Brandnew"), Some("1"));
        assert_eq!(message.field("ReferralBody"), Some("ad"));
        assert_eq!(message.field("Absent"), None);
    }

    #[test]
    fn what_is_missing_or_malformed_is_named() {
        assert_eq!(
            inbound("Body=hi"),
            Err(FormError::Missing { field: "MessageSid" })
        );
        assert_eq!(
            inbound("MessageSid=SM12"),
            Err(FormError::Malformed { field: "MessageSid" })
        );
        let call = format!("MessageSid={}", SID.replace("SM", "CA"));
        assert_eq!(inbound(&call), Err(FormError::Malformed { field: "MessageSid" }));
        assert_eq!(
            inbound(&format!("MessageSid={SID}&NumMedia=many")),
            Err(FormError::Malformed { field: "NumMedia" })
        );
        for field in ["AccountSid", "From", "To"] {
            let mut without = form(&format!("MessageSid={SID}"));
            without.retain(|(key, _)| key != field);
            assert_eq!(
                InboundForm::from_fields(&without),
                Err(FormError::Missing { field })
            );
        }
    }

    #[test]
    fn a_nul_does_not_reach_the_database() {
        let message = inbound(&format!("MessageSid={SID}&Body=a%00b&Odd%00=1")).expect("a message");
        assert_eq!(message.body, "a\u{FFFD}b");
        assert!(
            message
                .fields
                .iter()
                .all(|(key, value)| !key.contains('\0') && !value.contains('\0'))
        );
    }

    #[test]
    fn debug_shows_neither_text_nor_number_nor_name() {
        let message = inbound(&format!("MessageSid={SID}&Body=segredo&ProfileName=Ana")).expect("a message");
        let shown = format!("{message:?}");
        assert!(shown.contains(SID));
        for secret in ["segredo", "Ana", "5511987654321", "15550001"] {
            assert!(!shown.contains(secret), "{secret} in {shown}");
        }
    }

    proptest! {
        #[test]
        fn no_form_makes_it_panic(
            known in prop::collection::vec((prop::sample::select(vec!["MessageSid", "SmsSid", "AccountSid", "From", "To", "NumMedia", "MediaUrl0"]), ".{0,40}"), 0..12),
            other in prop::collection::vec((".{0,10}", ".{0,10}"), 0..6),
        ) {
            let mut fields: Vec<(String, String)> = known.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
            fields.extend(other);
            let _ = InboundForm::from_fields(&fields);
        }

        #[test]
        fn any_announced_number_of_media_is_bounded_by_the_form(announced in any::<u32>()) {
            let message = inbound(&format!("MessageSid={SID}&NumMedia={announced}&MediaUrl0=u")).expect("a message");
            prop_assert_eq!(message.media.len(), usize::from(announced > 0));
        }
    }
}
