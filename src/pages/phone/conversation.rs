//! The messages between a contact and a business, as bubbles.
use askama::{Template, filters::HtmlSafe};
use recado_clients::twilio;
use recado_simulator::{Direction, Message, Status};
use url::Url;

use super::parties::Parties;
use crate::{dev::telephone::Telephone, pages::moment::Moment};

/// How many messages are shown, the newest.
const SHOWN: usize = 200;

#[derive(Template)]
#[template(path = "conversation.html")]
pub(super) struct Conversation {
    bubbles: Vec<Bubble>,
    /// The last message, while nothing has come after it: `{account}/{sid}`.
    unanswered: Option<String>,
}

impl HtmlSafe for Conversation {}

struct Bubble {
    sid: String,
    inbound: bool,
    body: String,
    attached: Vec<String>,
    /// What the customer sent along, as the simulator keeps it.
    media: Vec<Attached>,
    at: Moment,
    run: Option<String>,
    status: Status,
    /// Why it did not arrive.
    error: Option<String>,
}

/// A file on the customer's side.
struct Attached {
    url: String,
    kind: &'static str,
}

impl Attached {
    fn of(telephone: &Telephone, sid: &str) -> Option<Self> {
        let media = telephone.simulator.media(sid)?;
        let kind = match media.content_type.split('/').next() {
            Some("image") => "image",
            Some("audio") => "audio",
            Some("video") => "video",
            _ => "file",
        };
        let url = format!("/_simulator/media/{sid}");
        Some(Self { url, kind })
    }
}

impl Conversation {
    pub(super) fn of(telephone: &Telephone, parties: &Parties) -> Self {
        let (contact, business) = (parties.contact_address(), parties.business_address());
        let messages = telephone.simulator.book().conversation(&contact, SHOWN);
        let mut messages: Vec<_> = messages
            .iter()
            .filter(|message| message.account == telephone.account)
            // A messaging service chooses the sender by itself.
            .filter(|message| us(message) == business || message.messaging_service.is_some())
            .collect();
        messages.sort_by_key(|message| message.created);
        let last = messages
            .last()
            .filter(|last| last.direction == Direction::Inbound);
        Self {
            unanswered: last.map(|last| format!("{}/{}", last.account, last.sid)),
            bubbles: messages
                .into_iter()
                .map(|message| Bubble::of(telephone, message))
                .collect(),
        }
    }
}

fn us(message: &Message) -> &str {
    match message.direction {
        Direction::Inbound => &message.to,
        Direction::Outbound => &message.from,
    }
}

impl Bubble {
    fn of(telephone: &Telephone, message: &Message) -> Self {
        let inbound = message.direction == Direction::Inbound;
        let (ours, theirs) = match inbound {
            true => (message.media.as_slice(), &[][..]),
            false => (&[][..], message.media.as_slice()),
        };
        let template = message
            .content
            .as_ref()
            .map(|content| format!("template {content}"));
        Self {
            sid: message.sid.clone(),
            inbound,
            media: ours
                .iter()
                .filter_map(|sid| Attached::of(telephone, sid))
                .collect(),
            body: message.body.clone(),
            attached: theirs.iter().cloned().chain(template).collect(),
            at: Moment::local(message.created),
            run: run_of(message),
            status: message.status(),
            error: message.error_code().map(failure),
        }
    }

    /// What the contact's telephone shows of a message of ours.
    fn ticks(&self) -> &'static str {
        match self.status {
            Status::Queued | Status::Accepted => "·",
            Status::Sent => "✓",
            Status::Delivered | Status::Read => "✓✓",
            Status::Undelivered | Status::Failed => "!",
            Status::Received => "",
        }
    }
}

/// What Twilio's error means, and what a person can do.
fn failure(code: u32) -> String {
    match twilio::known(code) {
        Some(known) => format!("{code}: {}", known.told()),
        None => format!("{code}."),
    }
}

/// Where the run is that an inbound message started, or that sent an outbound one: the token in the address for its
/// status is the run's id and the number of the step.
fn run_of(message: &Message) -> Option<String> {
    if message.direction == Direction::Inbound {
        return Some(format!("/runs/by-message/{}/{}", message.account, message.sid));
    }
    let callback = Url::parse(message.status_callback.as_deref()?).ok()?;
    let (_, token) = callback.query_pairs().find(|(name, _)| name == "token")?;
    let run = token.split('-').next()?;
    let plain = !run.is_empty() && run.bytes().all(|byte| byte.is_ascii_alphanumeric());
    plain.then(|| format!("/runs/{run}"))
}
