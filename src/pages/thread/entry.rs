//! What stands in a thread: a message, a run with its steps, a move of the conversation; in the order of time.
use chrono::{DateTime, Utc};
use recado_clients::twilio;
use recado_domain::{Actor, Direction};
use recado_engine::{Event, Run};
use recado_store::{
    messages::{Message, StatusEvent},
    transitions::Step,
};

use super::{EVENTS, Seen};
use crate::pages::{
    language::tell,
    media::Attachments,
    moment::{Moment, between},
    runs::Waits,
    sight::Sight,
    state::{Mark, of_conversation},
    text::{masked, short},
    time_line::{Drawing, Span, TimeLine},
};
use crate::t;

/// One thing that happened.
pub(super) enum Entry<'a> {
    Said(Box<Said<'a>>),
    Done(Box<Done<'a>>),
    Moved(Moved),
}

/// A message.
pub(super) struct Said<'a> {
    pub(super) id: String,
    pub(super) inbound: bool,
    pub(super) body: String,
    /// What it is, where it is more than text.
    pub(super) kind: Option<String>,
    /// What is attached to it, where texts are shown whole.
    pub(super) attachments: Option<&'a Attachments>,
    pub(super) status: Option<&'static str>,
    pub(super) error: Option<String>,
    pub(super) sid: Option<String>,
    pub(super) part: i64,
    /// The run that received or sent it, if it is there.
    pub(super) run: Option<String>,
    pub(super) at: Moment,
    pub(super) heard: Vec<Heard>,
}

/// What Twilio said of a message.
pub(super) struct Heard {
    pub(super) status: String,
    pub(super) error: Option<String>,
    pub(super) at: Moment,
    /// Since the message was made.
    pub(super) after: String,
}

/// A run.
pub(super) struct Done<'a> {
    pub(super) id: &'a str,
    pub(super) short: &'a str,
    pub(super) workflow: &'a str,
    pub(super) mark: Mark,
    pub(super) outcome: Option<&'a str>,
    pub(super) waits: Option<Waits>,
    pub(super) error: Option<String>,
    pub(super) at: Moment,
    pub(super) took: Option<String>,
    pub(super) drawing: Drawing<'a>,
    /// What the ids of its elements begin with.
    pub(super) folder: &'a str,
    pub(super) is_cut: bool,
}

/// A move of the conversation from state to state.
pub(super) struct Moved {
    pub(super) from: &'static str,
    pub(super) to: &'static str,
    pub(super) actor: &'static str,
    pub(super) reason: String,
    pub(super) at: Moment,
}

/// All of it, the earliest first. What happened at the same time stands in the order of cause and effect.
pub(super) fn merge<'a>(seen: &'a Seen, sight: &'a Sight) -> Vec<Entry<'a>> {
    let said = seen.messages.iter().map(|message| {
        let heard = seen
            .heard
            .iter()
            .filter(|heard| heard.message == message.id.as_str());
        let order = if message.direction == Direction::Inbound {
            0
        } else {
            3
        };
        let known = |id: &&String| seen.runs.iter().any(|run| run.id.as_str() == id.as_str());
        let run = message.run.as_ref().filter(known).cloned();
        let said = Said {
            run,
            attachments: seen.attachments.get(&message.id),
            ..Said::of(message, heard, sight)
        };
        ((message.created_at, order), Entry::Said(Box::new(said)))
    });
    let done = seen.runs.iter().map(|run| {
        let events = seen.events.iter().filter(|(id, _)| *id == run.id);
        let events: Vec<Event> = events.map(|(_, event)| event.clone()).collect();
        // A run is an effect of its message, whatever two clocks say.
        let begun = seen
            .messages
            .iter()
            .filter(|message| {
                message.direction == Direction::Inbound && message.run.as_deref() == Some(run.id.as_str())
            })
            .map(|message| message.created_at)
            .max();
        let at = begun.map_or(run.created_at, |begun| begun.max(run.created_at));
        ((at, 1), Entry::Done(Box::new(Done::of(run, &events, sight))))
    });
    let moved = seen
        .moves
        .iter()
        .map(|step| ((step.at, 2), Entry::Moved(Moved::of(step))));
    let mut entries: Vec<((DateTime<Utc>, u8), Entry<'_>)> = said.chain(done).chain(moved).collect();
    // Messages come the latest first: equals are turned round with them.
    entries.reverse();
    entries.sort_by_key(|(when, _)| *when);
    entries.into_iter().map(|(_, entry)| entry).collect()
}

impl Said<'_> {
    fn of<'a>(message: &Message, heard: impl Iterator<Item = &'a StatusEvent>, sight: &Sight) -> Self {
        let code = |code: i64| {
            let known = u32::try_from(code).ok().and_then(twilio::known);
            known.map_or_else(|| code.to_string(), |known| format!("{code}: {}", known.told()))
        };
        let told = |text: &String| masked(text);
        Self {
            id: message.id.to_string(),
            inbound: message.direction == Direction::Inbound,
            body: sight.said(&message.body),
            kind: Some(message.kind.clone()).filter(|kind| kind != "text"),
            status: message.status.map(|status| status.as_str()),
            error: message
                .error_code
                .map(code)
                .or_else(|| message.error_message.as_ref().map(told)),
            sid: message.twilio_sid.clone(),
            part: message.part,
            attachments: None,
            run: None,
            at: Moment::relative(message.created_at),
            heard: heard
                .map(|heard| Heard {
                    status: heard.status.clone(),
                    error: heard.error_code.map(code),
                    at: Moment::relative(heard.at),
                    after: between(message.created_at, heard.at),
                })
                .collect(),
        }
    }
}

impl<'a> Done<'a> {
    fn of(run: &'a Run, events: &[Event], sight: &'a Sight) -> Self {
        let is_cut = events.len() >= EVENTS as usize;
        let span = Span {
            begins: true,
            ends: !is_cut,
        };
        let id = run.id.as_str();
        Self {
            id,
            short: short(id),
            workflow: &run.workflow,
            mark: Mark(run.state),
            outcome: run.outcome.as_deref(),
            waits: Waits::of(run),
            error: run.error.as_deref().filter(|_| !run.state.is_final()).map(masked),
            at: Moment::relative(run.created_at),
            took: run.finished_at.map(|finished| between(run.created_at, finished)),
            drawing: Drawing {
                time_line: TimeLine::of(run, events, span, Utc::now()),
                sight,
                run: id,
                folder: id,
            },
            folder: id,
            is_cut,
        }
    }
}

impl Moved {
    fn of(step: &Step) -> Self {
        Self {
            from: of_conversation(&step.from),
            to: of_conversation(&step.to),
            actor: match step.actor {
                Actor::Contact => t("contact"),
                Actor::Agent => t("agent"),
                Actor::Human => t("human"),
                Actor::System => t("system"),
            },
            reason: masked(&step.reason),
            at: Moment::relative(step.at),
        }
    }

    pub(super) fn sentence(&self) -> String {
        let given = [
            ("from", self.from.to_owned()),
            ("to", self.to.to_owned()),
            ("actor", self.actor.to_owned()),
        ];
        tell("from {from} to {to}, by {actor}", &given)
    }
}
