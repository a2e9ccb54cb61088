//! The book of the simulated Twilio, read as it grows: the cheapest way to hear of an answer, and the book's own time of
//! each, so that it costs nothing to be late in reading.
use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use chrono::{DateTime, Utc};
use serde::Deserialize;
use tokio::{
    fs::File,
    io::{AsyncBufReadExt, BufReader},
    sync::{Notify, oneshot},
    task::JoinHandle,
};

/// How often the end of the file is looked at while somebody waits for an answer, and while nobody does.
const LOOK: Duration = Duration::from_millis(1);
const GLANCE: Duration = Duration::from_millis(100);
/// How every message begins in the book.
const MESSAGE: &[u8] = br#"{"kind":"message""#;

/// What contacts were sent.
pub(super) struct Book {
    read: Arc<Read>,
    reading: JoinHandle<anyhow::Result<()>>,
}

#[derive(Default)]
struct Read {
    contacts: Mutex<Contacts>,
    /// Somebody begins to wait.
    awaited: Notify,
}

#[derive(Default)]
struct Contacts {
    known: HashMap<String, Contact>,
    /// How many of them wait.
    waiting: usize,
}

#[derive(Default)]
struct Contact {
    sent: u64,
    waits: Option<oneshot::Sender<DateTime<Utc>>>,
}

#[derive(Deserialize)]
struct Message {
    direction: String,
    to: String,
    created: DateTime<Utc>,
}

impl Book {
    /// Reads a book that is there.
    pub(super) fn follow(path: PathBuf) -> Self {
        let read = Arc::<Read>::default();
        let reading = tokio::spawn(follow(path, read.clone()));
        Self { read, reading }
    }

    /// When the first message to `contact` from now on is taken by Twilio.
    pub(super) fn answer_to(&self, contact: &str) -> oneshot::Receiver<DateTime<Utc>> {
        let (tell, told) = oneshot::channel();
        let mut contacts = lock(&self.read.contacts);
        let waited = contacts
            .known
            .entry(contact.to_owned())
            .or_default()
            .waits
            .replace(tell);
        contacts.waiting += usize::from(waited.is_none());
        self.read.awaited.notify_one();
        told
    }

    /// How many messages `contact` was sent so far.
    pub(super) fn sent_to(&self, contact: &str) -> u64 {
        let contacts = lock(&self.read.contacts);
        contacts.known.get(contact).map_or(0, |contact| contact.sent)
    }

    /// Waits until what was written by now has been read.
    pub(super) async fn catch_up(&self) {
        tokio::time::sleep(GLANCE * 2).await;
    }
}

impl Drop for Book {
    fn drop(&mut self) {
        self.reading.abort();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing in here panics half-way through a change.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn follow(path: PathBuf, read: Arc<Read>) -> anyhow::Result<()> {
    let mut file = BufReader::with_capacity(1 << 20, File::open(path).await?);
    let mut line = Vec::new();
    loop {
        file.read_until(b'\n', &mut line).await?;
        if line.last() != Some(&b'\n') {
            // The rest of the line, or the next one, is still to be written.
            pause(&read).await;
            continue;
        }
        if line.starts_with(MESSAGE) {
            let message: Message = serde_json::from_slice(&line)?;
            if message.direction == "outbound" {
                read.heard(message);
            }
        }
        line.clear();
    }
}

async fn pause(read: &Read) {
    if lock(&read.contacts).waiting > 0 {
        tokio::time::sleep(LOOK).await;
    } else {
        // Whether somebody waits now, or nobody for so long.
        let _ = tokio::time::timeout(GLANCE, read.awaited.notified()).await;
    }
}

impl Read {
    fn heard(&self, message: Message) {
        let mut contacts = lock(&self.contacts);
        let contact = contacts.known.entry(message.to).or_default();
        contact.sent += 1;
        if let Some(tell) = contact.waits.take() {
            contacts.waiting -= 1;
            // Who waited may have lost patience.
            let _ = tell.send(message.created);
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[tokio::test]
    async fn an_answer_is_heard_with_its_own_time_even_if_it_is_written_in_two_pieces() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("book");
        let mut file = std::fs::File::create(&path).unwrap();
        let book = Book::follow(path);
        let heard = book.answer_to("+1");
        let line = r#"{"kind":"message","direction":"outbound","to":"+1","created":"2026-01-01T00:00:00Z"}"#;
        file.write_all(&line.as_bytes()[..40]).unwrap();
        tokio::time::sleep(LOOK * 5).await;
        file.write_all(&line.as_bytes()[40..]).unwrap();
        file.write_all(b"\n").unwrap();
        let at = tokio::time::timeout(Duration::from_secs(10), heard)
            .await
            .unwrap()
            .unwrap();
        assert_eq!(at.to_rfc3339(), "2026-01-01T00:00:00+00:00");
        assert_eq!((book.sent_to("+1"), book.sent_to("+2")), (1, 0));
    }
}
