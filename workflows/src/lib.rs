//! Recado's durable workflows, one per file. They name no database, no client and no clock.
mod bench_steps;
mod campaign;
mod inbound_message;
mod send_batch;
mod send_message;

pub use bench_steps::{BenchSteps, BenchStepsDone};
pub use campaign::{Campaign, CampaignChanged, CampaignEnd};
pub use inbound_message::{InboundMessage, Reception};
use recado_activities::Environment;
use recado_engine::EngineBuilder;
pub use send_batch::{BatchReport, BatchRow, Limited, RowError, RowReport, SendBatch};
pub use send_message::{Delivery, Ending, SendError, SendMessage};

/// Makes every workflow known to an engine.
#[must_use]
pub fn register(engine: EngineBuilder<Environment>) -> EngineBuilder<Environment> {
    engine
        .workflow::<InboundMessage>()
        .workflow::<SendMessage>()
        .workflow::<SendBatch>()
        .workflow::<Campaign>()
        .workflow::<BenchSteps>()
}
