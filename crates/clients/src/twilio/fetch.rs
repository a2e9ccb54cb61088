//! Looks one thing up.

use super::call::CallResource;
use super::message::MessageResource;
use super::{Account, Call, Client, Credentials, Message, TwilioError};

impl Client {
    /// The message with this SID, as it stands now.
    ///
    /// # Errors
    /// [`TwilioError`]; 404 if the account has no such message.
    pub async fn fetch_message(&self, credentials: &Credentials, sid: &str) -> Result<Message, TwilioError> {
        let request = self
            .http
            .get(self.url(&credentials.account_sid, &["Messages", sid]));
        self.send::<MessageResource>(credentials, request)
            .await
            .map(Message::from)
    }

    /// The call with this SID, as it stands now.
    ///
    /// # Errors
    /// [`TwilioError`]; 404 if the account has no such call.
    pub async fn fetch_call(&self, credentials: &Credentials, sid: &str) -> Result<Call, TwilioError> {
        let request = self.http.get(self.url(&credentials.account_sid, &["Calls", sid]));
        self.send::<CallResource>(credentials, request)
            .await
            .map(Call::from)
    }

    /// The account itself; the cheapest proof that the credentials are right.
    ///
    /// # Errors
    /// [`TwilioError`]; class `Configuration` if the credentials are wrong.
    pub async fn fetch_account(&self, credentials: &Credentials) -> Result<Account, TwilioError> {
        let request = self.http.get(self.url(&credentials.account_sid, &[]));
        self.send(credentials, request).await
    }
}
