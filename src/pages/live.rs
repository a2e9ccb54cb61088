//! Pages that follow what happens: the database is looked at, and what changed on the page is sent.
//!
//! It works whichever process made the change, and ends when the reader goes, because its stream is dropped then.
use std::{
    collections::BTreeMap,
    fmt::Debug,
    hash::{DefaultHasher, Hash, Hasher},
    time::Duration,
};

use chrono::{DateTime, Utc};
use futures::{Stream, StreamExt, stream};
use poem::{
    IntoResponse, Response,
    web::sse::{Event, SSE},
};
use recado_engine::StorageError;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval};

use super::language::as_now;

/// How often the database is looked at for one reader.
const LOOK: Duration = Duration::from_millis(300);
/// How many times as long as a look took it is waited for the next, so that one over many runs stays a small burden.
const PAUSE: u32 = 20;
/// How often a silent stream says that it is alive. The first word after a reader went finds the connection closed, the
/// next one finds that out: nothing else tells a server that only writes.
const HEARTBEAT: Duration = Duration::from_secs(2);
/// After so long a reader is asked to come again, so that a stop of the process or a move never waits for ever.
const SESSION: Duration = Duration::from_secs(600);
/// How soon a browser comes again after its stream broke.
const AGAIN: Duration = Duration::from_millis(500);

/// Parts of a page, by the id of the element that holds them.
pub(crate) type Sections = BTreeMap<&'static str, String>;

/// A page that can be followed.
pub(crate) trait Followed: Send + Sync + 'static {
    /// What the page shows, before it is rendered.
    type Seen: Send;

    /// Looks.
    fn look(&self) -> impl Future<Output = Result<Self::Seen, StorageError>> + Send;

    /// A number that differs when the page does.
    fn cursor(&self, seen: &Self::Seen) -> u64;

    /// Renders what may have changed.
    fn sections(&self, seen: &Self::Seen) -> Sections;

    /// When it may not be followed any longer as it is; whoever comes again sees what may be seen then.
    fn until(&self) -> Option<DateTime<Utc>> {
        None
    }

    /// Whether nothing will change any more.
    fn is_last(&self, _seen: &Self::Seen) -> bool {
        false
    }
}

/// A number that differs when any of `what` does.
pub(crate) fn cursor(what: &impl Debug) -> u64 {
    let mut hasher = DefaultHasher::new();
    format!("{what:?}").hash(&mut hasher);
    hasher.finish()
}

/// Sends what the page shows now, then again whenever that changes.
pub(crate) fn follow(page: impl Followed) -> Response {
    let left = page
        .until()
        .map(|until| (until - Utc::now()).to_std().unwrap_or_default());
    send_for(left.unwrap_or(SESSION).min(SESSION), changes(page))
}

/// A stream of events as the answer to a request.
pub(crate) fn send(events: impl Stream<Item = Event> + Send + 'static) -> Response {
    send_for(SESSION, events)
}

/// The same, for so long at most.
fn send_for(time: Duration, events: impl Stream<Item = Event> + Send + 'static) -> Response {
    let again = Event::retry(AGAIN.as_millis() as u64);
    let bounded = stream::iter([again])
        .chain(as_now(events))
        .take_until(tokio::time::sleep(time));
    SSE::new(bounded).keep_alive(HEARTBEAT).into_response()
}

/// `sections` as an event. As JSON it is one line, whatever people wrote: a lone carriage return would else end the
/// line, and what follows it could pass for an event of ours.
pub(crate) fn event(sections: &Sections) -> Event {
    Event::message(serde_json::to_string(sections).unwrap_or_default()).event_type("sections")
}

struct Follower<P> {
    page: P,
    interval: Interval,
    sent: Option<u64>,
    ended: bool,
    _reading: Reading,
}

fn changes<P: Followed>(page: P) -> impl Stream<Item = Event> + Send {
    let mut interval = interval(LOOK);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let follower = Follower {
        page,
        interval,
        sent: None,
        ended: false,
        _reading: Reading::begin(),
    };
    stream::unfold(follower, async |mut follower| {
        let events = follower.next().await?;
        Some((stream::iter(events), follower))
    })
    .flatten()
}

impl<P: Followed> Follower<P> {
    async fn next(&mut self) -> Option<Vec<Event>> {
        if self.ended {
            return None;
        }
        loop {
            self.interval.tick().await;
            // A database that is away for a while comes back; the reader keeps what there was.
            let begun = Instant::now();
            let looked = self.page.look().await;
            self.interval.reset_after(LOOK.max(begun.elapsed() * PAUSE));
            let Ok(seen) = looked else {
                continue;
            };
            let cursor = self.page.cursor(&seen);
            let changed = self.sent.replace(cursor) != Some(cursor);
            let mut events = Vec::new();
            if changed {
                events.push(event(&self.page.sections(&seen)));
            }
            if self.page.is_last(&seen) {
                self.ended = true;
                events.push(Event::message("nothing will change any more").event_type("end"));
            }
            if !events.is_empty() {
                return Some(events);
            }
        }
    }
}

/// Counts, for as long as it lives, one reader of a live page.
struct Reading {
    since: Instant,
}

impl Reading {
    fn begin() -> Self {
        metrics::gauge!("recado_live_readers").increment(1.0);
        Self {
            since: Instant::now(),
        }
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        metrics::gauge!("recado_live_readers").decrement(1.0);
        tracing::debug!(
            seconds = self.since.elapsed().as_secs(),
            "a reader of a live page went"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A page that is to be masked again.
    struct Shown(DateTime<Utc>);

    impl Followed for Shown {
        type Seen = ();

        async fn look(&self) -> Result<(), StorageError> {
            Ok(())
        }

        fn until(&self) -> Option<DateTime<Utc>> {
            Some(self.0)
        }

        fn cursor(&self, (): &()) -> u64 {
            0
        }

        fn sections(&self, (): &()) -> Sections {
            Sections::from([("text", "whole".to_owned())])
        }
    }

    #[tokio::test]
    async fn what_is_revealed_is_sent_no_longer_than_it_stays_so() {
        // Without an end this body is read for minutes.
        let over = follow(Shown(Utc::now() - chrono::TimeDelta::seconds(1))).into_body();
        assert!(over.into_string().await.is_ok());
    }
}
