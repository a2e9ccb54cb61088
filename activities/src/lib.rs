//! The steps of Recado's workflows, one retried activity per file.
mod ask_specialist;
mod asked;
mod bench_step;
mod burst;
mod campaign_over;
mod check_billing;
mod environment;
mod faults;
mod group;
mod hand_off;
mod in_common;
mod offline_agent;
mod open_conversation;
mod persist;
mod release_merged;
mod reply;
mod resolve_owner;
mod route_agent;
mod settle_people;
mod take_people;
mod transcribe;

pub use ask_specialist::AskSpecialist;
pub use bench_step::{BenchStep, BenchStepDone};
pub use campaign_over::CampaignOver;
pub use check_billing::{CheckBilling, Grant};
pub use environment::Environment;
pub use faults::twilio_code;
pub use hand_off::{HandOff, HandedOff};
pub use in_common::InCommon;
pub use open_conversation::{OpenConversation, Opened};
pub use persist::{Arrival, Persist};
pub use release_merged::ReleaseMerged;
pub use reply::{Purpose, Reply, Sent, Withheld};
pub use resolve_owner::{Owner, ResolveOwner};
pub use route_agent::{Answer, RouteAgent, Routed, Way};
pub use settle_people::{PersonReport, SettlePeople, Settled};
pub use take_people::{TakePeople, Taken, TakenPerson, Why};
pub use transcribe::Transcribe;

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
        .activity::<Transcribe>()
        .activity::<RouteAgent>()
        .activity::<AskSpecialist>()
        .activity::<HandOff>()
        .activity::<ReleaseMerged>()
        .activity::<Reply>()
        .activity::<TakePeople>()
        .activity::<SettlePeople>()
        .activity::<CampaignOver>()
        .activity::<BenchStep>()
}
