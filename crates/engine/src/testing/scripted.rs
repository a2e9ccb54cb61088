//! An activity that does what the script says, with the effect and the retries of the real one.
use std::{future::pending, time::Duration};

use futures::{
    FutureExt,
    future::{BoxFuture, try_join_all},
};
use serde_json::Value;

use super::script::{Answer, Script};
use crate::{
    Activity, Attempt, Effect, Fault, Prepared, Reconciled, Retry, Undecided,
    erased::{AnyActivity, Erased},
    surroundings,
};

pub(super) struct Scripted {
    name: String,
    effect: Effect,
    retry: Retry,
    timeout: Duration,
    deadline: Option<Duration>,
    script: Script,
}

impl Scripted {
    pub(super) fn of<A: Activity<E>, E>(script: Script) -> Self {
        Self {
            name: A::NAME.to_owned(),
            effect: A::EFFECT,
            retry: A::RETRY,
            timeout: A::TIMEOUT,
            deadline: A::DEADLINE,
            script,
        }
    }

    /// One of which the script says nothing.
    pub(super) fn stranger(name: &str, script: Script) -> Self {
        Self {
            name: name.to_owned(),
            effect: Effect::Pure,
            retry: Retry::never(),
            timeout: Duration::from_secs(1),
            deadline: None,
            script,
        }
    }

    async fn act(&self, input: &Value, attempt: &Attempt<'_>) -> Result<Value, Fault> {
        // A vendor that takes our key answers a repeated call as it did the first.
        if self.effect == Effect::Idempotent
            && let Some(output) = self.script.happened(&self.name, &attempt.key())
        {
            return Ok(output);
        }
        let Some(answer) = self.script.call(&self.name, input) else {
            self.script.note_unscripted(&self.name);
            return Err(Fault::fatal(
                "script",
                format!("the script has nothing for {}", self.name),
            ));
        };
        let happen = |output: &Value| self.script.happen(&self.name, attempt.key(), output);
        match answer {
            Answer::Returns(output) => {
                happen(&output);
                Ok(output)
            }
            Answer::Computes(compute) => compute(input).inspect(happen),
            Answer::Fails(fault) => Err(fault),
            Answer::Takes(duration, output) => {
                if self.effect == Effect::Once {
                    happen(&output);
                }
                let simulation = self.script.simulation();
                let _lingering = simulation.map(|simulation| simulation.linger(attempt.run()));
                surroundings::sleep(duration).await;
                happen(&output);
                Ok(output)
            }
            Answer::HappensUnseen(output) => {
                happen(&output);
                Err(unseen())
            }
            Answer::IsLostUnseen => Err(unseen()),
            Answer::Settles(output) => {
                let told = format!("{} is settled with {output}, and is no Once activity", self.name);
                Err(Fault::fatal("script", told))
            }
            Answer::Crashes(output) => {
                match self.effect {
                    Effect::Once | Effect::Idempotent => happen(&output),
                    Effect::Pure | Effect::Database => self.script.next(&self.name, Answer::Returns(output)),
                }
                if let Some(simulation) = self.script.simulation() {
                    simulation.die();
                }
                pending().await
            }
        }
    }
}

fn unseen() -> Fault {
    Fault::unknown("unseen", "nobody heard what became of it")
}

impl AnyActivity for Scripted {
    fn effect(&self) -> Effect {
        self.effect
    }

    fn retry(&self) -> Retry {
        self.retry
    }

    fn timeout(&self) -> Duration {
        self.timeout
    }

    fn deadline(&self) -> Option<Duration> {
        self.deadline
    }

    /// A scripted activity gives no sign of life, and is not asked for any.
    fn heartbeat(&self) -> Option<Duration> {
        None
    }

    /// Each act of a script counts.
    fn together(&self) -> bool {
        false
    }

    fn run<'a>(&'a self, input: &'a Value, attempt: &'a Attempt<'a>) -> BoxFuture<'a, Result<Value, Fault>> {
        self.act(input, attempt).boxed()
    }

    fn run_together<'a>(&'a self, calls: &'a [Erased<'a>]) -> BoxFuture<'a, Result<Vec<Value>, Fault>> {
        try_join_all(calls.iter().map(|(input, attempt)| self.run(input, attempt))).boxed()
    }

    fn prepare<'a>(
        &'a self,
        _: &'a Value,
        _: &'a Attempt<'a>,
    ) -> BoxFuture<'a, Result<Prepared<Value>, Fault>> {
        let settled = self.script.settled(&self.name);
        async { Ok(settled.map_or(Prepared::Go, Prepared::Settled)) }.boxed()
    }

    fn prepare_together<'a>(
        &'a self,
        calls: &'a [Erased<'a>],
    ) -> BoxFuture<'a, Result<Vec<Prepared<Value>>, Fault>> {
        try_join_all(calls.iter().map(|(input, attempt)| self.prepare(input, attempt))).boxed()
    }

    fn record<'a>(
        &'a self,
        _: &'a Value,
        _: &'a Attempt<'a>,
        _: &'a Value,
    ) -> BoxFuture<'a, Result<(), Fault>> {
        async { Ok(()) }.boxed()
    }

    fn record_together<'a>(
        &'a self,
        _: &'a [Erased<'a>],
        _: &'a [&'a Value],
    ) -> BoxFuture<'a, Result<(), Fault>> {
        async { Ok(()) }.boxed()
    }

    fn reconcile<'a>(
        &'a self,
        _: &'a Value,
        attempt: &'a Attempt<'a>,
    ) -> BoxFuture<'a, Result<Reconciled<Value>, Fault>> {
        let happened = self.script.happened(&self.name, &attempt.key());
        async { Ok(happened.map_or(Reconciled::NoTrace, Reconciled::Happened)) }.boxed()
    }

    fn failed<'a>(
        &'a self,
        _: &'a Value,
        _: &'a Attempt<'a>,
        _: &'a Fault,
    ) -> BoxFuture<'a, Result<(), Fault>> {
        async { Ok(()) }.boxed()
    }

    /// A script's outputs have their types where they are written.
    fn returns(&self, _: &Value) -> Result<(), String> {
        Ok(())
    }

    fn undecided<'a>(&'a self, _: &'a Value, _: &'a Attempt<'a>) -> BoxFuture<'a, Result<Undecided, Fault>> {
        async { Ok(Undecided::Hold) }.boxed()
    }
}
