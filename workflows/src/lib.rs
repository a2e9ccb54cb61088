//! Recado's durable workflows, one per file. They name no database, no client and no clock.
mod attachments;
mod bench_steps;
mod campaign;
mod delivery;
mod inbound_message;
mod keep_recording;
mod letter;
mod make_call;
mod receive_call;
mod reconcile;
mod send_batch;
mod send_instead;
mod send_message;
mod write_to_people;

pub use bench_steps::{BenchSteps, BenchStepsDone};
pub use campaign::{Campaign, CampaignChanged, CampaignEnd};
pub use delivery::{Delivery, Ending, SendError};
pub use inbound_message::{InboundMessage, Reception};
pub use keep_recording::{KeepRecording, Keeping};
pub use letter::InsteadOf;
pub use make_call::MakeCall;
use recado_activities::Environment;
use recado_engine::EngineBuilder;
pub use receive_call::{CallReception, ReceiveCall};
pub use reconcile::{Mended, Reconcile};
pub use send_batch::{BatchReport, BatchRow, Limited, RowError, RowReport, SendBatch};
pub use send_instead::{Redirection, SendInstead};
pub use send_message::{OfCampaign, SendMessage};
pub use write_to_people::{OnTheWay, WriteToPeople};

/// Makes every workflow known to an engine.
#[must_use]
pub fn register(engine: EngineBuilder<Environment>) -> EngineBuilder<Environment> {
    engine
        .workflow::<InboundMessage>()
        .workflow::<SendMessage>()
        .workflow::<SendBatch>()
        .workflow::<SendInstead>()
        .workflow::<MakeCall>()
        .workflow::<ReceiveCall>()
        .workflow::<KeepRecording>()
        .workflow::<Reconcile>()
        .workflow::<Campaign>()
        .workflow::<WriteToPeople>()
        .workflow::<BenchSteps>()
}
