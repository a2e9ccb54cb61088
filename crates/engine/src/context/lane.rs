//! A run's turn in its lane.
use serde::Serialize;
use serde_json::Value;

use super::{
    Context, Core, Leave,
    ask::written,
    core::{Wait, lock},
};
use crate::{
    Event, EventKind, Fault,
    journal::LaneHold,
    storage::{self, Append, Entering, Entry},
};

const NAME: &str = "its lane";
/// The most that a run offers, in bytes of JSON.
const LARGEST_OFFER: usize = 1024 * 1024;

impl Context {
    /// Waits for the run's turn in its lane. From here until the run ends or leaves, no other run of the lane is past
    /// this point.
    ///
    /// # Errors
    /// [`Fault::Cancelled`].
    pub async fn enter_lane(&mut self) -> Result<(), Fault> {
        self.take_turn(None).await
    }

    /// The same, and while the run waits, whoever has its turn may take it along ([`Context::gather`]): that one is given
    /// `offer`, and this one ends.
    ///
    /// # Errors
    /// [`Fault::Cancelled`]; a fatal fault where `offer` has more than 1 MiB of JSON.
    pub async fn enter_lane_with(&mut self, offer: &impl Serialize) -> Result<(), Fault> {
        let offer = written("what is offered", offer)?;
        match storage::size(&offer) {
            bytes if bytes > LARGEST_OFFER => Err(Fault::fatal(
                "too_large",
                format!("an offer of {bytes} bytes of JSON; at most {LARGEST_OFFER} can be made"),
            )),
            _ => self.take_turn(Some(offer)).await,
        }
    }

    async fn take_turn(&mut self, offer: Option<Value>) -> Result<(), Fault> {
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
            self.core.enter(Some(op), offer).await;
        }
        Ok(())
    }

    /// Takes the turn again that was lost when the run was parked.
    pub(crate) async fn enter_again(&self) {
        if *lock(&self.core.lane) == LaneHold::Lost {
            self.core.enter(None, None).await;
        }
    }
}

impl Core {
    async fn enter(&self, op: Option<i64>, offer: Option<Value>) {
        let Some(place) = self.run.lane.clone().zip(self.run.place) else {
            return;
        };
        match self.shared.storage.is_head(&place.0, place.1).await {
            Ok(true) => {}
            // Whatever kept it from being read, the question in a transaction tells.
            Ok(false) | Err(_) => self.wait_for_turn(place, offer).await,
        }
        let entered = Self::event(op, EventKind::LaneEntered);
        *lock(&self.entered_at) = Some(entered.at);
        self.note(entered).await;
        *lock(&self.lane) = LaneHold::Held;
    }

    /// Returns only if it is the run's turn after all; else the run sleeps until whoever is before it has left.
    async fn wait_for_turn(&self, place: (String, i64), offer: Option<Value>) {
        let events: Vec<Event> = self.pending().await;
        let waiting = self.waiting(&Wait {
            reason: "lane".to_owned(),
            until: None,
            attempt: 0,
            error: None,
        });
        let (lane, place) = place;
        let entering = Entering {
            wait: Append {
                run: self.run.id.clone(),
                epoch: self.run.epoch,
                events,
                update: Some(waiting),
                values: Vec::new(),
                leave: None,
                parent: None,
                children: false,
            },
            lane,
            place,
            offer,
        };
        match self.shared.storage.enter_lane(entering).await {
            Ok(Entry::Head) => {}
            Ok(Entry::Waiting) => self.leave(Leave::Suspended).await,
            Err(error) => self.broken(error).await,
        }
    }
}
