//! The steps of Recado's workflows, one retried activity per file.
mod apply_statuses;
mod ask_specialist;
mod asked;
mod bench_step;
mod burst;
mod campaign_over;
mod check_billing;
mod environment;
mod faults;
mod fetch_media;
mod fetch_prices;
mod fetch_recording;
mod fetch_statuses;
mod find_instead;
mod find_recording;
mod group;
mod hand_off;
mod in_common;
mod keep_audio;
mod keep_media;
mod keep_prices;
mod keep_words;
mod list_received;
mod offline_agent;
mod open_conversation;
mod persist;
mod place_call;
mod record_call;
mod release_merged;
mod reply;
mod resolve_owner;
mod route_agent;
mod settle_people;
mod settle_person;
mod show_typing;
mod spent;
mod take_people;
mod transcribe;
mod transcribe_voice;
mod way_out;

pub use apply_statuses::ApplyStatuses;
pub use ask_specialist::AskSpecialist;
pub use bench_step::{BenchStep, BenchStepDone};
pub use campaign_over::CampaignOver;
pub use check_billing::{CheckBilling, Grant};
pub use environment::Environment;
pub use faults::twilio_code;
pub use fetch_media::{FetchMedia, Fetched};
pub use fetch_prices::{FetchPrices, Price, Prices};
pub use fetch_recording::FetchRecording;
pub use fetch_statuses::{Changed, FetchStatuses, Sending, Statuses};
pub use find_instead::{FindInstead, FoundInstead};
pub use find_recording::{FindRecording, FoundRecording};
pub use hand_off::{HandOff, HandedOff};
pub use in_common::InCommon;
pub use keep_audio::KeepAudio;
pub use keep_media::{Attached, KeepMedia};
pub use keep_prices::KeepPrices;
pub use keep_words::KeepWords;
pub use list_received::{ListAddresses, ListReceived, Missed, Received};
pub use open_conversation::{OpenConversation, Opened};
pub use persist::{Arrival, Persist};
pub use place_call::{CallScript, PlaceCall};
pub use record_call::RecordCall;
pub use release_merged::ReleaseMerged;
pub use reply::{Purpose, Reply, Sent, Withheld};
pub use resolve_owner::{Owner, ResolveOwner};
pub use route_agent::{Answer, RouteAgent, Routed, Way};
pub use settle_people::{Begun, SettlePeople};
pub use settle_person::{SettlePerson, Settled};
pub use show_typing::ShowTyping;
pub use spent::{Spending, Spent};
pub use take_people::{TakePeople, Taken, TakenPerson, Why};
pub use transcribe::Transcribe;
pub use transcribe_voice::TranscribeVoice;
pub use way_out::{Instead, SmsWay, may_go_otherwise};

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
        .activity::<PlaceCall>()
        .activity::<RecordCall>()
        .activity::<FindInstead>()
        .activity::<FindRecording>()
        .activity::<FetchRecording>()
        .activity::<KeepAudio>()
        .activity::<FetchStatuses>()
        .activity::<ApplyStatuses>()
        .activity::<FetchPrices>()
        .activity::<KeepPrices>()
        .activity::<ListAddresses>()
        .activity::<ListReceived>()
        .activity::<TakePeople>()
        .activity::<SettlePeople>()
        .activity::<SettlePerson>()
        .activity::<CampaignOver>()
        .activity::<BenchStep>()
}
