//! A webhook that is not as it should be: what Twilio's own never are.
use recado_simulator::sign;
use secrecy::SecretString;

use super::{ACCOUNT, Answered, NUMBER, TOKEN, World, contact};

pub(crate) fn inbound_url(base: &str) -> String {
    format!("{base}/api/v1/twilio/webhooks/inbound")
}

/// A webhook, to be bent before it is sent.
pub(crate) struct Webhook {
    pub(crate) url: String,
    pub(crate) fields: Vec<(String, String)>,
    pub(crate) signature: Option<String>,
}

impl Webhook {
    /// A message with a SID of its own, signed as it should be.
    pub(crate) fn new(world: &World, number: u32, body: &str) -> Self {
        let fields = [
            ("MessageSid", format!("SM{number:032x}")),
            ("AccountSid", ACCOUNT.to_owned()),
            ("From", contact(number)),
            ("To", format!("whatsapp:{NUMBER}")),
            ("Body", body.to_owned()),
        ];
        let fields = fields.map(|(name, value)| (name.to_owned(), value)).to_vec();
        Self {
            url: inbound_url(&world.url),
            fields,
            signature: None,
        }
        .signed()
    }

    /// With a field changed, or added, or left out where there is no value.
    pub(crate) fn with(mut self, name: &str, value: Option<&str>) -> Self {
        self.fields.retain(|(known, _)| known != name);
        self.fields
            .extend(value.map(|value| (name.to_owned(), value.to_owned())));
        self.signed()
    }

    /// Signed for what it is now.
    pub(crate) fn signed(mut self) -> Self {
        self.signature = Some(sign(&SecretString::from(TOKEN), &self.url, &self.fields));
        self
    }

    pub(crate) fn request(&self, world: &World) -> reqwest::RequestBuilder {
        let request = world.client.post(&self.url).form(&self.fields);
        match &self.signature {
            Some(signature) => request.header("X-Twilio-Signature", signature),
            None => request,
        }
    }

    pub(crate) async fn post(&self, world: &World) -> Answered {
        Answered::of(self.request(world)).await.unwrap()
    }
}
