//! For tests of workflows: time that takes none, activities that do what a script says, processes that die where a test
//! wants it, and the replay of recorded histories.
//!
//! [`TestEngine`] is the engine itself on an SQLite file, with its journal, its replay and its lanes. Only what surrounds
//! it is made up: the clock stands until nothing can go on without it, and activities come from a [`Script`] or are
//! those of the engine that it was given. [`replay`] needs no database at all.
mod engine;
mod memory;
mod replay;
mod script;
mod scripted;
mod simulation;

pub use self::{
    engine::TestEngine,
    replay::{Replayed, Unreplayable, replay, replay_export},
    script::Script,
};
