//! Questions that many runs ask the database at the same time: one statement answers all that wait.
use std::sync::{Mutex, MutexGuard, PoisonError};

use sea_orm::DbErr;
use tokio::sync::oneshot::{self, error::TryRecvError};

use super::StorageError;

/// A question, and who hears the answer.
type Asker<Q, A> = (Q, oneshot::Sender<Result<A, DbErr>>);

/// Those who ask one kind of question.
///
/// Invariant: nobody gets an answer from before his question. Whoever comes while a statement is on its way waits for
/// the next one; whoever is alone asks at once, and through no other task.
pub(super) struct Asked<Q, A> {
    waiting: Mutex<Vec<Asker<Q, A>>>,
    /// Held by whoever asks the database.
    turn: tokio::sync::Mutex<()>,
}

impl<Q, A> Default for Asked<Q, A> {
    fn default() -> Self {
        Self {
            waiting: Mutex::default(),
            turn: tokio::sync::Mutex::default(),
        }
    }
}

impl<Q: Clone, A> Asked<Q, A> {
    /// The answer to `question`, by `query` or by that of another asker. It answers questions in their order.
    ///
    /// # Errors
    /// Those of the database.
    pub(super) async fn ask<F>(&self, question: Q, query: impl Fn(Vec<Q>) -> F) -> Result<A, StorageError>
    where
        F: Future<Output = Result<Vec<A>, DbErr>>,
    {
        loop {
            let (to, mut answer) = oneshot::channel();
            self.waiting().push((question.clone(), to));
            let turn = tokio::select! {
                biased;
                answer = &mut answer => match answer {
                    Ok(answer) => return Ok(answer?),
                    // Whoever asked for us too has gone away.
                    Err(_) => continue,
                },
                turn = self.turn.lock() => turn,
            };
            match answer.try_recv() {
                Ok(answer) => return Ok(answer?),
                Err(TryRecvError::Closed) => continue,
                Err(TryRecvError::Empty) => {}
            }
            let (questions, askers): (Vec<_>, Vec<_>) =
                std::mem::take(&mut *self.waiting()).into_iter().unzip();
            let answers = query(questions).await;
            drop(turn);
            tell(askers, answers);
            return Ok(answer.await.map_err(|_| StorageError::Stopped)??);
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Vec<Asker<Q, A>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Gives each asker his answer; one who has gone away needs none.
fn tell<A>(askers: Vec<oneshot::Sender<Result<A, DbErr>>>, answers: Result<Vec<A>, DbErr>) {
    match answers {
        Ok(answers) => {
            for (asker, answer) in askers.into_iter().zip(answers) {
                let _ = asker.send(Ok(answer));
            }
        }
        Err(error) => {
            for asker in askers {
                let _ = asker.send(Err(error.clone()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::{FutureExt, future::join_all, poll};
    use tokio::sync::Semaphore;

    use super::*;

    /// Doubles numbers when it is let, and notes how many it was asked at once.
    struct Source {
        gate: Semaphore,
        groups: Mutex<Vec<usize>>,
    }

    impl Source {
        fn new() -> Self {
            Self {
                gate: Semaphore::new(0),
                groups: Mutex::default(),
            }
        }

        async fn double(&self, numbers: Vec<u32>) -> Result<Vec<u32>, DbErr> {
            self.groups.lock().expect("nobody panicked").push(numbers.len());
            self.gate.acquire().await.expect("it stays open").forget();
            match numbers.contains(&0) {
                true => Err(DbErr::Custom("no nought".to_owned())),
                false => Ok(numbers.iter().map(|n| n * 2).collect()),
            }
        }
    }

    #[tokio::test]
    async fn who_comes_while_a_statement_is_on_its_way_joins_the_next() {
        let (asked, source) = (Asked::default(), Source::new());
        let mut askers: Vec<_> = (1..=5)
            .map(|n| Box::pin(asked.ask(n, |all| source.double(all))))
            .collect();
        for asker in &mut askers {
            assert!(poll!(asker).is_pending());
        }
        source.gate.add_permits(2);
        let answers = join_all(askers).await;
        let answers: Result<Vec<_>, _> = answers.into_iter().collect();
        assert_eq!(answers.expect("all are answered"), [2, 4, 6, 8, 10]);
        assert_eq!(*source.groups.lock().expect("nobody panicked"), [1, 4]);
    }

    #[tokio::test]
    async fn an_asker_who_goes_away_leaves_the_others_to_ask_again() {
        let (asked, source) = (Asked::default(), Source::new());
        let mut first = Box::pin(asked.ask(1, |all| source.double(all)));
        assert!(poll!(&mut first).is_pending());
        let mut askers: Vec<_> = (2..=4)
            .map(|n| Box::pin(asked.ask(n, |all| source.double(all))))
            .collect();
        for asker in &mut askers {
            assert!(poll!(asker).is_pending());
        }
        drop(first);
        // The second has taken everybody's question along, and goes away with it.
        assert!(poll!(&mut askers[0]).is_pending());
        drop(askers.remove(0));
        source.gate.add_permits(3);
        let answers = join_all(askers).await;
        let answers: Result<Vec<_>, _> = answers.into_iter().collect();
        assert_eq!(answers.expect("all are answered"), [6, 8]);
    }

    #[tokio::test]
    async fn an_error_is_told_to_all_who_asked_together() {
        let (asked, source) = (Asked::default(), Source::new());
        let mut first = Box::pin(asked.ask(1, |all| source.double(all)));
        assert!(poll!(&mut first).is_pending());
        let others = join_all([2, 0].map(|n| asked.ask(n, |all| source.double(all))));
        let mut others = Box::pin(others);
        assert!(poll!(&mut others).is_pending());
        source.gate.add_permits(3);
        assert_eq!(first.await.expect("it was asked alone"), 2);
        let failed: Vec<_> = others.await.into_iter().map(|answer| answer.is_err()).collect();
        assert_eq!(failed, [true, true]);
        assert!(asked.ask(1, |all| source.double(all)).now_or_never().is_some());
    }
}
