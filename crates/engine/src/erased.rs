//! Activities with their types erased: JSON in, JSON out, and a panic is a fault like any other.
use std::{future::Future, marker::PhantomData, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures::{FutureExt, future::BoxFuture};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;

use crate::{Activity, Attempt, Effect, Fault, Joint, Prepared, Reconciled, Retry, Undecided, storage};

/// The input of a call, and the attempt at it.
pub(crate) type Erased<'a> = (&'a Value, &'a Attempt<'a>);

/// An activity with its types erased: JSON in, JSON out.
pub(crate) trait AnyActivity: Send + Sync {
    fn effect(&self) -> Effect;
    fn retry(&self) -> Retry;
    fn timeout(&self) -> Duration;
    fn deadline(&self) -> Option<Duration>;
    fn heartbeat(&self) -> Option<Duration>;
    fn together(&self) -> bool;
    fn run<'a>(&'a self, input: &'a Value, attempt: &'a Attempt<'a>) -> BoxFuture<'a, Result<Value, Fault>>;
    fn run_together<'a>(&'a self, calls: &'a [Erased<'a>]) -> BoxFuture<'a, Result<Vec<Value>, Fault>>;
    fn prepare<'a>(
        &'a self,
        input: &'a Value,
        attempt: &'a Attempt<'a>,
    ) -> BoxFuture<'a, Result<Prepared<Value>, Fault>>;
    fn prepare_together<'a>(
        &'a self,
        calls: &'a [Erased<'a>],
    ) -> BoxFuture<'a, Result<Vec<Prepared<Value>>, Fault>>;
    fn record<'a>(
        &'a self,
        input: &'a Value,
        attempt: &'a Attempt<'a>,
        output: &'a Value,
    ) -> BoxFuture<'a, Result<(), Fault>>;
    fn record_together<'a>(
        &'a self,
        calls: &'a [Erased<'a>],
        outputs: &'a [&'a Value],
    ) -> BoxFuture<'a, Result<(), Fault>>;
    fn reconcile<'a>(
        &'a self,
        input: &'a Value,
        attempt: &'a Attempt<'a>,
    ) -> BoxFuture<'a, Result<Reconciled<Value>, Fault>>;
    fn failed<'a>(
        &'a self,
        input: &'a Value,
        attempt: &'a Attempt<'a>,
        fault: &'a Fault,
    ) -> BoxFuture<'a, Result<(), Fault>>;
    fn undecided<'a>(
        &'a self,
        input: &'a Value,
        attempt: &'a Attempt<'a>,
    ) -> BoxFuture<'a, Result<Undecided, Fault>>;
    /// Says why `output` is nothing that the activity can have returned.
    fn returns(&self, output: &Value) -> Result<(), String>;
}

/// An activity with the environment in which it acts.
pub(crate) struct Bound<E, A> {
    env: Arc<E>,
    activity: PhantomData<fn() -> A>,
}

impl<E, A> Bound<E, A> {
    pub(crate) fn new(env: Arc<E>) -> Self {
        Self {
            env,
            activity: PhantomData,
        }
    }
}

impl<E, A> AnyActivity for Bound<E, A>
where
    E: Send + Sync + 'static,
    A: Activity<E>,
{
    fn effect(&self) -> Effect {
        A::EFFECT
    }

    fn retry(&self) -> Retry {
        A::RETRY
    }

    fn timeout(&self) -> Duration {
        A::TIMEOUT
    }

    fn deadline(&self) -> Option<Duration> {
        A::DEADLINE
    }

    fn heartbeat(&self) -> Option<Duration> {
        A::HEARTBEAT
    }

    fn together(&self) -> bool {
        A::TOGETHER
    }

    fn run<'a>(&'a self, input: &'a Value, attempt: &'a Attempt<'a>) -> BoxFuture<'a, Result<Value, Fault>> {
        guarded(A::NAME, input, move |call: A| async move {
            write(A::NAME, call.run(&self.env, attempt).await?)
        })
    }

    fn run_together<'a>(&'a self, calls: &'a [Erased<'a>]) -> BoxFuture<'a, Result<Vec<Value>, Fault>> {
        together(A::NAME, calls, move |calls: Vec<Joint<'a, A>>| async move {
            let outputs = A::run_together(&self.env, &calls).await?;
            outputs.into_iter().map(|output| write(A::NAME, output)).collect()
        })
    }

    fn prepare<'a>(
        &'a self,
        input: &'a Value,
        attempt: &'a Attempt<'a>,
    ) -> BoxFuture<'a, Result<Prepared<Value>, Fault>> {
        guarded(A::NAME, input, move |call: A| async move {
            erased(A::NAME, call.prepare(&self.env, attempt).await?)
        })
    }

    fn prepare_together<'a>(
        &'a self,
        calls: &'a [Erased<'a>],
    ) -> BoxFuture<'a, Result<Vec<Prepared<Value>>, Fault>> {
        together(A::NAME, calls, move |calls: Vec<Joint<'a, A>>| async move {
            let prepared = A::prepare_together(&self.env, &calls).await?;
            prepared.into_iter().map(|one| erased(A::NAME, one)).collect()
        })
    }

    fn record<'a>(
        &'a self,
        input: &'a Value,
        attempt: &'a Attempt<'a>,
        output: &'a Value,
    ) -> BoxFuture<'a, Result<(), Fault>> {
        guarded(A::NAME, input, move |call: A| async move {
            let output: A::Output = read(A::NAME, output)?;
            call.record(&self.env, attempt, &output).await
        })
    }

    fn record_together<'a>(
        &'a self,
        calls: &'a [Erased<'a>],
        outputs: &'a [&'a Value],
    ) -> BoxFuture<'a, Result<(), Fault>> {
        together(A::NAME, calls, move |calls: Vec<Joint<'a, A>>| async move {
            let outputs = outputs.iter().map(|output| read(A::NAME, output));
            let outputs = outputs.collect::<Result<Vec<A::Output>, Fault>>()?;
            A::record_together(&self.env, &calls, &outputs).await
        })
    }

    fn reconcile<'a>(
        &'a self,
        input: &'a Value,
        attempt: &'a Attempt<'a>,
    ) -> BoxFuture<'a, Result<Reconciled<Value>, Fault>> {
        guarded(A::NAME, input, move |call: A| async move {
            Ok(match call.reconcile(&self.env, attempt).await? {
                Reconciled::Happened(output) => Reconciled::Happened(write(A::NAME, output)?),
                Reconciled::NoTrace => Reconciled::NoTrace,
                Reconciled::CannotTell => Reconciled::CannotTell,
            })
        })
    }

    fn failed<'a>(
        &'a self,
        input: &'a Value,
        attempt: &'a Attempt<'a>,
        fault: &'a Fault,
    ) -> BoxFuture<'a, Result<(), Fault>> {
        guarded(A::NAME, input, move |call: A| async move {
            call.failed(&self.env, attempt, fault).await
        })
    }

    fn undecided<'a>(
        &'a self,
        input: &'a Value,
        attempt: &'a Attempt<'a>,
    ) -> BoxFuture<'a, Result<Undecided, Fault>> {
        guarded(A::NAME, input, move |call: A| async move {
            call.undecided(&self.env, attempt).await
        })
    }

    fn returns(&self, output: &Value) -> Result<(), String> {
        A::Output::deserialize(output)
            .map(drop)
            .map_err(|error| error.to_string())
    }
}

/// Reads the call from its input and runs `act` on it; a panic is a fault like any other.
fn guarded<'a, A, F, T>(
    name: &'static str,
    input: &'a Value,
    act: impl FnOnce(A) -> F + Send + 'a,
) -> BoxFuture<'a, Result<T, Fault>>
where
    A: DeserializeOwned + Send + 'a,
    F: Future<Output = Result<T, Fault>> + Send + 'a,
    T: Send + 'a,
{
    async move {
        let call: A = read(name, input)?;
        AssertUnwindSafe(act(call))
            .catch_unwind()
            .await
            .unwrap_or_else(|panic| Err(panicked(name, &*panic)))
    }
    .boxed()
}

/// The same for calls that share a transaction.
fn together<'a, A, F, T>(
    name: &'static str,
    calls: &'a [Erased<'a>],
    act: impl FnOnce(Vec<Joint<'a, A>>) -> F + Send + 'a,
) -> BoxFuture<'a, Result<T, Fault>>
where
    A: DeserializeOwned + Send + Sync + 'a,
    F: Future<Output = Result<T, Fault>> + Send + 'a,
    T: Send + 'a,
{
    async move {
        let joint = calls.iter().map(|(input, attempt)| {
            let call = read(name, input)?;
            Ok(Joint { call, attempt })
        });
        let joint = joint.collect::<Result<Vec<_>, Fault>>()?;
        AssertUnwindSafe(act(joint))
            .catch_unwind()
            .await
            .unwrap_or_else(|panic| Err(panicked(name, &*panic)))
    }
    .boxed()
}

fn erased<T: Serialize>(name: &str, prepared: Prepared<T>) -> Result<Prepared<Value>, Fault> {
    Ok(match prepared {
        Prepared::Go => Prepared::Go,
        Prepared::Settled(output) => Prepared::Settled(write(name, output)?),
    })
}

fn read<T: DeserializeOwned>(name: &str, value: &Value) -> Result<T, Fault> {
    T::deserialize(value).map_err(|error| unreadable(name, &error))
}

pub(crate) fn write<T: Serialize>(name: &str, value: T) -> Result<Value, Fault> {
    let value = serde_json::to_value(value).map_err(|error| unreadable(name, &error))?;
    match storage::size(&value) {
        bytes if bytes > storage::LARGEST => Err(Fault::fatal(
            "too_large",
            format!(
                "{name} answered {bytes} bytes of JSON; at most {} can be kept",
                storage::LARGEST
            ),
        )),
        _ => Ok(value),
    }
}

pub(crate) fn unreadable(name: &str, error: &serde_json::Error) -> Fault {
    Fault::fatal(
        "unreadable",
        format!("the recorded data of {name} does not fit this build: {error}"),
    )
}

pub(crate) fn panicked(name: &str, panic: &(dyn std::any::Any + Send)) -> Fault {
    let told = panic.downcast_ref::<&str>().map(|told| (*told).to_owned());
    let told = told
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_default();
    tracing::error!(name, told, "panicked");
    Fault::fatal("panic", format!("{name} panicked: {told}"))
}
