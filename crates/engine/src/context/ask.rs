//! The things that a workflow may ask for, alone, joined or in a race.
use std::time::Duration;

use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use crate::{Activity, Fault, RunId};

/// Something to ask a [`Context`](crate::Context) for: an activity, a [`Sleep`](crate::Sleep), a
/// [`Receive`](crate::Receive) of a signal, or the end of a [`ChildRun`](crate::ChildRun).
///
/// `M` only keeps activities of any environment and the engine's own things apart; it is always inferred.
pub trait Ask<M>: Send {
    /// What the workflow receives.
    type Output: Send;
    #[doc(hidden)]
    fn into_any(self) -> AnyAsk;
    #[doc(hidden)]
    fn read(value: Value) -> Result<Self::Output, Fault>;
}

/// Marks the engine's own asks.
#[derive(Debug)]
pub struct Own;

/// An ask with its types erased.
#[doc(hidden)]
#[derive(Debug)]
pub enum AnyAsk {
    Activity {
        name: &'static str,
        input: Value,
    },
    Sleep(Duration),
    Signal {
        name: &'static str,
        timeout: Option<Duration>,
    },
    Child {
        workflow: &'static str,
        run: RunId,
    },
    /// What could not even be asked.
    Broken(Fault),
}

impl<E, A: Activity<E>> Ask<fn(E)> for A {
    type Output = A::Output;

    fn into_any(self) -> AnyAsk {
        match written(A::NAME, &self) {
            Ok(input) => AnyAsk::Activity { name: A::NAME, input },
            Err(fault) => AnyAsk::Broken(fault),
        }
    }

    fn read(value: Value) -> Result<A::Output, Fault> {
        read(A::NAME, value)
    }
}

pub(super) fn written(name: &str, call: &impl Serialize) -> Result<Value, Fault> {
    serde_json::to_value(call)
        .map_err(|error| Fault::fatal("unserialisable", format!("the input of {name}: {error}")))
}

pub(super) fn read<T: DeserializeOwned>(name: &str, value: Value) -> Result<T, Fault> {
    serde_json::from_value(value).map_err(|error| {
        Fault::fatal(
            "unreadable",
            format!("the recorded result of {name} does not fit this build: {error}"),
        )
    })
}
