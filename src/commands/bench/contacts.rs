//! Contacts who write: signed webhooks, as Twilio posts them.
use anyhow::Context as _;
use recado_simulator::sign;
use secrecy::SecretString;

/// A question that the seed answers, so that the whole pipeline is gone through.
const QUESTION: &str = "Vocês fazem entrega?";

/// A Twilio account with one number, and what the contacts of one measurement write to it.
pub(super) struct Contacts {
    account: Account,
    webhook: String,
    http: reqwest::Client,
    /// What all SIDs of the measurement begin with.
    series: String,
    /// The number of the first contact.
    first: u64,
}

/// An account that the simulated Twilio and the database know.
#[derive(Clone, Copy)]
pub(super) struct Account {
    pub(super) sid: &'static str,
    pub(super) token: &'static str,
    /// The number that contacts write to.
    pub(super) number: &'static str,
}

impl Contacts {
    pub(super) fn new(account: Account, address: &str, http: reqwest::Client, first: u64) -> Self {
        Self {
            account,
            webhook: format!("{address}/api/v1/twilio/webhooks/inbound"),
            http,
            series: format!("SM{:016x}", (ulid::Ulid::generate().0 >> 48) as u64),
            first,
        }
    }

    /// What the keys of all runs of these contacts' messages begin with.
    pub(super) fn keys(&self) -> String {
        format!("{}:{}", self.account.sid, self.series)
    }

    /// The address of a contact.
    pub(super) fn address(&self, contact: u64) -> String {
        format!("whatsapp:+55119{:08}", (self.first + contact) % 100_000_000)
    }

    /// A contact, who never wrote before, asks something. Returns when that is acknowledged.
    ///
    /// # Errors
    /// When it is answered anything but 200.
    pub(super) async fn write(&self, contact: u64) -> anyhow::Result<()> {
        let Account { sid, token, number } = self.account;
        let fields = [
            ("MessageSid", format!("{}{contact:016x}", self.series)),
            ("AccountSid", sid.to_owned()),
            ("From", self.address(contact)),
            ("To", format!("whatsapp:{number}")),
            ("Body", QUESTION.to_owned()),
            ("NumMedia", "0".to_owned()),
        ];
        let fields = fields.map(|(name, value)| (name.to_owned(), value));
        let signature = sign(&SecretString::from(token), &self.webhook, &fields);
        let post = self
            .http
            .post(&self.webhook)
            .header("X-Twilio-Signature", signature);
        let answer = post
            .form(&fields)
            .send()
            .await
            .context("a webhook was not answered")?;
        let status = answer.status();
        // Read to its end, so that the connection is used again.
        answer.bytes().await?;
        anyhow::ensure!(status == 200, "a webhook was answered {status}");
        Ok(())
    }
}
