//! Several things at once.
use futures::{
    FutureExt,
    future::{BoxFuture, join_all, poll_fn, select_all},
};
use serde_json::{Value, json};

use super::{
    Context,
    ask::{AnyAsk, Ask},
    core::{Core, lock},
};
use crate::{Event, EventKind, Fault};

/// Things that are asked for at the same time: a tuple of two to four of any kind, or a `Vec` of one kind.
pub trait Group<M>: Send {
    /// A result for each.
    type Outputs;
    #[doc(hidden)]
    fn into_any(self) -> Vec<AnyAsk>;
    #[doc(hidden)]
    fn read(results: Vec<Result<Value, Fault>>) -> Self::Outputs;
}

/// Which of two came first, with what it brought.
#[derive(Debug, PartialEq, Eq)]
pub enum Race<A, B> {
    /// The first of the two.
    First(A),
    /// The second.
    Second(B),
}

fn take<M, A: Ask<M>>(results: &mut impl Iterator<Item = Result<Value, Fault>>) -> Result<A::Output, Fault> {
    let missing = || Err(Fault::fatal("no_result", "a branch of a join brought no result"));
    results.next().unwrap_or_else(missing).and_then(A::read)
}

macro_rules! tuple_group {
    ($($ask:ident $marker:ident),+) => {
        impl<$($ask, $marker),+> Group<($($marker,)+)> for ($($ask,)+)
        where
            $($ask: Ask<$marker>),+
        {
            type Outputs = ($(Result<$ask::Output, Fault>,)+);

            #[expect(non_snake_case, reason = "one name for the type and its value")]
            fn into_any(self) -> Vec<AnyAsk> {
                let ($($ask,)+) = self;
                vec![$($ask.into_any()),+]
            }

            fn read(results: Vec<Result<Value, Fault>>) -> Self::Outputs {
                let mut results = results.into_iter();
                ($(take::<$marker, $ask>(&mut results),)+)
            }
        }
    };
}

tuple_group!(A M, B N);
tuple_group!(A M, B N, C O);
tuple_group!(A M, B N, C O, D P);

impl<M, A: Ask<M>> Group<M> for Vec<A> {
    type Outputs = Vec<Result<A::Output, Fault>>;

    fn into_any(self) -> Vec<AnyAsk> {
        self.into_iter().map(A::into_any).collect()
    }

    fn read(results: Vec<Result<Value, Fault>>) -> Self::Outputs {
        results
            .into_iter()
            .map(|result| result.and_then(A::read))
            .collect()
    }
}

impl Context {
    /// Asks for several things at the same time and waits for all of them.
    pub async fn join<M, G: Group<M>>(&mut self, group: G) -> G::Outputs {
        let asks = group.into_any();
        let first = self.next(asks.len());
        let last = self.op;
        let core = &self.core;
        lock(&core.branches).live = asks.len().max(1);
        let branches = asks.into_iter().zip(first..).map(|(ask, op)| async move {
            let result = core.answer(op, last, ask).await;
            core.end_branch();
            result
        });
        let results = join_all(branches).await;
        lock(&core.branches).live = 1;
        G::read(results)
    }

    /// Asks for two things and goes on with what comes first; which it was is recorded. The other is dropped, unless it
    /// is a call that must not happen twice and has been intended: that is brought to its end first.
    ///
    /// # Errors
    /// The fault of the one that came first.
    pub async fn race<M, N, A: Ask<M>, B: Ask<N>>(
        &mut self,
        a: A,
        b: B,
    ) -> Result<Race<A::Output, B::Output>, Fault> {
        let op = self.next(3);
        let (winner, value) = self.core.race(op, vec![a.into_any(), b.into_any()]).await;
        match winner {
            0 => A::read(value?).map(Race::First),
            _ => B::read(value?).map(Race::Second),
        }
    }
}

impl Core {
    fn end_branch(&self) {
        lock(&self.branches).live -= 1;
        self.stir();
    }

    /// Step `op` says who won; the branches are the steps after it.
    async fn race(&self, op: i64, mut asks: Vec<AnyAsk>) -> (usize, Result<Value, Fault>) {
        let last = op + asks.len() as i64;
        let recorded = self.recall_won(op);
        if let Some(winner) = recorded.or_else(|| lock(&self.history).first_concluded(op + 1, last)) {
            let winner = winner.min(asks.len() - 1);
            let ask = std::mem::replace(&mut asks[winner], AnyAsk::Sleep(std::time::Duration::ZERO));
            let result = self.answer(op + 1 + winner as i64, last, ask).await;
            if recorded.is_none() {
                // What the other had intended must still come to its end.
                for (index, ask) in asks.into_iter().enumerate() {
                    let other = op + 1 + index as i64;
                    if index != winner && lock(&self.history).has_open_intent(other) {
                        let _ = self.answer(other, last, ask).await;
                    }
                }
                self.won(op, winner).await;
            }
            self.forget(op + 1, last);
            return (winner, result);
        }
        lock(&self.branches).live = asks.len();
        let branches: Vec<BoxFuture<'_, _>> = asks
            .into_iter()
            .enumerate()
            .map(|(index, ask)| {
                let branch = op + 1 + index as i64;
                async move {
                    let result = self.answer(branch, last, ask).await;
                    self.end_branch();
                    (index, result)
                }
                .boxed()
            })
            .collect();
        let ((winner, result), _, mut others) = select_all(branches).await;
        lock(&self.lost).extend((op + 1..=last).filter(|step| *step != op + 1 + winner as i64));
        poll_fn(|cx| {
            // One that may be dropped is not let go on: it would find all that is left waiting, and put the run to sleep.
            if self.may_drop(op + 1, last) {
                return std::task::Poll::Ready(());
            }
            others.retain_mut(|other| other.poll_unpin(cx).is_pending());
            match others.is_empty() || self.may_drop(op + 1, last) {
                true => std::task::Poll::Ready(()),
                false => std::task::Poll::Pending,
            }
        })
        .await;
        drop(others);
        lock(&self.lost).clear();
        lock(&self.branches).live = 1;
        // One that lost before it was looked at may have a past.
        self.forget(op + 1, last);
        self.won(op, winner).await;
        (winner, result)
    }

    fn recall_won(&self, op: i64) -> Option<usize> {
        let events = lock(&self.history).take(op);
        let won = events.iter().find(|event| event.kind == EventKind::RaceWon)?;
        won.data
            .as_ref()?
            .get("winner")?
            .as_u64()
            .map(|winner| winner as usize)
    }

    async fn won(&self, op: i64, winner: usize) {
        self.note(Event {
            name: Some("race".to_owned()),
            data: Some(json!({ "winner": winner })),
            ..Self::event(Some(op), EventKind::RaceWon)
        })
        .await;
    }

    /// Drops what the journal knows of steps that lost.
    fn forget(&self, first: i64, last: i64) {
        let mut history = lock(&self.history);
        for op in first..=last {
            history.take(op);
        }
    }

    /// Whether none of the steps is on its way to the disk or to the outside.
    pub(super) fn may_drop(&self, first: i64, last: i64) -> bool {
        let free = |steps: &std::collections::HashSet<i64>| (first..=last).all(|op| !steps.contains(&op));
        free(&lock(&self.bound)) && free(&lock(&self.intended)) && self.tail.try_lock().is_ok()
    }
}
