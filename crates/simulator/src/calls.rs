//! Telephone calls: what the book holds of them.

pub(crate) mod inbound;
pub(crate) mod outbound;
mod twiml;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::entry::Direction;
use crate::voice;

/// A call of either direction, as it stands; a line of the book for each change of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Call {
    /// `CA…`.
    pub sid: String,
    /// The account's SID.
    pub account: String,
    /// Which way it goes.
    pub direction: Direction,
    /// Who calls.
    pub from: String,
    /// Who is called.
    pub to: String,
    /// `Twiml` of an outbound call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub twiml: Option<String>,
    /// `Url` of an outbound call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// `MachineDetection` of an outbound call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub machine_detection: Option<String>,
    /// Whether all of it is recorded.
    #[serde(default)]
    pub record: bool,
    /// Where its statuses are posted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status_callback: Option<String>,
    /// Which of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub status_events: Vec<String>,
    /// Where the statuses of its recordings are posted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recording_callback: Option<String>,
    /// When Twilio took it.
    pub created: DateTime<Utc>,
    /// All its statuses, the first one included, oldest first.
    pub statuses: Vec<(CallStatus, DateTime<Utc>)>,
    /// What was said to the person.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub heard: Vec<String>,
    /// How long it was, in seconds, once it has ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration: Option<u32>,
    /// Who answered, where that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answered_by: Option<String>,
    /// What was recorded.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub recordings: Vec<Recording>,
}

/// A recording of a call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Recording {
    /// `RE…`.
    pub sid: String,
    /// How long it is, in seconds.
    pub seconds: u32,
    /// What was said, as far as somebody was told to say something.
    pub said: String,
}

/// A call's status in Twilio's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CallStatus {
    /// Waits.
    Queued,
    /// Handed to the carrier.
    Initiated,
    /// Rings.
    Ringing,
    /// Answered.
    InProgress,
    /// Answered and over.
    Completed,
    /// Not answered: busy.
    Busy,
    /// Not answered.
    NoAnswer,
    /// Could not be put through.
    Failed,
}

impl CallStatus {
    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Initiated => "initiated",
            Self::Ringing => "ringing",
            Self::InProgress => "in-progress",
            Self::Completed => "completed",
            Self::Busy => "busy",
            Self::NoAnswer => "no-answer",
            Self::Failed => "failed",
        }
    }

    /// Of which `StatusCallbackEvent` it is told.
    fn event(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Initiated => "initiated",
            Self::Ringing => "ringing",
            Self::InProgress => "answered",
            Self::Completed | Self::Busy | Self::NoAnswer | Self::Failed => "completed",
        }
    }
}

impl Call {
    /// Its present status.
    pub fn status(&self) -> CallStatus {
        self.statuses
            .last()
            .map_or(CallStatus::Queued, |(status, _)| *status)
    }

    fn is(&mut self, status: CallStatus) {
        self.statuses.push((status, Utc::now()));
    }

    /// The fields of a webhook about it.
    fn params(&self) -> Vec<(String, String)> {
        let mut params = vec![
            ("CallSid", self.sid.clone()),
            ("AccountSid", self.account.clone()),
            ("From", self.from.clone()),
            ("To", self.to.clone()),
            ("CallStatus", self.status().as_str().to_owned()),
            ("ApiVersion", "2010-04-01".to_owned()),
            (
                "Direction",
                match self.direction {
                    Direction::Inbound => "inbound".to_owned(),
                    Direction::Outbound => "outbound-api".to_owned(),
                },
            ),
        ];
        params.extend(self.answered_by.clone().map(|who| ("AnsweredBy", who)));
        owned(params)
    }

    /// The fields of a status callback about it.
    fn status_params(&self) -> Vec<(String, String)> {
        let mut params = self.params();
        params.push(("CallbackSource".to_owned(), "call-progress-events".to_owned()));
        params.push(("SequenceNumber".to_owned(), (self.statuses.len() - 1).to_string()));
        params.extend(
            self.duration
                .map(|seconds| ("CallDuration".to_owned(), seconds.to_string())),
        );
        params
    }

    /// The fields of a callback about one of its recordings.
    fn recording_params(&self, recording: &Recording, status: &str, api: &str) -> Vec<(String, String)> {
        let mut params = vec![
            ("AccountSid", self.account.clone()),
            ("CallSid", self.sid.clone()),
            ("RecordingSid", recording.sid.clone()),
            ("RecordingUrl", recording.url(api, &self.account)),
            ("RecordingStatus", status.to_owned()),
            ("RecordingChannels", "1".to_owned()),
            ("RecordingSource", "StartCallRecordingAPI".to_owned()),
        ];
        if status == "completed" {
            params.push(("RecordingDuration", recording.seconds.to_string()));
        }
        owned(params)
    }
}

impl Recording {
    /// Where it is, below the API at `api`.
    fn url(&self, api: &str, account: &str) -> String {
        format!("{api}/2010-04-01/Accounts/{account}/Recordings/{}", self.sid)
    }

    /// Its audio: silent MP3, 128 kbit/s, a frame of 26 ms for each second. What was said stands in a tag, where a
    /// transcription finds it.
    pub(crate) fn audio(&self) -> Vec<u8> {
        let mut audio = tag(&self.said);
        for _ in 0..self.seconds.clamp(1, 600) {
            audio.extend([0xff, 0xfb, 0x90, 0x64]);
            audio.extend(std::iter::repeat_n(0, 413));
        }
        audio
    }
}

/// An ID3v2.3 tag with one private frame. Source: ID3 tag version 2.3.0, sections 3.1 and 4.28.
fn tag(words: &str) -> Vec<u8> {
    let content = [b"simulator\0".as_slice(), &voice::comment(words)].concat();
    let size = |content: &[u8]| u32::try_from(content.len()).unwrap_or_default();
    let frame = [
        b"PRIV".as_slice(),
        &size(&content).to_be_bytes(),
        &[0, 0],
        &content,
    ]
    .concat();
    // Seven bits a byte.
    let length = [21, 14, 7, 0].map(|shift| (size(&frame) >> shift & 0x7f) as u8);
    [b"ID3\x03\0\0".as_slice(), &length, &frame].concat()
}

fn owned(params: Vec<(&str, String)>) -> Vec<(String, String)> {
    params
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}
