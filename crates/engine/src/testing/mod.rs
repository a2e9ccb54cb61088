//! For tests of workflows: time that takes none, activities that do what a script says, processes that die where a test
//! wants it, and the replay of recorded histories.
//!
//! [`TestEngine`] is the engine itself on an SQLite file, with its journal, its replay and its lanes. Only what surrounds
//! it is made up: the clock stands until nothing can go on without it, and activities come from a [`Script`] or are
//! those of the engine that it was given. [`replay`] needs no database at all.
//!
//! ```
//! use std::{sync::Arc, time::Duration};
//!
//! use recado_engine::{
//!     Activity, Attempt, Context, Effect, EngineBuilder, Fault, Start, Workflow,
//!     testing::{Script, TestEngine, replay_export},
//! };
//! use recado_testkit::TestDatabase;
//! use serde::{Deserialize, Serialize};
//!
//! # struct Mailer;
//! #[derive(Debug, PartialEq, Serialize, Deserialize)]
//! struct Remind {
//!     whom: String,
//! }
//!
//! impl Activity<Mailer> for Remind {
//!     const NAME: &'static str = "remind";
//!     const EFFECT: Effect = Effect::Once;
//!     type Output = ();
//! #   async fn run(&self, _: &Mailer, _: &Attempt<'_>) -> Result<(), Fault> { Ok(()) }
//!     // …
//! }
//!
//! /// Reminds somebody after a week.
//! #[derive(Serialize, Deserialize)]
//! struct Reminder {
//!     whom: String,
//! }
//!
//! impl Workflow for Reminder {
//!     const NAME: &'static str = "reminder";
//!     type Output = ();
//!
//!     async fn run(self, ctx: &mut Context) -> Result<(), Fault> {
//!         ctx.sleep(Duration::from_secs(7 * 24 * 3600)).await?;
//!         ctx.run(Remind { whom: self.whom }).await
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let database = TestDatabase::in_memory().await;
//! // The first call fails. The second happens, and the process dies before it is written down.
//! let script = Script::new()
//!     .fails_once::<Remind, _>(Fault::retry("busy", "not now"))
//!     .crashes_once::<Remind, _>(());
//! let workflows = EngineBuilder::new(Arc::new(())).workflow::<Reminder>();
//! let mut engine = TestEngine::new(workflows, script.clone(), database.url()).await;
//!
//! let run = engine.start(&Reminder { whom: "Ana".into() }, Start::default()).await;
//! engine.settle().await;
//!
//! engine.output::<Reminder>(&run).await;
//! assert_eq!((script.calls::<Remind, _>().len(), engine.processes()), (2, 2));
//! replay_export::<Reminder>(&engine.export(&run).await).unwrap();
//! # }
//! ```
mod encoding;
mod engine;
mod memory;
mod replay;
mod script;
mod scripted;
mod simulation;
mod trial;

pub use self::{
    encoding::encode_journal,
    engine::TestEngine,
    replay::{Replayed, Unreplayable, replay, replay_export},
    script::Script,
    trial::Trial,
};
