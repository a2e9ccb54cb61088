//! A durable engine: workflows of retried activities, checkpointed in SQLite or Postgres.
//!
//! It knows no message, no vendor and no HTTP. A [`Workflow`] is a serialisable struct whose `run` is replayed against
//! its journal after a crash; an [`Activity`] is one step with an [`Effect`] that says what a crash may repeat of it.
//! [`Engine`] starts runs and works on them.
mod activity;
mod canonical;
mod classes;
mod context;
mod crash;
mod desk;
pub mod dispatch;
mod ends;
mod engine;
mod erased;
mod execute;
mod export;
mod fault;
mod journal;
mod lease;
mod mailbox;
mod purge;
mod registry;
mod retry;
mod run;
mod schedule;
mod schedules;
mod settings;
mod spans;
mod storage;
mod surroundings;
#[cfg(feature = "testing")]
pub mod testing;
mod ticks;
mod worker;
mod workflow;

pub use activity::{Activity, Attempt, Effect, Joint, Prepared, Reconciled, Undecided};
pub use context::{
    Ask, Child, ChildRun, Context, Gathered, Group, OnClose, Own, Patience, Race, Receive, Signal, Sleep,
};
pub use engine::{Engine, EngineBuilder, Start, StartError};
pub use export::{Export, ExportedEvent, ExportedSignal};
pub use fault::{Failure, Fault};
pub use journal::{Event, EventKind};
pub use retry::Retry;
pub(crate) use run::NewRun;
pub use run::{Run, RunId, RunState, Started};
pub use schedule::{Backfilled, Fired, NewSchedule, Overlap, Schedule, ScheduleError};
pub use schedules::Schedules;
pub use settings::Settings;
pub use storage::{
    Act, Backlog, Before, Began, Cause, Codec, ControlError, Decision, Filter, Finished, HeldLane, Kind,
    LONG, Link, Mode, Offspring, Order, Page, Policy, Published, Retention, Storage, StorageError,
    StorageOptions, Stuck, Touched, Worker, is_transient,
};
pub use workflow::{Outcome, Workflow};
