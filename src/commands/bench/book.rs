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
    sync::oneshot,
    task::JoinHandle,
};

/// How often the end of the file is looked at.
const LOOK: Duration = Duration::from_millis(1);
/// How every message begins in the book.
const MESSAGE: &[u8] = br#"{"kind":"message""#;

/// What contacts were sent.
pub(super) struct Book {
    contacts: Arc<Mutex<HashMap<String, Contact>>>,
    reading: JoinHandle<anyhow::Result<()>>,
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
        let contacts = Arc::<Mutex<HashMap<String, Contact>>>::default();
        let reading = tokio::spawn(read(path, contacts.clone()));
        Self { contacts, reading }
    }

    /// When the first message to `contact` from now on is taken by Twilio.
    pub(super) fn answer_to(&self, contact: &str) -> oneshot::Receiver<DateTime<Utc>> {
        let (tell, told) = oneshot::channel();
        lock(&self.contacts).entry(contact.to_owned()).or_default().waits = Some(tell);
        told
    }

    /// How many messages `contact` was sent so far.
    pub(super) fn sent_to(&self, contact: &str) -> u64 {
        lock(&self.contacts)
            .get(contact)
            .map_or(0, |contact| contact.sent)
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

async fn read(path: PathBuf, contacts: Arc<Mutex<HashMap<String, Contact>>>) -> anyhow::Result<()> {
    let mut file = BufReader::with_capacity(1 << 20, File::open(path).await?);
    let mut line = Vec::new();
    loop {
        file.read_until(b'\n', &mut line).await?;
        if line.last() != Some(&b'\n') {
            // The rest of the line, or the next one, is still to be written.
            tokio::time::sleep(LOOK).await;
            continue;
        }
        if line.starts_with(MESSAGE) {
            let message: Message = serde_json::from_slice(&line)?;
            if message.direction == "outbound" {
                let mut contacts = lock(&contacts);
                let contact = contacts.entry(message.to).or_default();
                contact.sent += 1;
                if let Some(tell) = contact.waits.take() {
                    // Who waited may have lost patience.
                    let _ = tell.send(message.created);
                }
            }
        }
        line.clear();
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
