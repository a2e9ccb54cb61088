//! What a process does at its points: nothing, unless its environment says so.
//!
//! - `RECADO_CRASH_LIST`: append the name of every point that is passed to this file.
//! - `RECADO_CRASH_AT`: the point at which to die, `RECADO_CRASH_MARK` the file that is made then. Where that file
//!   exists already nothing dies, so that a process that is started again goes on.
//! - `RECADO_CRASH_HOW`: the signal, `KILL` by default; with `STOP` the process goes on when somebody sends it `CONT`.
//! - `RECADO_CRASH_ALSO`: a shell command for the moment before.
//! - `RECADO_CRASH_WITHOUT`: a protection to do without, see [`Protection`].
//! - `RECADO_CRASH_LEASE`: milliseconds, so that a take-over is not waited for so long.
use std::{
    cell::RefCell,
    collections::HashMap,
    env,
    fs::{File, OpenOptions},
    future::Future,
    io::Write as _,
    process::Command,
    sync::{Mutex, OnceLock, PoisonError},
    time::Duration,
};

use super::Protection;
use crate::Settings;

/// What the environment says.
struct Orders {
    list: Option<File>,
    at: Option<String>,
    mark: String,
    how: String,
    also: String,
    without: String,
    lease: Option<Duration>,
}

impl Orders {
    fn given() -> &'static Self {
        static ORDERS: OnceLock<Orders> = OnceLock::new();
        ORDERS.get_or_init(|| {
            let text = |name: &str| env::var(name).unwrap_or_default();
            let list = env::var_os("RECADO_CRASH_LIST");
            let append = |path| OpenOptions::new().create(true).append(true).open(path).ok();
            Self {
                list: list.and_then(append),
                at: env::var("RECADO_CRASH_AT").ok(),
                mark: text("RECADO_CRASH_MARK"),
                how: env::var("RECADO_CRASH_HOW").unwrap_or_else(|_| "KILL".to_owned()),
                also: text("RECADO_CRASH_ALSO"),
                without: text("RECADO_CRASH_WITHOUT"),
                lease: text("RECADO_CRASH_LEASE").parse().ok().map(Duration::from_millis),
            }
        })
    }

    fn are_given(&self) -> bool {
        self.list.is_some() || self.at.is_some()
    }
}

/// Whether this process does without `protection`.
pub(crate) fn without(protection: Protection) -> bool {
    let word = match protection {
        Protection::Reconciling => "reconciling",
        Protection::Epoch => "epoch",
        Protection::Key => "key",
    };
    Orders::given().without == word
}

/// A point, by its name and how often that was passed.
type Point = (String, u32);

tokio::task_local! {
    /// What the present transaction is made of.
    static PARTS: RefCell<Vec<String>>;
}

/// Says what a part of the present transaction is.
pub(crate) fn note(name: impl FnOnce() -> String) {
    if Orders::given().are_given() {
        let _outside = PARTS.try_with(|parts| parts.borrow_mut().push(name()));
    }
}

/// Says what the present transaction is, if nobody has; empty if nobody need know.
pub(crate) fn note_whole(name: &'static str) {
    if PARTS.try_with(|parts| parts.borrow().is_empty()) == Ok(true) && !name.is_empty() {
        note(|| name.to_owned());
    }
}

/// A transaction, from its beginning to its end.
pub(crate) async fn transaction<T>(work: impl Future<Output = T>) -> T {
    PARTS.scope(RefCell::default(), work).await
}

/// A commit, which [`note`] has named.
pub(super) async fn commit<T>(commit: impl Future<Output = T>) -> T {
    let parts = PARTS.try_with(|parts| parts.take()).unwrap_or_default();
    let points: Vec<Point> = parts
        .into_iter()
        .map(|part| numbered(format!("commit {part}")))
        .collect();
    around(&points, commit).await
}

/// A call to the outside.
pub(crate) async fn call<T>(name: impl FnOnce() -> String, call: impl Future<Output = T>) -> T {
    match Orders::given().are_given() {
        true => around(&[numbered(format!("call {}", name()))], call).await,
        false => call.await,
    }
}

/// The settings that the engine goes by. What takes a little longer on a busy machine is no commit of its own, so that a
/// scenario passes the same points each time.
pub(crate) fn settings(settings: Settings) -> Settings {
    let orders = Orders::given();
    Settings {
        lease: orders.lease.unwrap_or(settings.lease),
        visible_after: match orders.are_given() {
            true => Duration::from_secs(2),
            false => settings.visible_after,
        },
        ..settings
    }
}

async fn around<T>(points: &[Point], work: impl Future<Output = T>) -> T {
    points.iter().for_each(|point| pass(point, "before"));
    let done = work.await;
    points.iter().for_each(|point| pass(point, "after"));
    done
}

fn numbered(name: String) -> Point {
    static PASSED: OnceLock<Mutex<HashMap<String, u32>>> = OnceLock::new();
    let mut passed = PASSED
        .get_or_init(Mutex::default)
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    let n = passed.entry(name.clone()).or_default();
    *n += 1;
    (name, *n)
}

/// One point at a time: whoever comes to one while the process dies gets no further.
fn pass((name, n): &Point, side: &str) {
    static ONE: Mutex<()> = Mutex::new(());
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    let orders = Orders::given();
    let point = format!("{name}#{n}:{side}");
    if let Some(mut list) = orders.list.as_ref() {
        let _full_disk = list.write_all(format!("{point}\n").as_bytes());
    }
    if orders.at.as_ref() != Some(&point) {
        return;
    }
    // Made by one process only, and only once.
    let Ok(mut mark) = File::create_new(&orders.mark) else {
        return;
    };
    let _full_disk = mark.write_all(std::process::id().to_string().as_bytes());
    let die = format!("{}\nkill -{} {}", orders.also, orders.how, std::process::id());
    let _died = Command::new("sh").args(["-c", &die]).status();
}
