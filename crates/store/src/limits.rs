//! How often an owner may write of its own accord, whichever process is asked: to one prospect, from one sender, in all.
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use chrono::{DateTime, Utc};
use recado_domain::{Address, OwnerId};
use sea_orm::{ConnectionTrait, FromQueryResult};

use crate::{
    StoreError,
    owners::Settings,
    prospects::PER_MINUTE,
    rows::{Column, Rows},
};

mod window;

use window::Window;

/// How many messages may go within a minute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// To one prospect.
    pub prospect: u32,
    /// From one of the owner's senders; `None` is without limit.
    pub sender: Option<u32>,
    /// In all; `None` is without limit.
    pub owner: Option<u32>,
}

impl Limits {
    /// Those of an owner.
    pub fn of(settings: &Settings) -> Self {
        Self {
            prospect: settings.prospect_limit.unwrap_or(PER_MINUTE),
            sender: settings.sender_limit,
            owner: settings.owner_limit,
        }
    }
}

/// A message that somebody wants to send.
#[derive(Clone, Copy, Debug)]
pub struct Wish<'a> {
    /// To whom, as the owner calls it.
    pub prospect: &'a str,
    /// From where.
    pub sender: &'a Address,
}

/// Which limit keeps a message back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// That of its prospect.
    Prospect,
    /// That of its sender.
    Sender,
    /// That of all messages of the owner.
    Owner,
}

/// Whether a message may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// It may, and is counted.
    Go,
    /// It may not, and is not counted.
    Later {
        /// What keeps it back longest.
        limit: Limit,
        /// How many may go in a minute.
        per_minute: u32,
        /// After which time one more may go, if nothing else goes meanwhile.
        after: Duration,
    },
}

#[derive(FromQueryResult)]
struct Prospect {
    id: String,
    recent: String,
}

#[derive(FromQueryResult)]
struct Sending {
    scope: String,
    id: String,
    seconds: String,
}

/// Decides of each wish in its order, and counts those that may go. A prospect that nobody heard of is created. Locks
/// prospects, then counters, to the end of the transaction that this needs, so that two processes count one after the
/// other.
///
/// # Errors
/// Those of the database.
pub async fn admit(
    conn: &impl ConnectionTrait,
    owner: &OwnerId,
    limits: Limits,
    wishes: &[Wish<'_>],
    now: DateTime<Utc>,
) -> Result<Vec<Admission>, StoreError> {
    let mut book = Book::open(conn, owner, limits, wishes, now).await?;
    let admissions = wishes.iter().map(|wish| book.decide(wish)).collect();
    book.close(conn, owner).await?;
    Ok(admissions)
}

/// The windows of those that are asked about, locked.
struct Book {
    limits: Limits,
    now: DateTime<Utc>,
    prospects: BTreeMap<String, Window>,
    /// By scope and id.
    sendings: BTreeMap<(String, String), Window>,
}

impl Book {
    async fn open(
        conn: &impl ConnectionTrait,
        owner: &OwnerId,
        limits: Limits,
        wishes: &[Wish<'_>],
        now: DateTime<Utc>,
    ) -> Result<Self, StoreError> {
        const PROSPECTS: &[Column] = &[("owner", "text"), ("id", "text")];
        const SENDINGS: &[Column] = &[("owner", "text"), ("scope", "text"), ("id", "text")];
        let lock_prospects = "
            insert into prospects (owner, id, created_at) select owner, id, $2 from {rows} where true
            on conflict (owner, id) do update set recent = prospects.recent
            returning id, recent";
        let lock_sendings = "
            insert into send_windows (owner, scope, id) select owner, scope, id from {rows} where true
            on conflict (owner, scope, id) do update set seconds = send_windows.seconds
            returning scope, id, seconds";
        let mut rows = Rows::new(PROSPECTS);
        for id in wishes.iter().map(|wish| wish.prospect).collect::<BTreeSet<_>>() {
            rows.push([owner.as_str().into(), id.into()]);
        }
        let prospects: Vec<Prospect> = rows.query(conn, lock_prospects, vec![now.into()]).await?;
        let mut wanted = BTreeSet::new();
        if limits.owner.is_some() && !wishes.is_empty() {
            wanted.insert(("owner", String::new()));
        }
        if limits.sender.is_some() {
            wanted.extend(wishes.iter().map(|wish| ("sender", wish.sender.to_twilio())));
        }
        let mut rows = Rows::new(SENDINGS);
        for (scope, id) in wanted {
            rows.push([owner.as_str().into(), scope.into(), id.into()]);
        }
        let sendings: Vec<Sending> = rows.query(conn, lock_sendings, vec![]).await?;
        let prospects = prospects.into_iter().map(|row| {
            let times: Vec<i64> = serde_json::from_str(&row.recent)?;
            Ok((row.id, Window::of_times(times, now)))
        });
        let sendings = sendings
            .into_iter()
            .map(|row| Ok(((row.scope, row.id), Window::read(&row.seconds, now)?)));
        Ok(Self {
            limits,
            now,
            prospects: prospects.collect::<Result<_, StoreError>>()?,
            sendings: sendings.collect::<Result<_, StoreError>>()?,
        })
    }

    fn decide(&mut self, wish: &Wish<'_>) -> Admission {
        let Limits {
            prospect,
            sender,
            owner,
        } = self.limits;
        let key = |scope: &str, id: String| (scope.to_owned(), id);
        let (ours, all) = (
            key("sender", wish.sender.to_twilio()),
            key("owner", String::new()),
        );
        let asked = [
            (Limit::Prospect, Some(prospect), self.prospects.get(wish.prospect)),
            (Limit::Sender, sender, self.sendings.get(&ours)),
            (Limit::Owner, owner, self.sendings.get(&all)),
        ];
        let kept_back = asked.into_iter().filter_map(|(limit, per_minute, window)| {
            let (per_minute, window) = per_minute.zip(window)?;
            let after = window.wait(per_minute, self.now)?;
            Some((after, limit, per_minute))
        });
        // Of two that keep it equally long, the first.
        let longest = kept_back.reduce(|one, other| if other.0 > one.0 { other } else { one });
        if let Some((after, limit, per_minute)) = longest {
            return Admission::Later {
                limit,
                per_minute,
                after,
            };
        }
        let windows = [
            self.prospects.get_mut(wish.prospect),
            self.sendings.get_mut(&ours),
        ];
        for window in windows.into_iter().flatten() {
            window.add(self.now);
        }
        if let Some(window) = self.sendings.get_mut(&all) {
            window.add(self.now);
        }
        Admission::Go
    }

    async fn close(self, conn: &impl ConnectionTrait, owner: &OwnerId) -> Result<(), StoreError> {
        const PROSPECTS: &[Column] = &[("its_owner", "text"), ("its_id", "text"), ("its_recent", "text")];
        const SENDINGS: &[Column] = &[
            ("its_owner", "text"),
            ("its_scope", "text"),
            ("its_id", "text"),
            ("its_seconds", "text"),
        ];
        let prospects = "
            update prospects set recent = t.its_recent from {rows} where owner = t.its_owner and id = t.its_id";
        let sendings = "
            update send_windows set seconds = t.its_seconds from {rows}
            where owner = t.its_owner and scope = t.its_scope and id = t.its_id";
        let mut rows = Rows::new(PROSPECTS);
        for (id, window) in self.prospects {
            rows.push([owner.as_str().into(), id.into(), window.times()?.into()]);
        }
        rows.execute(conn, prospects, vec![]).await?;
        let mut rows = Rows::new(SENDINGS);
        for ((scope, id), window) in self.sendings {
            let seconds = window.written()?;
            rows.push([owner.as_str().into(), scope.into(), id.into(), seconds.into()]);
        }
        rows.execute(conn, sendings, vec![]).await?;
        Ok(())
    }
}
