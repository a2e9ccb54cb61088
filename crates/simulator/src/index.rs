//! The book in memory.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use crate::calls::Call;
use crate::entry::{Delivery, Entry, Message, RequestRecord};

/// What of the book is kept at hand. Messages are never forgotten; requests and deliveries are
/// rings.
#[derive(Debug)]
pub(crate) struct Index {
    messages: Vec<Arc<Message>>,
    by_sid: HashMap<String, usize>,
    by_to: HashMap<String, Vec<usize>>,
    by_from: HashMap<String, Vec<usize>>,
    calls: Vec<Arc<Call>>,
    calls_by_sid: HashMap<String, usize>,
    requests: VecDeque<Arc<RequestRecord>>,
    deliveries: VecDeque<Arc<Delivery>>,
    log_size: usize,
}

impl Index {
    pub(crate) fn new(log_size: usize) -> Self {
        Self {
            messages: Vec::new(),
            by_sid: HashMap::new(),
            by_to: HashMap::new(),
            by_from: HashMap::new(),
            calls: Vec::new(),
            calls_by_sid: HashMap::new(),
            requests: VecDeque::new(),
            deliveries: VecDeque::new(),
            log_size,
        }
    }

    /// Takes an entry in. A status of a message that does not exist is ignored.
    pub(crate) fn apply(&mut self, entry: &Entry) {
        match entry {
            Entry::Message(message) => self.insert(message),
            Entry::Status { sid, change } => {
                if let Some(&at) = self.by_sid.get(sid) {
                    Arc::make_mut(&mut self.messages[at])
                        .statuses
                        .push(change.clone());
                }
            }
            Entry::Call(call) => match self.calls_by_sid.get(&call.sid) {
                Some(&at) => self.calls[at] = Arc::clone(call),
                None => {
                    self.calls_by_sid.insert(call.sid.clone(), self.calls.len());
                    self.calls.push(Arc::clone(call));
                }
            },
            Entry::Request(request) => push(&mut self.requests, request, self.log_size),
            Entry::Delivery(delivery) => push(&mut self.deliveries, delivery, self.log_size),
        }
    }

    fn insert(&mut self, message: &Arc<Message>) {
        let at = self.messages.len();
        self.by_sid.insert(message.sid.clone(), at);
        self.by_to.entry(message.to.clone()).or_default().push(at);
        self.by_from.entry(message.from.clone()).or_default().push(at);
        self.messages.push(Arc::clone(message));
    }

    pub(crate) fn get(&self, sid: &str) -> Option<&Arc<Message>> {
        self.by_sid.get(sid).map(|&at| &self.messages[at])
    }

    pub(crate) fn position(&self, sid: &str) -> Option<usize> {
        self.by_sid.get(sid).copied()
    }

    pub(crate) fn messages(&self) -> &[Arc<Message>] {
        &self.messages
    }

    /// In the order of their creation.
    pub(crate) fn calls(&self) -> &[Arc<Call>] {
        &self.calls
    }

    pub(crate) fn call(&self, sid: &str) -> Option<&Arc<Call>> {
        self.calls_by_sid.get(sid).map(|&at| &self.calls[at])
    }

    pub(crate) fn requests(&self) -> &VecDeque<Arc<RequestRecord>> {
        &self.requests
    }

    pub(crate) fn deliveries(&self) -> &VecDeque<Arc<Delivery>> {
        &self.deliveries
    }

    /// Messages to an address, oldest first.
    pub(crate) fn to(&self, address: &str) -> impl DoubleEndedIterator<Item = &Arc<Message>> {
        self.by_to
            .get(address)
            .into_iter()
            .flatten()
            .map(|&at| &self.messages[at])
    }

    /// Messages to or from an address, oldest first, the last `limit` of them.
    pub(crate) fn with(&self, address: &str, limit: usize) -> Vec<Arc<Message>> {
        let last = |map: &HashMap<String, Vec<usize>>| {
            map.get(address)
                .map(|all| all[all.len().saturating_sub(limit)..].to_vec())
        };
        let mut both = last(&self.by_to).unwrap_or_default();
        both.extend(last(&self.by_from).unwrap_or_default());
        both.sort_unstable();
        both.dedup();
        both.drain(..both.len().saturating_sub(limit));
        both.into_iter()
            .map(|at| Arc::clone(&self.messages[at]))
            .collect()
    }

    /// Positions of the messages before `end`, newest first, by the narrowest index that `to` and
    /// `from` allow. The caller still has to compare both.
    pub(crate) fn newest_first<'a>(
        &'a self,
        to: Option<&str>,
        from: Option<&str>,
        end: usize,
    ) -> Box<dyn Iterator<Item = &'a Arc<Message>> + 'a> {
        let listed = |map: &'a HashMap<String, Vec<usize>>, address: &str| {
            map.get(address).map_or(&[][..], Vec::as_slice)
        };
        let narrow = match (to, from) {
            (Some(to), Some(from)) => {
                let (to, from) = (listed(&self.by_to, to), listed(&self.by_from, from));
                if to.len() <= from.len() { to } else { from }
            }
            (Some(to), None) => listed(&self.by_to, to),
            (None, Some(from)) => listed(&self.by_from, from),
            (None, None) => return Box::new(self.messages[..end].iter().rev()),
        };
        let below = narrow.partition_point(|&at| at < end);
        Box::new(narrow[..below].iter().rev().map(|&at| &self.messages[at]))
    }
}

fn push<T>(ring: &mut VecDeque<Arc<T>>, item: &Arc<T>, size: usize) {
    while ring.len() >= size.max(1) {
        ring.pop_front();
    }
    ring.push_back(Arc::clone(item));
}
