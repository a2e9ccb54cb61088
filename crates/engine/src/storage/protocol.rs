//! What the protocols of leases and lanes do, told as it is done: `trace` events of the target
//! `recado_engine::protocol`, by which the tests compare the implementation with its model.
//!
//! A step is told while the rows that it changes are locked, so that the order of the telling is that of the commits.
//! One whose commit fails is told again when it is repeated.
use super::Append;
use crate::RunId;

const TARGET: &str = "recado_engine::protocol";

/// Whether anybody listens.
pub(super) fn is_followed() -> bool {
    tracing::enabled!(target: TARGET, tracing::Level::TRACE)
}

/// A worker has taken a run.
pub(super) fn claimed(run: &RunId, epoch: i64, worker: &str) {
    tracing::trace!(target: TARGET, step = "claimed", %run, epoch, worker);
}

/// A run was taken from a worker that has fallen silent.
pub(super) fn taken_over(run: &str, epoch: i64) {
    tracing::trace!(target: TARGET, step = "taken_over", run, epoch);
}

/// A worker has given a run back that it did not finish.
pub(super) fn given_back(run: &str, epoch: i64) {
    tracing::trace!(target: TARGET, step = "given_back", run, epoch);
}

/// A checkpoint was accepted, or refused because the run has changed hands.
pub(super) fn checkpoint(append: &Append, fresh: bool) {
    let step = if fresh { "checkpoint" } else { "refused" };
    let first = append.events.first().map_or(0, |event| event.seq);
    let count = append.events.len();
    let state = append
        .update
        .as_ref()
        .map_or("running", |update| update.state.as_str());
    tracing::trace!(target: TARGET, step, run = %append.run, epoch = append.epoch, first, count, state);
}

/// A checkpoint of its own transaction was refused because the run has changed hands.
pub(super) fn refused(run: &RunId, epoch: i64) {
    tracing::trace!(target: TARGET, step = "refused", %run, epoch);
}

/// A run has got a place in its lane.
pub(super) fn place_given(run: &RunId, lane: &str, place: i64) {
    tracing::trace!(target: TARGET, step = "place_given", %run, lane, place);
}

/// The run of this place was told that it is the head.
pub(super) fn entered(lane: &str, place: i64) {
    tracing::trace!(target: TARGET, step = "entered", lane, place);
}

/// The run of this place sleeps until it is the head.
pub(super) fn waits(lane: &str, place: i64) {
    tracing::trace!(target: TARGET, step = "waits", lane, place);
}

/// The run of this place took those of `places` along, and ended them.
pub(super) fn gathered(lane: &str, place: i64, places: &[i64]) {
    tracing::trace!(target: TARGET, step = "gathered", lane, place, ?places);
}

/// Places were given up in one commit, and the run that it woke, if any.
pub(super) fn left(lane: &str, places: &[i64], woken: Option<&str>) {
    tracing::trace!(target: TARGET, step = "left", lane, ?places, woken);
}
