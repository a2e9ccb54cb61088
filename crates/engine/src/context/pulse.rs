//! The signs of life that a long attempt gives.
use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use serde_json::Value;

/// What an attempt told of itself last, and what the one before it did.
#[derive(Debug)]
pub(crate) struct Pulse {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    last: Instant,
    details: Option<Value>,
    news: bool,
}

impl Pulse {
    pub(crate) fn new() -> Self {
        Self {
            state: Mutex::new(State {
                last: Instant::now(),
                details: None,
                news: false,
            }),
        }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What earlier attempts left.
    pub(crate) fn begin(&self, details: Option<Value>) {
        let mut state = self.state();
        state.last = Instant::now();
        state.details = details;
    }

    pub(crate) fn beat(&self, details: Value) {
        *self.state() = State {
            last: Instant::now(),
            details: Some(details),
            news: true,
        };
    }

    pub(crate) fn details(&self) -> Option<Value> {
        self.state().details.clone()
    }

    pub(crate) fn silent_for(&self) -> Duration {
        self.state().last.elapsed()
    }

    /// What was told since this was asked last.
    pub(crate) fn take_news(&self) -> Option<Value> {
        let mut state = self.state();
        std::mem::take(&mut state.news)
            .then(|| state.details.clone())
            .flatten()
    }
}

impl Default for Pulse {
    fn default() -> Self {
        Self::new()
    }
}
