//! A run's turn in its lane.
use super::{Context, Leave};
use crate::{
    EventKind,
    journal::LaneHold,
    storage::{Entry, StorageError},
};

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
            Err(error) => {
                tracing::warn!(run.id = %self.run.id, %error, "the lane cannot be read");
                self.shared.storage.wait_until_back().await;
                self.wait_for_turn(place).await;
            }
        }
        let event = self.event(op, EventKind::LaneEntered);
        self.pending.push(event);
        self.lane = LaneHold::Held;
    }

    /// Returns only if it is the run's turn after all; else the run sleeps until whoever is before it has left.
    async fn wait_for_turn(&mut self, place: (String, i64)) {
        self.settle().await;
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
                Err(StorageError::Stale | StorageError::Stopped) => return self.leave(Leave::Lost).await,
                Err(StorageError::Database(error)) => {
                    tracing::warn!(run.id = %self.run.id, %error, "the lane cannot be entered yet");
                    self.shared.storage.wait_until_back().await;
                }
            }
        }
    }
}
