//! A run's turn in its lane.
use std::time::Duration;

use super::{
    Context, Core, Leave,
    core::{Wait, lock},
};
use crate::{Event, EventKind, Fault, journal::LaneHold, storage::Entry};

const NAME: &str = "its lane";

impl Context {
    /// Waits for the run's turn in its lane. From here until the run ends or leaves, no other run of the lane is past
    /// this point.
    ///
    /// # Errors
    /// [`Fault::Cancelled`].
    pub async fn enter_lane(&mut self) -> Result<(), Fault> {
        let op = self.next(1);
        if self.core.run.lane.is_none() {
            return Ok(());
        }
        let events = self.core.recall(op, op, NAME).await;
        if self.core.was_cancelled(&events) {
            return Err(Fault::cancelled());
        }
        let other = events
            .iter()
            .find(|event| event.kind != EventKind::LaneEntered && event.name.is_some());
        if let Some(event) = other {
            let recorded = event.name.as_deref().unwrap_or_default();
            let told =
                format!("step {op}: the journal has {recorded}, the workflow of this build enters its lane");
            return self
                .core
                .leave(Leave::Parked(crate::Failure::new("replay_mismatch", told)))
                .await;
        }
        if events.is_empty() {
            self.core.may_act(op, NAME).await?;
            self.core.enter(Some(op)).await;
        }
        Ok(())
    }

    /// Takes the turn again that was lost when the run was parked.
    pub(crate) async fn enter_again(&self) {
        if *lock(&self.core.lane) == LaneHold::Lost {
            self.core.enter(None).await;
        }
    }
}

impl Core {
    async fn enter(&self, op: Option<i64>) {
        let Some(place) = self.run.lane.clone().zip(self.run.place) else {
            return;
        };
        match self.shared.storage.is_head(&place.0, place.1).await {
            Ok(true) => {}
            // Whatever kept it from being read, the question in a transaction tells.
            Ok(false) | Err(_) => self.wait_for_turn(place).await,
        }
        self.note(Self::event(op, EventKind::LaneEntered)).await;
        *lock(&self.lane) = LaneHold::Held;
    }

    /// Returns only if it is the run's turn after all; else the run sleeps until whoever is before it has left.
    async fn wait_for_turn(&self, place: (String, i64)) {
        let events: Vec<Event> = self.pending().await;
        let mut wait = Duration::from_millis(20);
        loop {
            let waiting = self.waiting(&Wait {
                reason: "lane".to_owned(),
                until: None,
                attempt: 0,
                error: None,
            });
            match self
                .shared
                .storage
                .enter_lane(&self.run, place.clone(), events.clone(), waiting)
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
