//! Calls of different runs that share a transaction; one call by itself is a group of one.
use chrono::{DateTime, Utc};
use recado_engine::{Attempt, Fault, Joint};
use sea_orm::DatabaseTransaction;

/// A call and the attempt at it.
pub(crate) struct Member<'a, A> {
    pub(crate) call: &'a A,
    pub(crate) attempt: &'a Attempt<'a>,
}

impl<A> Member<'_, A> {
    /// The run that calls.
    pub(crate) fn run(&self) -> &str {
        self.attempt.run().as_str()
    }
}

/// The calls of several runs.
pub(crate) fn of<'a, A>(calls: &'a [Joint<'a, A>]) -> Vec<Member<'a, A>> {
    let member = |joint: &'a Joint<'a, A>| Member {
        call: &joint.call,
        attempt: joint.attempt,
    };
    calls.iter().map(member).collect()
}

/// A call by itself.
pub(crate) fn of_one<'a, A>(call: &'a A, attempt: &'a Attempt<'a>) -> [Member<'a, A>; 1] {
    [Member { call, attempt }]
}

/// The one result of a group of one.
pub(crate) fn only<T>(results: Vec<T>) -> Result<T, Fault> {
    let none = || Fault::fatal("no_result", "a call was not answered");
    results.into_iter().next().ok_or_else(none)
}

/// The transaction that they share, and the latest of their times, which is when they act.
pub(crate) fn act<'a, A>(
    members: &[Member<'a, A>],
) -> Result<(&'a DatabaseTransaction, DateTime<Utc>), Fault> {
    let latest = members.iter().max_by_key(|member| member.attempt.now());
    let latest = latest.ok_or_else(|| Fault::fatal("no_call", "a group without calls"))?;
    Ok((latest.attempt.transaction()?, latest.attempt.now()))
}
