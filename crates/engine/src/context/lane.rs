//! A run's turn in its lane.
use std::time::Duration;

use super::{Context, Leave};
use crate::{EventKind, journal::LaneHold, storage::Entry};

impl Context {
    /// Waits for the run's turn in its lane. From here until the run ends no other run of the lane is past this point.
    pub async fn enter_lane(&mut self) {
        self.op += 1;
        let op = self.op;
        if self.run.lane.is_none() {
            return;
        }
        let events = self.history.take(op);
        if events
            .iter()
            .any(|event| event.kind != EventKind::LaneEntered && event.name.is_some())
            || (events.is_empty() && op < self.history.last_op())
        {
            return self.leave(self.mismatch(op, "its lane")).await;
        }
        if events.is_empty() {
            self.enter(Some(op)).await;
        }
    }

    /// Takes the turn again that was lost when the run was parked.
    pub(crate) async fn enter_again(&mut self) {
        if self.lane == LaneHold::Lost {
            self.enter(None).await;
        }
    }

    async fn enter(&mut self, op: Option<i64>) {
        let Some(place) = self.run.lane.clone().zip(self.run.place) else {
            return;
        };
        match self.shared.storage.is_head(&place.0, place.1).await {
            Ok(true) => {}
            Ok(false) => self.wait_for_turn(place).await,
            // Whatever kept it from being read, the question in a transaction tells.
            Err(_) => self.wait_for_turn(place).await,
        }
        let event = self.event(op, EventKind::LaneEntered);
        self.pending.push(event);
        self.lane = LaneHold::Held;
    }

    /// Returns only if it is the run's turn after all; else the run sleeps until whoever is before it has left.
    async fn wait_for_turn(&mut self, place: (String, i64)) {
        self.settle().await;
        let mut wait = Duration::from_millis(20);
        loop {
            let (events, waiting) = (self.pending.clone(), self.waiting("lane"));
            match self
                .shared
                .storage
                .enter_lane(&self.run, place.clone(), events, waiting)
                .await
            {
                Ok(Entry::Head) => return,
                Ok(Entry::Waiting) => return self.leave(Leave::Suspended).await,
                Err(error) if error.is_transient() => {
                    tracing::warn!(run.id = %self.run.id, %error, "the lane cannot be entered yet");
                    tokio::time::sleep(wait).await;
                    wait = (wait * 2).min(Duration::from_secs(1));
                    self.shared.storage.wait_until_back().await;
                }
                Err(error) => self.broken(error).await,
            }
        }
    }
}
