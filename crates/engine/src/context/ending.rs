//! A run's last checkpoint: ended, or parked until a person comes.
use serde_json::Value;
use tracing::Instrument;

use super::core::{Core, lock};
use crate::{
    Event, EventKind, Failure, RunState, classes,
    journal::LaneHold,
    registry::Ended,
    spans,
    storage::{Append, StorageError, Update, now},
};

impl Core {
    /// The last checkpoint of a run that ended.
    pub(super) async fn finish(&self, ended: Ended) {
        let state = if ended.failed {
            RunState::Failed
        } else {
            RunState::Completed
        };
        let update = Update {
            outcome: Some(ended.word.to_owned()),
            output: Some(ended.output),
            ..self.update(state, None, 0)
        };
        self.close(update, Some(ended.word)).await;
    }

    /// The last checkpoint of a run that was cancelled or terminated.
    pub(super) async fn end_as(&self, state: RunState) {
        if state == RunState::Terminated {
            self.note(Self::event(None, EventKind::Terminated)).await;
        }
        self.close(self.update(state, None, 0), Some(state.as_str()))
            .await;
    }

    /// The state of a run that ended with an outcome of the engine's own.
    pub(super) fn ended_as(&self, outcome: &str, output: Value) -> Update {
        Update {
            outcome: Some(outcome.to_owned()),
            output: Some(output),
            ..self.update(RunState::Completed, None, 0)
        }
    }

    /// Counts an end that is on the disk, and tells its trace.
    fn count_end(&self, outcome: &'static str) {
        metrics::counter!("recado_runs_finished_total", "workflow" => self.run.workflow.clone(), "outcome" => outcome)
            .increment(1);
        let seconds = (now() - self.run.created_at).as_seconds_f64().max(0.0);
        metrics::histogram!("recado_run_seconds", "workflow" => self.run.workflow.clone(), "outcome" => outcome)
            .record(seconds);
        spans::ended(&self.run.id, &self.run.workflow, outcome);
    }

    /// The last checkpoint of a run that cannot go on without a person. It gives its place in the lane up.
    pub(super) async fn park(&self, failure: Failure) {
        if self.mailbox.orders().cancel {
            return self.end_as(RunState::Cancelled).await;
        }
        let told = format!("{}: {}", failure.class, failure.message);
        tracing::warn!(run.id = %self.run.id, class = failure.class, "parked");
        self.note_left_lane().await;
        // Only the steps that failed last, and only if the workflow let the fault pass, are tried again.
        let failed: Vec<_> = {
            let failed = lock(&self.failed);
            let passed = failed.iter().any(|(_, fault)| fault.failure() == &failure);
            failed.iter().filter(|_| passed).map(|(op, _)| *op).collect()
        };
        let mut data = serde_json::to_value(&failure).unwrap_or_default();
        if failed.len() > 1
            && let Some(data) = data.as_object_mut()
        {
            data.insert("ops".to_owned(), Value::from(failed.clone()));
        }
        self.note(Event {
            data: Some(data),
            ..Self::event(failed.first().copied(), EventKind::Parked)
        })
        .await;
        let class = classes::label(&failure.class);
        metrics::counter!("recado_runs_parked_total", "workflow" => self.run.workflow.clone(), "class" => class)
            .increment(1);
        let update = Update {
            error: Some(told),
            ..self.update(RunState::Parked, Some("a person".to_owned()), 0)
        };
        self.close(update, None).await;
    }

    async fn note_left_lane(&self) {
        if *lock(&self.lane) == LaneHold::Held {
            self.note(Self::event(None, EventKind::LaneLeft)).await;
        }
    }

    /// What is left when the end of a run itself is refused by the database: to say so.
    async fn park_bare(&self, error: StorageError) {
        tracing::error!(run.id = %self.run.id, %error, "the end of a run cannot be written");
        let told = format!("journal: the end of this run cannot be written: {error}");
        let update = Update {
            error: Some(told),
            ..self.update(RunState::Parked, Some("a person".to_owned()), 0)
        };
        self.note_left_lane().await;
        self.note(Self::event(None, EventKind::Parked)).await;
        let leave = self.run.lane.clone().zip(self.run.place);
        let append = Append {
            leave,
            ..self.append(&mut *self.tail.lock().await, Some(update))
        };
        if let Ok(committed) = self.shared.storage.append(append).await {
            let _ = committed.await;
        }
    }

    /// Commits the last checkpoint, of a run that ended with this outcome or is parked.
    async fn close(&self, update: Update, outcome: Option<&'static str>) {
        let over = update.state.is_final();
        let end = over.then(|| update.clone());
        let committed = {
            let mut tail = self.tail.lock().await;
            let append = Append {
                leave: self.run.lane.clone().zip(self.run.place),
                parent: self.run.parent.clone().filter(|_| over),
                children: over && *lock(&self.children),
                ..self.append(&mut tail, Some(update))
            };
            let in_flight = std::mem::take(&mut tail.in_flight);
            let Ok(committed) = self.shared.storage.append(append).await else {
                return;
            };
            for earlier in in_flight {
                let _ = earlier.await;
            }
            committed.instrument(spans::commit()).await
        };
        if let (Some(outcome), Ok(Ok(()))) = (outcome, &committed) {
            self.count_end(outcome);
        }
        if let (Some(end), Ok(Ok(()))) = (end, &committed) {
            self.shared.ends.tell(&self.run.id, || end.of(&self.run));
        }
        match committed {
            Ok(Err(StorageError::Stale)) => metrics::counter!("recado_leases_lost_total").increment(1),
            Ok(Err(error)) => self.park_bare(error).await,
            Ok(Ok(())) | Err(_) => {}
        }
    }
}
