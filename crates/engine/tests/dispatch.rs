//! Bells wake workers at once, stay few, and survive whatever Redis does.
#![expect(clippy::unwrap_used, reason = "a test that panics fails")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::Utc;
use futures::FutureExt;
use recado_engine::dispatch::{Bells, DispatchError, Health};
use recado_testkit::{Process, eventually, free_port, redis_url, unique};
use redis::AsyncCommands;
use redis::aio::MultiplexedConnection;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// Longer than anything here takes on a busy machine.
const LONG: Duration = Duration::from_secs(30);
/// How many bells may be pending in Redis.
const FEW: usize = 8;

/// A worker that listens.
struct Worker {
    heard: Arc<Notify>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Worker {
    fn start(bells: &Bells) -> Worker {
        let (heard, stop) = (Arc::new(Notify::new()), CancellationToken::new());
        let (bells, listening) = (bells.clone(), (heard.clone(), stop.clone()));
        let task = tokio::spawn(async move { bells.listen("tester", listening.0, listening.1).await });
        Worker { heard, stop, task }
    }

    async fn hears(&self) {
        timeout(LONG, self.heard.notified())
            .await
            .expect("no bell was heard");
    }

    async fn stops(self) {
        self.stop.cancel();
        timeout(LONG, self.task).await.unwrap().unwrap();
    }
}

/// A look into Redis, past the bells.
struct Look {
    connection: MultiplexedConnection,
    namespace: String,
}

impl Look {
    async fn into(url: &str, namespace: &str) -> Look {
        let client = redis::Client::open(url).unwrap();
        let connection = eventually(LONG, async || {
            client.get_multiplexed_async_connection().await.ok()
        });
        Look {
            connection: connection.await,
            namespace: namespace.to_owned(),
        }
    }

    fn key(&self, name: &str) -> String {
        format!("recado:{}:{name}", self.namespace)
    }

    /// Bells that were rung and not heard yet.
    async fn pending(&mut self) -> usize {
        let key = self.key("bells:data");
        self.connection.hlen(key).await.unwrap()
    }

    async fn keys(&mut self) -> Vec<String> {
        let pattern = self.key("*");
        let mut scan = self.connection.scan_match::<_, String>(pattern).await.unwrap();
        let mut keys = Vec::new();
        while let Some(key) = scan.next_item().await {
            keys.push(key.unwrap());
        }
        keys.sort();
        keys
    }

    /// Waits until a worker has registered; names it.
    async fn registered(&mut self) -> String {
        let key = self.key("bells:workers");
        eventually(LONG, async || {
            let mut workers: Vec<String> = self.connection.zrange(&key, 0, -1).await.ok()?;
            workers.pop()
        })
        .await
    }
}

/// A Redis of the test's own, which may be killed, frozen and emptied.
struct Server {
    process: Process,
    port: u16,
}

impl Server {
    fn start(port: u16) -> Server {
        let arguments = ["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", ""];
        let process = Process::spawn("redis-server", &arguments, &[]);
        Server { process, port }
    }

    fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }
}

async fn degraded(bells: &Bells) -> (chrono::DateTime<Utc>, String) {
    eventually(LONG, async || match bells.health() {
        Health::Degraded { since, error } => Some((since, error)),
        _ => None,
    })
    .await
}

async fn up(bells: &Bells) {
    eventually(LONG, async || (bells.health() == Health::Up).then_some(())).await;
}

/// The shared Redis, a namespace of the test's own in it, and a look at that.
async fn shared(test: &str) -> (String, String, Look) {
    let (url, namespace) = (redis_url(), unique(test));
    let look = Look::into(&url, &namespace).await;
    (url, namespace, look)
}

fn percentile(waits: &mut [Duration], percent: usize) -> Duration {
    waits.sort();
    waits[(waits.len() - 1) * percent / 100]
}

#[tokio::test(flavor = "multi_thread")]
async fn in_one_process_every_bell_is_heard_at_once() {
    let bells = Bells::in_process();
    let worker = Worker::start(&bells);
    let mut waits = Vec::new();
    for _ in 0..2_000 {
        let rung = Instant::now();
        bells.ring();
        worker.hears().await;
        waits.push(rung.elapsed());
    }
    assert!(
        percentile(&mut waits, 50) < Duration::from_millis(1),
        "{:?}",
        percentile(&mut waits, 50)
    );
    assert_eq!(bells.health(), Health::InProcess);
    worker.stops().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn in_one_process_many_rings_are_one_bell_and_outlive_the_worker() {
    let bells = Bells::in_process();
    for _ in 0..50_000 {
        bells.ring();
    }
    let first = Worker::start(&bells);
    first.hears().await;
    assert!(
        first.heard.notified().now_or_never().is_none(),
        "rings were not coalesced"
    );
    first.stops().await;

    bells.ring();
    let second = Worker::start(&bells);
    second.hears().await;
    second.stops().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn in_one_process_two_workers_share_the_bells() {
    let bells = Bells::in_process();
    let (one, other) = (Worker::start(&bells), Worker::start(&bells));
    for _ in 0..1_000 {
        bells.ring();
        tokio::select! { () = one.hears() => (), () = other.hears() => () }
    }
    one.stops().await;
    bells.ring();
    other.hears().await;
    other.stops().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bell_through_redis_wakes_a_worker_within_five_milliseconds() {
    let (url, namespace, mut look) = shared("latency").await;
    let front_end = Bells::redis(&url, &namespace).await.unwrap();
    let worker = Worker::start(&Bells::redis(&url, &namespace).await.unwrap());
    look.registered().await;
    // A rate at which the worker falls asleep in between; 7 ms drifts past the nudges that follow a bell.
    let mut arrivals = tokio::time::interval(Duration::from_millis(7));
    let mut waits = Vec::new();
    for _ in 0..500 {
        arrivals.tick().await;
        let rung = Instant::now();
        front_end.ring();
        worker.hears().await;
        waits.push(rung.elapsed());
    }
    let (median, last) = (percentile(&mut waits, 50), percentile(&mut waits, 100));
    eprintln!(
        "wake-up p50 {median:?} p99 {:?} max {last:?}",
        percentile(&mut waits, 99)
    );
    assert!(median < Duration::from_millis(5), "{median:?}");
    worker.stops().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_wake_up_is_lost() {
    let (url, namespace, mut look) = shared("lost").await;
    let bells = Bells::redis(&url, &namespace).await.unwrap();
    let worker = Worker::start(&bells);
    look.registered().await;
    let mut late = 0;
    for _ in 0..2_000 {
        let rung = Instant::now();
        bells.ring();
        worker.hears().await;
        // A lost wake-up is made good after a second, by the look that needs no knock.
        late += u32::from(rung.elapsed() > Duration::from_millis(800));
    }
    assert!(late <= 2, "{late} of 2000 wake-ups were lost");
    worker.stops().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rings_that_nobody_hears_leave_a_few_bells_in_redis() {
    let (url, namespace, mut look) = shared("backlog").await;
    let bells = Bells::redis(&url, &namespace).await.unwrap();
    let other = Bells::redis(&url, &namespace).await.unwrap();
    for _ in 0..50_000 {
        bells.ring();
        other.ring();
        tokio::task::yield_now().await;
    }
    // Once more, each after the last was dealt with, so that every one of them had its chance to be pushed.
    for _ in 0..3 * FEW {
        let knocks = look.key("knocks");
        let _: () = look.connection.del(&knocks).await.unwrap();
        bells.ring();
        let mut connection = look.connection.clone();
        eventually(LONG, async || {
            connection.exists(&knocks).await.unwrap_or(false).then_some(())
        })
        .await;
    }
    let pending = look.pending().await;
    // Each ringer may see room once where another has just filled it.
    assert!((FEW..=FEW + 2).contains(&pending), "{pending} bells are pending");
    let keys = look.keys().await;
    assert!(keys.len() <= pending + 3, "{keys:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn bells_that_were_heard_leave_nothing_in_redis() {
    let (url, namespace, mut look) = shared("vacuum").await;
    let bells = Bells::redis(&url, &namespace).await.unwrap();
    let worker = Worker::start(&bells);
    let name = look.registered().await;
    for _ in 0..heard_bells() {
        bells.ring();
        worker.hears().await;
    }
    eventually(LONG, async || (look.pending().await == 0).then_some(())).await;
    let metadata = look.key(&format!("bells:workers:metadata:{name}"));
    let knocks = look.key("knocks");
    let left: Vec<_> = look
        .keys()
        .await
        .into_iter()
        .filter(|key| *key != knocks)
        .collect();
    assert_eq!(left, [look.key("bells:workers"), metadata.clone()]);
    let lifetime: i64 = look.connection.ttl(metadata).await.unwrap();
    assert!(lifetime > 0, "the metadata of a killed worker stays for ever");

    worker.stops().await;
    assert_eq!(
        look.keys().await.into_iter().filter(|key| *key != knocks).count(),
        0
    );
}

/// More than can be mistaken for a bounded rest; `RECADO_TEST_BELLS` takes more.
fn heard_bells() -> u32 {
    std::env::var("RECADO_TEST_BELLS").map_or(2_000, |count| count.parse().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn with_two_workers_each_bell_wakes_at_least_one() {
    let (url, namespace, mut look) = shared("pair").await;
    let front_end = Bells::redis(&url, &namespace).await.unwrap();
    let one = Worker::start(&Bells::redis(&url, &namespace).await.unwrap());
    let other = Worker::start(&Bells::redis(&url, &namespace).await.unwrap());
    let workers = look.key("bells:workers");
    let mut connection = look.connection.clone();
    eventually(LONG, async || {
        let count: usize = connection.zcard(&workers).await.unwrap();
        (count == 2).then_some(())
    })
    .await;
    for _ in 0..500 {
        front_end.ring();
        tokio::select! { () = one.hears() => (), () = other.hears() => () }
    }
    one.stops().await;
    front_end.ring();
    other.hears().await;
    let left: usize = look.connection.zcard(look.key("bells:workers")).await.unwrap();
    assert_eq!(left, 1, "a worker that stopped is still registered");
    other.stops().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ringing_at_busy_workers_blocks_nobody() {
    let (url, namespace, mut look) = shared("busy").await;
    let bells = Bells::redis(&url, &namespace).await.unwrap();
    let worker = Worker::start(&bells);
    look.registered().await;
    let began = Instant::now();
    for _ in 0..50_000 {
        bells.ring();
    }
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    // Nobody waits on `heard` all the while; the apalis worker takes the bells down all the same.
    worker.hears().await;
    eventually(LONG, async || (look.pending().await == 0).then_some(())).await;
    let _ = worker.heard.notified().now_or_never();
    bells.ring();
    worker.hears().await;
    worker.stops().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_may_stop_and_come_back() {
    let mut server = Server::start(free_port());
    let look = Look::into(&server.url(), "outage").await;
    let bells = Bells::redis(&server.url(), "outage").await.unwrap();
    assert_eq!(bells.health(), Health::Up);
    let worker = Worker::start(&bells);
    bells.ring();
    worker.hears().await;

    let killed = Utc::now();
    server.process.kill9();
    let began = Instant::now();
    for _ in 0..10_000 {
        bells.ring();
    }
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    let (since, error) = degraded(&bells).await;
    assert!(since >= killed, "{since} {killed}");
    assert!(!error.is_empty());

    let server = Server::start(server.port);
    // The rings during the outage come to one bell, without a further ring.
    worker.hears().await;
    up(&bells).await;
    let mut look = Look::into(&server.url(), &look.namespace).await;
    look.registered().await;
    eventually(LONG, async || (look.pending().await == 0).then_some(())).await;
    let _ = worker.heard.notified().now_or_never();
    for _ in 0..100 {
        bells.ring();
        worker.hears().await;
    }
    worker.stops().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_may_be_down_at_the_start() {
    let port = free_port();
    let bells = Bells::redis(&format!("redis://127.0.0.1:{port}"), "late")
        .await
        .unwrap();
    let (since, _) = degraded(&bells).await;
    let worker = Worker::start(&bells);
    bells.ring();
    assert_eq!(
        degraded(&bells).await.0,
        since,
        "the outage begins when it is first noticed"
    );

    let _server = Server::start(port);
    worker.hears().await;
    up(&bells).await;
    worker.stops().await;
    assert_eq!(bells.health(), Health::Up);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_hangs_is_noticed_and_forgiven() {
    let server = Server::start(free_port());
    let mut look = Look::into(&server.url(), "frozen").await;
    let bells = Bells::redis(&server.url(), "frozen").await.unwrap();
    let worker = Worker::start(&bells);
    look.registered().await;

    let mut process = server.process;
    process.freeze();
    bells.ring();
    degraded(&bells).await;
    process.thaw();
    worker.hears().await;
    up(&bells).await;
    worker.stops().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_forgets_everything_does_not_deafen_the_worker() {
    let server = Server::start(free_port());
    let mut look = Look::into(&server.url(), "flushed").await;
    let bells = Bells::redis(&server.url(), "flushed").await.unwrap();
    let worker = Worker::start(&bells);
    let mut name = look.registered().await;
    for _ in 0..3 {
        redis::cmd("FLUSHALL")
            .exec_async(&mut look.connection)
            .await
            .unwrap();
        redis::cmd("SCRIPT")
            .arg("FLUSH")
            .exec_async(&mut look.connection)
            .await
            .unwrap();
        bells.ring();
        worker.hears().await;
        let next = look.registered().await;
        assert_ne!(next, name, "apalis refuses a name that it has seen lately");
        name = next;
        for _ in 0..100 {
            bells.ring();
            worker.hears().await;
        }
    }
    up(&bells).await;
    worker.stops().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bell_whose_data_is_gone_costs_one_worker_and_is_not_kept() {
    let (url, namespace, mut look) = shared("poison").await;
    let bells = Bells::redis(&url, &namespace).await.unwrap();
    let worker = Worker::start(&bells);
    let name = look.registered().await;
    let queue = look.key("bells:active");
    let _: () = look.connection.rpush(queue, "evicted").await.unwrap();
    bells.ring();
    worker.hears().await;
    let workers = look.key("bells:workers");
    let mut connection = look.connection.clone();
    eventually(LONG, async || {
        let workers: Vec<String> = connection.zrange(&workers, 0, -1).await.unwrap();
        (workers.len() == 1 && workers[0] != name).then_some(())
    })
    .await;
    bells.ring();
    worker.hears().await;
    worker.stops().await;
    let queue: Vec<String> = look
        .connection
        .lrange(look.key("bells:active"), 0, -1)
        .await
        .unwrap();
    assert!(
        !queue.contains(&"evicted".to_owned()),
        "it waits for the next worker"
    );
    let keys = look.keys().await;
    assert!(!keys.iter().any(|key| key.contains("inflight")), "{keys:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bell_that_a_killed_worker_held_is_rung_again() {
    let (url, namespace, mut look) = shared("orphan").await;
    let bells = Bells::redis(&url, &namespace).await.unwrap();
    // One bell, moved by hand to where apalis keeps what a worker holds; the worker was last seen in 1970.
    bells.ring();
    eventually(LONG, async || (look.pending().await == 1).then_some(())).await;
    let ids: Vec<String> = look.connection.hkeys(look.key("bells:data")).await.unwrap();
    let moved = redis::pipe()
        .del(look.key("bells:active"))
        .del(look.key("bells:scheduled"))
        .del(look.key("knocks"))
        .sadd(look.key("bells:inflight:killed"), &ids[0])
        .zadd(look.key("bells:workers"), "killed", 1)
        .exec_async(&mut look.connection)
        .await;
    moved.unwrap();

    let worker = Worker::start(&bells);
    worker.hears().await;
    eventually(LONG, async || (look.pending().await == 0).then_some(())).await;
    worker.stops().await;
    assert_eq!(look.keys().await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn dropping_the_bells_closes_their_connections() {
    let server = Server::start(free_port());
    let mut look = Look::into(&server.url(), "dropped").await;
    let bells = Bells::redis(&server.url(), "dropped").await.unwrap();
    let worker = Worker::start(&bells);
    bells.ring();
    worker.hears().await;
    worker.stops().await;
    drop(bells);
    eventually(LONG, async || {
        let clients: String = redis::cmd("CLIENT")
            .arg("LIST")
            .query_async(&mut look.connection)
            .await
            .unwrap();
        (clients.lines().count() == 1).then_some(())
    })
    .await;
}

#[tokio::test]
async fn what_can_never_work_is_an_error_that_says_so() {
    for url in [
        "",
        "localhost:6379",
        "http://localhost:6379",
        "redis://localhost:port",
        "redis://h/x",
    ] {
        let refused = Bells::redis(url, "test").await.unwrap_err();
        assert!(matches!(refused, DispatchError::Url(_)), "{url}");
        assert!(refused.to_string().contains("Redis URL"), "{refused}");
    }
    for namespace in ["", "a:b", "a b", "*"] {
        let refused = Bells::redis("redis://127.0.0.1:1", namespace).await.unwrap_err();
        assert!(matches!(refused, DispatchError::Namespace(_)), "{namespace}");
    }
}
