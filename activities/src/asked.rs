//! Questions that many runs ask at once, answered by one query.
use std::{
    collections::HashMap,
    fmt,
    hash::Hash,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

/// Askers of the same thing at the same time share a query.
///
/// Invariant: nobody gets an answer from before his question. Whoever comes while a query is on its way joins the next
/// one, never that one; nothing is kept when nobody asks.
pub(crate) struct Asked<K: Eq + Hash + Clone, V> {
    topics: Mutex<HashMap<K, Arc<Topic<V>>>>,
}

/// One question, while somebody asks it.
struct Topic<V> {
    /// How many queries have begun.
    begun: AtomicU64,
    /// The latest answer, with the number of its query. Held by whoever asks the database.
    latest: tokio::sync::Mutex<Option<(u64, V)>>,
}

impl<K: Eq + Hash + Clone, V> Default for Asked<K, V> {
    fn default() -> Self {
        Self {
            topics: Mutex::default(),
        }
    }
}

impl<K: Eq + Hash + Clone, V: Clone> Asked<K, V> {
    /// The answer of `query`, or of the same query by another asker that began after this was called. An asker who goes
    /// away leaves the query to the next.
    pub(crate) async fn ask<F: Future<Output = V>>(&self, key: K, query: impl FnOnce() -> F) -> V {
        let seat = self.sit_down(key);
        let topic = &seat.topic;
        let before = topic.begun.load(Ordering::SeqCst);
        let mut latest = topic.latest.lock().await;
        if let Some((number, answer)) = &*latest
            && *number > before
        {
            return answer.clone();
        }
        let number = topic.begun.fetch_add(1, Ordering::SeqCst) + 1;
        let answer = query().await;
        *latest = Some((number, answer.clone()));
        answer
    }

    fn sit_down(&self, key: K) -> Seat<'_, K, V> {
        let topic = self.topics().entry(key.clone()).or_default().clone();
        Seat {
            asked: self,
            key,
            topic,
        }
    }
}

impl<K: Eq + Hash + Clone, V> Asked<K, V> {
    fn topics(&self) -> MutexGuard<'_, HashMap<K, Arc<Topic<V>>>> {
        self.topics.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<V> Default for Topic<V> {
    fn default() -> Self {
        Self {
            begun: AtomicU64::new(0),
            latest: tokio::sync::Mutex::new(None),
        }
    }
}

/// An asker's place; the last to leave takes the topic away.
struct Seat<'a, K: Eq + Hash + Clone, V> {
    asked: &'a Asked<K, V>,
    key: K,
    topic: Arc<Topic<V>>,
}

impl<K: Eq + Hash + Clone, V> Drop for Seat<'_, K, V> {
    fn drop(&mut self) {
        let mut topics = self.asked.topics();
        // The map's and this one.
        if Arc::strong_count(&self.topic) == 2 {
            topics.remove(&self.key);
        }
    }
}

impl<K: Eq + Hash + Clone, V> fmt::Debug for Asked<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Asked").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use futures::{FutureExt, future::join_all, poll};
    use tokio::sync::Semaphore;

    use super::*;

    /// A source that changes, and answers when it is let.
    struct Source {
        value: AtomicUsize,
        queries: AtomicUsize,
        gate: Semaphore,
    }

    impl Source {
        fn new() -> Self {
            Self {
                value: AtomicUsize::new(0),
                queries: AtomicUsize::new(0),
                gate: Semaphore::new(0),
            }
        }

        /// Reads at its beginning and answers later: what is read is old by then.
        async fn read(&self) -> usize {
            let read = self.value.load(Ordering::SeqCst);
            self.queries.fetch_add(1, Ordering::SeqCst);
            self.gate.acquire().await.unwrap().forget();
            read
        }
    }

    #[tokio::test]
    async fn who_asks_during_a_query_joins_the_next_one_with_all_others() {
        let (asked, source) = (Asked::default(), Source::new());
        let ask = || asked.ask("topic", || source.read()).boxed_local();
        let mut first = ask();
        assert!(poll!(&mut first).is_pending());
        source.value.store(1, Ordering::SeqCst);
        let mut later: Vec<_> = (0..50).map(|_| ask()).collect();
        for asker in &mut later {
            assert!(poll!(asker).is_pending());
        }
        source.gate.add_permits(2);
        assert_eq!(first.await, 0);
        assert_eq!(
            join_all(later).await,
            [1; 50],
            "nobody sees what was before his question"
        );
        assert_eq!(source.queries.load(Ordering::SeqCst), 2);
        assert!(asked.topics().is_empty(), "nothing is kept");
    }

    #[tokio::test]
    async fn an_asker_who_goes_away_leaves_the_query_to_the_next() {
        let (asked, source) = (Asked::default(), Source::new());
        let ask = || asked.ask("topic", || source.read()).boxed_local();
        let (mut first, mut second) = (ask(), ask());
        assert!(poll!(&mut first).is_pending() && poll!(&mut second).is_pending());
        drop(first);
        source.gate.add_permits(1);
        assert_eq!(second.await, 0);
        assert!(asked.topics().is_empty());
    }

    #[tokio::test]
    async fn different_questions_do_not_wait_for_each_other() {
        let (asked, source) = (Asked::default(), Source::new());
        let mut stuck = asked.ask("one", || source.read()).boxed_local();
        assert!(poll!(&mut stuck).is_pending());
        assert_eq!(asked.ask("other", || async { 7 }).await, 7);
    }
}
