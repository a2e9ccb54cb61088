//! The keys that a process has lately used, so that a batch need not ask the database for them again.
//!
//! A run's key never changes. An owner's may be erased and replaced at any time, by anybody: what is sealed under one
//! from here must be stored by a statement that requires its row.
use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Arc, Mutex, PoisonError},
};

use super::codec::Key;

/// How many are kept at least, and at most twice as many.
const KEPT: usize = 4096;

/// The key of a run.
#[derive(Clone)]
pub(super) struct OfRun {
    pub(super) key: Arc<Key>,
    /// The owner under whose key it is stored.
    pub(super) owner: String,
}

/// The key of an owner, and its id.
#[derive(Clone)]
pub(super) struct OfOwner {
    pub(super) id: String,
    pub(super) key: Arc<Key>,
}

/// Keys at hand.
#[derive(Default)]
pub(super) struct Ring {
    runs: Mutex<Lately<String, OfRun>>,
    owners: Mutex<Lately<String, OfOwner>>,
}

impl Ring {
    pub(super) fn run(&self, run: &str) -> Option<OfRun> {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner).get(run)
    }

    pub(super) fn keep_run(&self, run: &str, key: OfRun) {
        let mut runs = self.runs.lock().unwrap_or_else(PoisonError::into_inner);
        runs.keep(run.to_owned(), key);
    }

    pub(super) fn owner(&self, owner: &str) -> Option<OfOwner> {
        let mut owners = self.owners.lock().unwrap_or_else(PoisonError::into_inner);
        owners.get(owner)
    }

    pub(super) fn keep_owner(&self, owner: &str, key: OfOwner) {
        let mut owners = self.owners.lock().unwrap_or_else(PoisonError::into_inner);
        owners.keep(owner.to_owned(), key);
    }

    pub(super) fn forget_owner(&self, owner: &str) {
        let mut owners = self.owners.lock().unwrap_or_else(PoisonError::into_inner);
        owners.forget(owner);
    }
}

/// What was used last: the present generation and the one before.
struct Lately<K, V> {
    young: HashMap<K, V>,
    old: HashMap<K, V>,
}

impl<K, V> Default for Lately<K, V> {
    fn default() -> Self {
        Self {
            young: HashMap::new(),
            old: HashMap::new(),
        }
    }
}

impl<V: Clone> Lately<String, V> {
    fn get(&mut self, key: &str) -> Option<V> {
        if let Some(found) = self.young.get(key) {
            return Some(found.clone());
        }
        let (key, found) = self.old.remove_entry(key)?;
        self.keep(key, found.clone());
        Some(found)
    }

    fn forget(&mut self, key: &str) {
        self.young.remove(key);
        self.old.remove(key);
    }
}

impl<K: Eq + Hash, V> Lately<K, V> {
    fn keep(&mut self, key: K, value: V) {
        if self.young.len() >= KEPT {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_used_stays_and_the_rest_goes() {
        let mut lately = Lately::default();
        lately.keep("used".to_owned(), 0);
        for n in 1..KEPT * 3 {
            lately.keep(n.to_string(), n);
            assert_eq!(lately.get("used"), Some(0));
        }
        assert_eq!(lately.get("1"), None);
        assert!(lately.young.len() + lately.old.len() <= KEPT * 2);
    }
}
