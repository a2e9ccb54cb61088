//! Makes a call.

use std::fmt;

use super::call::CallResource;
use super::{Call, Client, Credentials, TwilioError};

/// A call to make. Twilio takes no idempotency key: made twice, it rings twice.
///
/// Source: <https://www.twilio.com/docs/voice/api/call-resource#create-a-call-resource>.
#[derive(Clone, PartialEq, Eq)]
pub struct CreateCall {
    /// Whom to call, `+…`.
    pub to: String,
    /// One of the account's numbers, `+…`.
    pub from: String,
    /// What becomes of it once it is answered.
    pub script: CallScript,
    /// How long it rings, in seconds, 600 at most; 60 if absent.
    pub timeout: Option<u32>,
    /// Where Twilio shall post what becomes of the recording; not recorded if absent.
    pub recording_callback: Option<String>,
    /// Whether Twilio shall find out who answers, in its words: `Enable` or `DetectMessageEnd`.
    pub machine_detection: Option<String>,
    /// Where Twilio shall post how far the call has come.
    pub status_callback: Option<String>,
}

/// What becomes of a call once it is answered.
#[derive(Clone, PartialEq, Eq)]
pub enum CallScript {
    /// TwiML, at most 4000 characters.
    Twiml(String),
    /// Where Twilio fetches TwiML.
    Url(String),
}

impl Client {
    /// Asks Twilio, once, to make a call. Success means that Twilio took it, not that anybody answered.
    ///
    /// # Errors
    /// [`TwilioError`]; where [`TwilioError::may_have_happened`], somebody's telephone may be ringing, and the call must
    /// be looked for before it is ever made again.
    pub async fn create_call(
        &self,
        credentials: &Credentials,
        call: &CreateCall,
    ) -> Result<Call, TwilioError> {
        let url = self.url(&credentials.account_sid, &["Calls"]);
        let request = self.http.post(url).form(&call.form());
        self.send::<CallResource>(credentials, request)
            .await
            .map(Call::from)
    }
}

impl CreateCall {
    fn form(&self) -> Vec<(&'static str, String)> {
        let mut form = vec![("To", self.to.clone()), ("From", self.from.clone())];
        form.push(match &self.script {
            CallScript::Twiml(twiml) => ("Twiml", twiml.clone()),
            CallScript::Url(url) => ("Url", url.clone()),
        });
        form.extend(self.timeout.map(|seconds| ("Timeout", seconds.to_string())));
        if let Some(callback) = &self.recording_callback {
            form.push(("Record", "true".to_owned()));
            form.push(("RecordingStatusCallback", callback.clone()));
            form.push((
                "RecordingStatusCallbackEvent",
                "in-progress completed absent".to_owned(),
            ));
        }
        form.extend(
            self.machine_detection
                .as_ref()
                .map(|word| ("MachineDetection", word.clone())),
        );
        if let Some(callback) = &self.status_callback {
            form.push(("StatusCallback", callback.clone()));
            let events = ["initiated", "ringing", "answered", "completed"];
            form.extend(events.map(|event| ("StatusCallbackEvent", event.to_owned())));
        }
        form
    }
}

/// Says nothing of who is told what.
impl fmt::Debug for CreateCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CreateCall")
            .field("timeout", &self.timeout)
            .field("is_recorded", &self.recording_callback.is_some())
            .finish_non_exhaustive()
    }
}
