//! The form fields of Twilio's webhooks.

use super::resource;
use crate::address;
use crate::entry::{Message, Status};

/// Fields of an inbound message's webhook; `extra` replaces or adds.
pub(crate) fn inbound_params(
    message: &Message,
    profile_name: Option<&str>,
    extra: &[(String, String)],
) -> Vec<(String, String)> {
    let mut params: Vec<(&str, String)> = vec![
        ("MessageSid", message.sid.clone()),
        ("SmsSid", message.sid.clone()),
        ("SmsMessageSid", message.sid.clone()),
        ("SmsStatus", "received".to_owned()),
        ("AccountSid", message.account.clone()),
        ("From", message.from.clone()),
        ("To", message.to.clone()),
        ("NumMedia", "0".to_owned()),
        ("NumSegments", resource::segments(message).to_string()),
        ("ApiVersion", "2010-04-01".to_owned()),
    ];
    if !message.body.is_empty() {
        params.push(("Body", message.body.clone()));
    }
    if address::is_whatsapp(&message.from) {
        let number = address::without_channel(&message.from);
        params.push(("WaId", number.trim_start_matches('+').to_owned()));
        params.push(("MessageType", "text".to_owned()));
        params.push(("ReferralNumMedia", "0".to_owned()));
    }
    if let Some(service) = &message.messaging_service {
        params.push(("MessagingServiceSid", service.clone()));
    }
    if let Some(name) = profile_name {
        params.push(("ProfileName", name.to_owned()));
    }
    params.retain(|(key, _)| !extra.iter().any(|(replaced, _)| replaced == key));
    let own = params.into_iter().map(|(key, value)| (key.to_owned(), value));
    own.chain(extra.iter().cloned()).collect()
}

/// Fields of a status callback.
pub(crate) fn callback_params(
    message: &Message,
    status: Status,
    error_code: Option<u32>,
) -> Vec<(String, String)> {
    let mut params: Vec<(&str, String)> = vec![
        ("MessageSid", message.sid.clone()),
        ("SmsSid", message.sid.clone()),
        ("MessageStatus", status.as_str().to_owned()),
        ("SmsStatus", status.as_str().to_owned()),
        ("AccountSid", message.account.clone()),
        ("From", message.from.clone()),
        ("To", message.to.clone()),
        ("ApiVersion", "2010-04-01".to_owned()),
    ];
    if let Some(service) = &message.messaging_service {
        params.push(("MessagingServiceSid", service.clone()));
    }
    if let Some(code) = error_code {
        params.push(("ErrorCode", code.to_string()));
    }
    if address::is_whatsapp(&message.to) {
        params.push(("ChannelPrefix", "whatsapp".to_owned()));
        params.push(("ChannelToAddress", message.to.clone()));
        params.push(("EventType", status.as_str().to_uppercase()));
    }
    params
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value))
        .collect()
}
