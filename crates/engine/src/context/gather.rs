//! Taking others of the lane along, so that one run answers for all that wait.
use std::{future::poll_fn, pin::pin, task::Poll, time::Duration};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

use super::{
    Context, Core, Leave,
    ask::{AnyAsk, read, written},
    checkpoint::{Draft, First, StepWork},
    core::{Wait, lock},
    past::Past,
};
use crate::{
    Activity, Effect, Event, EventKind, Fault, Outcome, RunId, canonical,
    journal::LaneHold,
    storage::{Ending, Head, StorageError, Taken, after, count_gathered, gather, now},
};

/// How long a run waits for others before it takes along those that are ready. The default waits for nobody.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Patience {
    /// Until no run has been started in the lane for so long,
    pub quiet: Duration,
    /// and for so long at most, from when the run had its turn.
    pub at_most: Duration,
}

/// A run that was taken along.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gathered<M> {
    /// The run, which has ended.
    pub run: RunId,
    /// What it had offered ([`Context::enter_lane_with`]).
    pub offer: M,
}

impl Context {
    /// Takes along the runs that wait right behind this one, each with an offer: it answers for them, and they end with
    /// the output `end`, in the commit that records what they offered. They come in the order of their places, are of
    /// this run's workflow and owner, and 50 at the most; the first that is not ready ends the stretch, so that nobody
    /// is overtaken. One that is being cancelled, paused or told something is not ready.
    ///
    /// While it waits for a quiet moment, the run says that it waits for `quiet`, and until when. A run that is to be
    /// cancelled, has no lane or does not hold it, takes nobody. This is no step: nothing is recorded where nobody is
    /// taken along.
    ///
    /// # Errors
    /// A fatal fault where an offer is no `M`, or `end` cannot be written as JSON.
    pub async fn gather<M: DeserializeOwned>(
        &mut self,
        patience: Patience,
        end: &impl Outcome,
    ) -> Result<Vec<Gathered<M>>, Fault> {
        let ending = Ending {
            outcome: end.word(),
            output: written("how a run that is taken along ends", end)?,
        };
        let taken = self.core.gather(self.op, patience, ending).await?;
        let read = |one: Taken| {
            Ok(Gathered {
                run: one.run,
                offer: read("what was offered", one.offer)?,
            })
        };
        taken.into_iter().map(read).collect()
    }

    /// Runs an activity as [`Context::run`] does, unless meanwhile a run becomes ready that could be taken along: then
    /// the call is dropped, and this returns `None`. Only a `Pure` one can be dropped; another does not compile.
    ///
    /// What becomes ready is looked for every 100 ms, and while the activity is at work, so that a quick one is never
    /// dropped. Whoever asks again and again should count, for the sake of those who wait for an answer.
    ///
    /// # Errors
    /// As [`Context::run`].
    pub async fn run_unless_followed<E, A: Activity<E>>(
        &mut self,
        activity: A,
    ) -> Result<Option<A::Output>, Fault> {
        const {
            assert!(
                matches!(A::EFFECT, Effect::Pure),
                "only a Pure activity can be dropped"
            );
        }
        let op = self.next(1);
        let input = written(A::NAME, &activity)?;
        let Some(value) = self.core.unless_followed(op, A::NAME, input).await? else {
            return Ok(None);
        };
        let output = read(A::NAME, value).inspect_err(|fault| self.core.note_failure(op, fault))?;
        Ok(Some(output))
    }
}

impl Core {
    /// The run as the head of its lane, if it is.
    fn head(&self) -> Option<Head> {
        let (lane, place) = self.run.lane.clone().zip(self.run.place)?;
        let held = *lock(&self.lane) == LaneHold::Held;
        held.then(|| Head {
            run: self.run.id.clone(),
            workflow: self.run.workflow.clone(),
            owner: self.owner(),
            lane,
            place,
        })
    }

    /// Gathers between step `op` and the next.
    async fn gather(&self, op: i64, patience: Patience, ending: Ending) -> Result<Vec<Taken>, Fault> {
        let (recorded, goes_on) = {
            let mut history = lock(&self.history);
            (history.take_gathered(op), history.last_op() > op)
        };
        if let Some(recorded) = recorded {
            return read("what was gathered", recorded);
        }
        // Whoever had been taken along would be in the journal.
        let Some(head) = self.head().filter(|_| !goes_on) else {
            return Ok(Vec::new());
        };
        self.wait_for_quiet(&head, patience).await;
        let orders = self.mailbox.orders();
        if orders.cancel || orders.terminate || !self.is_followed(&head).await {
            return Ok(Vec::new());
        }
        let outcome = ending.outcome;
        let work = {
            let head = head.clone();
            move |draft: Draft| -> StepWork {
                let (head, ending) = (head.clone(), ending.clone());
                let epoch = self.run.epoch;
                Box::new(move |tx| {
                    Box::pin(async move {
                        let runs = gather(tx, &head, &ending).await?;
                        let event = Event {
                            at: now(),
                            data: Some(json!({ "after": op, "runs": runs })),
                            ..draft.event.clone()
                        };
                        Ok((event.clone(), draft.append(&head.run, epoch, event)))
                    })
                })
            }
        };
        let gathered = Self::event(None, EventKind::Gathered);
        let event = self
            .transact_behind(Some(First::Behind(head)), gathered, work)
            .await?;
        // Those whom an end means something to are ready.
        self.shared.storage.ready();
        let runs = event.data.and_then(|data| data.get("runs").cloned());
        let taken: Vec<Taken> = read("what was gathered", runs.unwrap_or_default())?;
        count_gathered(&self.run.workflow, outcome, taken.iter().map(|one| &one.run));
        Ok(taken)
    }

    /// Waits until no run has been started in the lane for a while. One that is paused waits until it is resumed.
    async fn wait_for_quiet(&self, head: &Head, patience: Patience) {
        loop {
            let seen = self.mailbox.seen();
            let orders = self.mailbox.orders();
            let (reason, until) = match orders.paused {
                _ if orders.cancel || orders.terminate => return,
                true => ("resume", None),
                false => match self.quiet_from(head, patience).await {
                    Some(until) => ("quiet", Some(until)),
                    None => return,
                },
            };
            let wait = Wait {
                reason: reason.to_owned(),
                until,
                attempt: 0,
                error: None,
            };
            self.wait(0, wait, seen).await;
        }
    }

    /// When it will have been quiet for long enough if nobody comes; `None` if it has been, or has not to be.
    async fn quiet_from(&self, head: &Head, patience: Patience) -> Option<DateTime<Utc>> {
        if patience.quiet.is_zero() {
            return None;
        }
        let latest = loop {
            match self.shared.storage.latest_start(&head.lane).await {
                Ok(latest) => break latest?,
                Err(error) => self.wait_for_the_lane(error).await,
            }
        };
        let quiet = after(latest, patience.quiet);
        let entered = (*lock(&self.entered_at))?;
        let until = quiet.min(after(entered, patience.at_most));
        (until > now()).then_some(until)
    }

    async fn is_followed(&self, head: &Head) -> bool {
        loop {
            match self.shared.storage.is_followed(head).await {
                Ok(followed) => return followed,
                Err(error) => self.wait_for_the_lane(error).await,
            }
        }
    }

    async fn wait_for_the_lane(&self, error: StorageError) {
        tracing::warn!(run.id = %self.run.id, %error, "the lane cannot be looked at");
        self.shared.storage.wait_until_back().await;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }

    async fn unless_followed(
        &self,
        op: i64,
        name: &'static str,
        input: Value,
    ) -> Result<Option<Value>, Fault> {
        let hash = canonical::hash(&input);
        let superseded = lock(&self.history).take_superseded(op);
        if let Some(events) = superseded {
            return match Past::read(op, name, &hash, events) {
                Ok(_) => Ok(None),
                Err(failure) => self.leave(Leave::Parked(failure)).await,
            };
        }
        let ask = AnyAsk::Activity { name, input };
        let Some(head) = self.head() else {
            return self.answer(op, op, ask).await.map(Some);
        };
        let answer = {
            let listening = self.mailbox.listen_behind(head.clone());
            let followed = async {
                loop {
                    listening.followed().await;
                    // What was seen may have been gathered since it was looked for.
                    if self.is_followed(&head).await {
                        return;
                    }
                    listening.forget();
                }
            };
            let mut work = pin!(self.answer(op, op, ask));
            tokio::select! {
                biased;
                answer = &mut work => Some(answer),
                () = followed => poll_fn(|cx| match work.as_mut().poll(cx) {
                    Poll::Ready(answer) => Poll::Ready(Some(answer)),
                    // What is on its way to the disk is not dropped, and a run that leaves does nothing more.
                    Poll::Pending if self.may_drop(op, op) && !self.exit.is_open() => Poll::Ready(None),
                    Poll::Pending => Poll::Pending,
                })
                .await,
            }
        };
        if let Some(answer) = answer {
            return answer.map(Some);
        }
        self.note(Event {
            name: Some(name.to_owned()),
            hash: Some(hash),
            ..Self::event(Some(op), EventKind::Superseded)
        })
        .await;
        Ok(None)
    }
}
