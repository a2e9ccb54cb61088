//! The book: an append-only file of JSON lines, and its index in memory.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::Context as _;
use tokio::sync::{broadcast, watch};

use crate::calls::Call;
use crate::entry::{Delivery, Direction, Entry, Message, RequestRecord};
use crate::index::Index;

/// How many changes a slow listener may lag behind before it misses some.
const EVENTS_BEHIND: usize = 4096;

/// What a simulator was told and did; it survives the death of the process.
///
/// Invariant: an entry is handed to the operating system before anybody is answered because of it.
/// It is not synced to disk: the book outlives a process, not a machine.
#[derive(Debug)]
pub struct Book {
    inner: Mutex<Inner>,
    changes: watch::Sender<u64>,
    events: broadcast::Sender<(u64, Arc<Entry>)>,
}

#[derive(Debug)]
struct Inner {
    file: File,
    index: Index,
}

impl Book {
    /// Opens or creates the file at `path` and reads it back. A last line without its end, which
    /// a writer that was killed may leave, is cut off.
    ///
    /// # Errors
    /// If the file cannot be opened, or a complete line of it is not an entry; the line is named.
    pub(crate) fn open(path: &Path, log_size: usize) -> anyhow::Result<Self> {
        let mut index = Index::new(log_size);
        let file = OpenOptions::new()
            .create(true)
            .read(true)
            .append(true)
            .open(path)
            .with_context(|| format!("cannot open the book {}", path.display()))?;
        let complete = read_back(&file, &mut index)
            .with_context(|| format!("cannot read the book {}", path.display()))?;
        file.set_len(complete)?;
        Ok(Self {
            inner: Mutex::new(Inner { file, index }),
            changes: watch::Sender::new(0),
            events: broadcast::Sender::new(EVENTS_BEHIND),
        })
    }

    /// All messages of both directions, in the order of their creation.
    pub fn messages(&self) -> Vec<Arc<Message>> {
        self.lock().index.messages().to_vec()
    }

    /// How many messages there are; cheap, unlike [`Book::messages`].
    pub fn message_count(&self) -> usize {
        self.lock().index.messages().len()
    }

    /// The message with this SID.
    pub fn message(&self, sid: &str) -> Option<Arc<Message>> {
        self.lock().index.get(sid).cloned()
    }

    /// What was sent to `address` (exactly as on the wire, with its channel), oldest first.
    pub fn outbound_to(&self, address: &str) -> Vec<Arc<Message>> {
        let inner = self.lock();
        let outbound = inner
            .index
            .to(address)
            .filter(|m| m.direction == Direction::Outbound);
        outbound.cloned().collect()
    }

    /// The last `limit` messages to and from `address`, oldest first.
    pub fn conversation(&self, address: &str, limit: usize) -> Vec<Arc<Message>> {
        self.lock().index.with(address, limit)
    }

    /// All calls of both directions, in the order of their creation.
    pub fn calls(&self) -> Vec<Arc<Call>> {
        self.lock().index.calls().to_vec()
    }

    /// The call with this SID.
    pub fn call(&self, sid: &str) -> Option<Arc<Call>> {
        self.lock().index.call(sid).cloned()
    }

    /// The latest requests (as many as [`crate::Config::log_size`]), oldest first.
    pub fn requests(&self) -> Vec<Arc<RequestRecord>> {
        self.lock().index.requests().iter().cloned().collect()
    }

    /// The latest attempts to post webhooks, oldest first.
    pub fn deliveries(&self) -> Vec<Arc<Delivery>> {
        self.lock().index.deliveries().iter().cloned().collect()
    }

    /// A number that changes with every entry; await its change instead of sleeping.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Every entry from now on, with its change number.
    pub fn follow(&self) -> broadcast::Receiver<(u64, Arc<Entry>)> {
        self.events.subscribe()
    }

    /// Writes entries, in one piece, then shows them.
    ///
    /// # Errors
    /// If the file cannot be written; then nothing is shown.
    pub(crate) fn append(&self, entries: Vec<Entry>) -> io::Result<()> {
        // Outside the lock: it is the costly part.
        let lines = to_lines(&entries)?;
        self.write(&mut self.lock(), &lines, entries)
    }

    /// Writes a message unless its SID is taken; what the book has under that SID.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub(crate) fn insert_once(&self, message: Arc<Message>) -> io::Result<Arc<Message>> {
        let entries = vec![Entry::Message(Arc::clone(&message))];
        let lines = to_lines(&entries)?;
        let mut inner = self.lock();
        if let Some(known) = inner.index.get(&message.sid) {
            return Ok(Arc::clone(known));
        }
        self.write(&mut inner, &lines, entries)?;
        Ok(message)
    }

    fn write(&self, inner: &mut Inner, lines: &[u8], entries: Vec<Entry>) -> io::Result<()> {
        inner.file.write_all(lines)?;
        let mut change = *self.changes.borrow();
        for entry in entries {
            inner.index.apply(&entry);
            change += 1;
            if self.events.receiver_count() > 0 {
                // Without a listener left there is nobody to tell.
                let _ = self.events.send((change, Arc::new(entry)));
            }
        }
        self.changes.send_replace(change);
        Ok(())
    }

    /// Reads the index.
    pub(crate) fn read<T>(&self, with: impl FnOnce(&Index) -> T) -> T {
        with(&self.lock().index)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Nothing in here panics half-way through a change.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn to_lines(entries: &[Entry]) -> io::Result<Vec<u8>> {
    let mut lines = Vec::with_capacity(512 * entries.len());
    for entry in entries {
        serde_json::to_writer(&mut lines, entry)?;
        lines.push(b'\n');
    }
    Ok(lines)
}

/// Applies the complete lines of a file; their length in bytes.
fn read_back(file: &File, index: &mut Index) -> anyhow::Result<u64> {
    let mut reader = BufReader::new(file);
    let mut line = Vec::new();
    let mut complete = 0;
    for number in 1.. {
        line.clear();
        let length = reader.read_until(b'\n', &mut line)?;
        if line.last() != Some(&b'\n') {
            break;
        }
        let entry = serde_json::from_slice(&line).with_context(|| format!("line {number}"))?;
        index.apply(&entry);
        complete += length as u64;
    }
    Ok(complete)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entry::{Status, StatusChange};

    fn message(sid: &str) -> Entry {
        Entry::Message(Arc::new(Message {
            sid: sid.to_owned(),
            account: "AC1".to_owned(),
            direction: Direction::Outbound,
            from: "+14155550100".to_owned(),
            to: "+14155550101".to_owned(),
            body: "olá".to_owned(),
            media: Vec::new(),
            messaging_service: None,
            content: None,
            status_callback: None,
            created: chrono::Utc::now(),
            statuses: vec![StatusChange::now(Status::Queued, None)],
        }))
    }

    #[test]
    fn a_torn_last_line_is_cut_off_and_the_next_entry_is_readable() -> anyhow::Result<()> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("book.jsonl");
        Book::open(&path, 10)?.append(vec![message("SM1")])?;
        let whole = std::fs::read(&path)?;
        OpenOptions::new()
            .append(true)
            .open(&path)?
            .write_all(&whole[..whole.len() / 2])?;

        Book::open(&path, 10)?.append(vec![message("SM2")])?;

        let sids: Vec<_> = Book::open(&path, 10)?
            .messages()
            .iter()
            .map(|m| m.sid.clone())
            .collect();
        assert_eq!(sids, ["SM1", "SM2"]);
        Ok(())
    }

    #[test]
    fn a_corrupt_line_is_named_instead_of_skipped() -> anyhow::Result<()> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("book.jsonl");
        Book::open(&path, 10)?.append(vec![message("SM1")])?;
        OpenOptions::new().append(true).open(&path)?.write_all(b"{}\n")?;

        let error = Book::open(&path, 10).expect_err("the second line is no entry");
        assert!(format!("{error:#}").contains("line 2"), "{error:#}");
        Ok(())
    }

    #[test]
    fn the_request_log_is_a_ring_and_statuses_follow_their_message() -> anyhow::Result<()> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("book.jsonl");
        let book = Book::open(&path, 2)?;
        let request = |path: &str| {
            Entry::Request(Arc::new(RequestRecord {
                at: chrono::Utc::now(),
                method: "GET".to_owned(),
                path: path.to_owned(),
                params: serde_json::Value::Null,
            }))
        };
        book.append(vec![request("/1"), request("/2"), request("/3"), message("SM1")])?;
        let change = StatusChange::now(Status::Sent, None);
        book.append(vec![Entry::Status {
            sid: "SM1".to_owned(),
            change,
        }])?;

        for book in [book, Book::open(&path, 2)?] {
            let paths: Vec<_> = book.requests().iter().map(|r| r.path.clone()).collect();
            assert_eq!(paths, ["/2", "/3"]);
            let message = book.message("SM1").expect("it is in the book");
            assert_eq!(message.status(), Status::Sent);
            assert!(message.sent().is_some());
        }
        Ok(())
    }
}
