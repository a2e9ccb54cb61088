//! The steps of Recado's workflows, one retried activity per file.
mod ask_specialist;
mod asked;
mod bench_step;
mod burst;
mod check_billing;
mod environment;
mod faults;
mod fetch_media;
mod group;
mod hand_off;
mod in_common;
mod keep_media;
mod keep_words;
mod offline_agent;
mod open_conversation;
mod persist;
mod release_merged;
mod reply;
mod resolve_owner;
mod route_agent;
mod show_typing;
mod transcribe;
mod transcribe_voice;

pub use ask_specialist::AskSpecialist;
pub use bench_step::{BenchStep, BenchStepDone};
pub use check_billing::{CheckBilling, Grant};
pub use environment::Environment;
pub use faults::twilio_code;
pub use fetch_media::{FetchMedia, Fetched};
pub use hand_off::{HandOff, HandedOff};
pub use in_common::InCommon;
pub use keep_media::{Attached, KeepMedia};
pub use keep_words::KeepWords;
pub use open_conversation::{OpenConversation, Opened};
pub use persist::{Arrival, Persist};
pub use release_merged::ReleaseMerged;
pub use reply::{Purpose, Reply, Sent, Withheld};
pub use resolve_owner::{Owner, ResolveOwner};
pub use route_agent::{Answer, RouteAgent, Routed, Way};
pub use show_typing::ShowTyping;
pub use transcribe::Transcribe;
pub use transcribe_voice::TranscribeVoice;

/// Makes every activity known to an engine.
#[must_use]
pub fn register(
    engine: recado_engine::EngineBuilder<Environment>,
) -> recado_engine::EngineBuilder<Environment> {
    engine
        .activity::<ResolveOwner>()
        .activity::<CheckBilling>()
        .activity::<Persist>()
        .activity::<OpenConversation>()
        .activity::<FetchMedia>()
        .activity::<KeepMedia>()
        .activity::<Transcribe>()
        .activity::<TranscribeVoice>()
        .activity::<KeepWords>()
        .activity::<ShowTyping>()
        .activity::<RouteAgent>()
        .activity::<AskSpecialist>()
        .activity::<HandOff>()
        .activity::<ReleaseMerged>()
        .activity::<Reply>()
        .activity::<BenchStep>()
}
