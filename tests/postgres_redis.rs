//! A front end and workers on Postgres and Redis: killed, frozen, and with the servers taken away under them.
#![expect(clippy::unwrap_used, reason = "tests")]
#[expect(dead_code, reason = "each file of tests uses a part of the world")]
mod world;

use std::time::{Duration, Instant};

use futures::future::join_all;
use recado_simulator::Inbound;
use recado_testkit::{Backend, eventually};
use sea_orm::ConnectionTrait;
use world::{
    ACCOUNT, Answered, NUMBER, PATIENCE, Worker, World, completions, contact, creates, echo, echoed,
    servers::{Postgres, Redis},
    webhook::Webhook,
};

/// The value of a metric of a worker, summed over its labels that begin so.
async fn metric(world: &World, worker: &Worker, begins: &str) -> f64 {
    let answered = Answered::of(world.client.get(format!("{}/metrics", worker.url)))
        .await
        .unwrap();
    let lines = answered.text.lines().filter(|line| line.starts_with(begins));
    lines
        .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
        .sum()
}

async fn ready(world: &World, base: &str) -> (u16, String) {
    match Answered::of(world.client.get(format!("{base}/health/ready"))).await {
        Ok(answered) => (
            answered.status,
            answered.json()["status"].as_str().unwrap_or_default().to_owned(),
        ),
        Err(error) => (0, error.to_string()),
    }
}

/// Every contact has the answers to `messages`, in order, each once.
async fn all_answered(world: &World, contacts: std::ops::Range<u32>, messages: &[&str]) {
    for number in contacts {
        assert_eq!(world.answered(&contact(number), messages.len()).await, messages);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p1_p2_two_workers_share_the_work_and_the_death_of_one_and_of_the_front_end_loses_and_doubles_nothing()
 {
    let redis = Redis::start().await;
    let world = World::new(Backend::Postgres).await.set("REDIS_URL", &redis.url());
    let mut front = world.serve().await;
    let (mut first, second) = tokio::join!(world.worker(), world.worker());
    world.misbehave(|faults| faults.model.slow_ms = 100);
    let everybody = async |body: &str| {
        join_all((0..30).map(|number| {
            let (world, body) = (&world, body.to_owned());
            async move { world.say(&contact(number), &body).await }
        }))
        .await
    };
    everybody("one").await;
    all_answered(&world, 0..30, &["one"]).await;
    // Who hears the bell first may take all of a small load; sooner or later both have worked.
    let replies = async |worker| {
        let counter = "recado_activity_attempts_total{activity=\"reply\"";
        metric(&world, worker, counter).await
    };
    let mut strangers = 1000..1300;
    while replies(&first).await == 0.0 || replies(&second).await == 0.0 {
        let number = strangers.next().expect("one worker did everything");
        let both = [number, number + 1000].map(|number| {
            let world = &world;
            async move { world.say(&contact(number), "one").await }
        });
        join_all(both).await;
        all_answered(&world, number..number + 1, &["one"]).await;
        all_answered(&world, number + 1000..number + 1001, &["one"]).await;
    }
    let sent = world.simulator.book().message_count();
    everybody("two").await;
    // Some have been answered and some have not.
    world.seen(|book| book.message_count() > sent + 35).await;
    first.process.kill9();
    front.kill9();
    let _front = world.serve().await;
    everybody("three").await;
    all_answered(&world, 0..30, &["one", "two", "three"]).await;
    eventually(PATIENCE, async || {
        world
            .runs()
            .await
            .iter()
            .all(|run| run["state"] == "completed")
            .then_some(())
    })
    .await;
    let runs = world.runs().await;
    let answered = runs.iter().filter(|run| run["outcome"] == "answered").count();
    let said = 90 + 2 * (strangers.start - 1000) as usize;
    assert_eq!(runs.len(), said);
    assert_eq!(world.simulator.book().message_count(), said + answered);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p4_a_worker_frozen_past_its_lease_writes_nothing_and_sends_nothing_when_it_wakes_up() {
    let redis = Redis::start().await;
    let world = World::new(Backend::Postgres).await.set("REDIS_URL", &redis.url());
    let _front = world.serve().await;
    let mut frozen = world.worker().await;
    // One run is frozen while Twilio has its message and has not answered, another while the model thinks.
    world.misbehave(|faults| faults.twilio.latency_ms = 1900);
    let sending = world.say(&contact(1), "sending").await;
    world.answers(&contact(1), 1).await;
    world.misbehave(|faults| faults.model.slow_ms = 1900);
    let thinking = world.say(&contact(2), "thinking").await;
    world.seen(|book| completions(book) == 3).await;
    frozen.process.freeze();
    world.misbehave(|_| {});
    let other = world.worker().await;
    for sid in [&sending, &thinking] {
        let run = world.until(sid, "completed").await;
        assert_eq!(run["outcome"], "answered");
        assert!(
            world
                .journal(&run)
                .await
                .iter()
                .any(|(kind, _)| kind == "taken_over")
        );
    }
    frozen.process.thaw();
    eventually(PATIENCE, async || {
        (metric(&world, &frozen, "recado_leases_lost_total").await >= 2.0).then_some(())
    })
    .await;
    let after = world.say(&contact(1), "after").await;
    assert_eq!(world.outcome(&after).await, "answered");
    let book = world.simulator.book();
    assert_eq!(
        (creates(book, &contact(1)).len(), creates(book, &contact(2)).len()),
        (2, 1)
    );
    assert_eq!(world.texts(&contact(1)), [echo("sending"), echo("after")]);
    assert_eq!(world.texts(&contact(2)), [echo("thinking")]);
    assert_eq!(metric(&world, &other, "recado_leases_lost_total").await, 0.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p1_redis_may_forget_everything_and_go_away_and_every_message_is_answered() {
    let mut redis = Redis::start().await;
    let world = World::new(Backend::Postgres).await.set("REDIS_URL", &redis.url());
    let _front = world.serve().await;
    let worker = world.worker().await;
    let soon = Duration::from_secs(10);
    world.misbehave(|faults| faults.model.slow_ms = 100);
    let begun = Instant::now();
    for number in 0..20 {
        world.say(&contact(number), "flushed").await;
        assert_eq!(redis.ask(&["flushall"]), "OK");
    }
    all_answered(&world, 0..20, &["flushed"]).await;
    assert!(begun.elapsed() < soon, "{:?}", begun.elapsed());

    redis.kill9();
    let begun = Instant::now();
    for number in 0..20 {
        world.say(&contact(number), "away").await;
    }
    all_answered(&world, 0..20, &["flushed", "away"]).await;
    assert!(begun.elapsed() < soon, "{:?}", begun.elapsed());
    let is = async |base: &str, wanted: &str| {
        eventually(PATIENCE, async || {
            (ready(&world, base).await == (200, wanted.to_owned())).then_some(())
        })
        .await;
    };
    for base in [&world.url, &worker.url] {
        is(base, "degraded").await;
    }
    redis.again().await;
    for base in [&world.url, &worker.url] {
        is(base, "ok").await;
    }
    world.say(&contact(0), "back").await;
    all_answered(&world, 0..1, &["flushed", "away", "back"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_redis_a_worker_polls_postgres() {
    let world = World::new(Backend::Postgres).await;
    let _front = world.serve().await;
    world.say(&contact(1), "before any worker").await;
    let _worker = world.worker().await;
    world.say(&contact(1), "polled").await;
    all_answered(&world, 1..2, &["before any worker", "polled"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backlog_of_fifty_thousand_neither_fills_redis_nor_kills_the_worker_nor_delays_a_webhook() {
    const BACKLOG: usize = 50_000;
    let redis = Redis::start().await;
    let world = World::new(Backend::Postgres).await.set("REDIS_URL", &redis.url());
    let _front = world.serve().await;
    let db = world.database.connect().await;
    // What the engine writes for so many webhooks, of 1000 contacts, in one go.
    let runs = format!(
        r#"
        create temporary table backlog as select '00000000000000000000' || lpad(n::text, 6, '0') as run,
            n / 1000 + 1 as place, '{ACCOUNT}:SM' || lpad(n::text, 32, '0') as key,
            '{ACCOUNT}/whatsapp:{NUMBER}/whatsapp:+55119' || (80000000 + n % 1000) as lane,
            json_build_object('account', '{ACCOUNT}', 'sid', 'SM' || lpad(n::text, 32, '0'),
                'from', 'whatsapp:+55119' || (80000000 + n % 1000), 'to', 'whatsapp:{NUMBER}', 'body', 'number ' || n,
                'media', 0, 'form', '[]'::json)::text as input
            from generate_series(0, {BACKLOG} - 1) n;
        insert into run_keys (workflow, key, run) select 'inbound_message', key, run from backlog;
        insert into lanes (key, next_place) select lane, max(place) + 1 from backlog group by lane;
        insert into lane_places (lane, place, run) select lane, place, run from backlog;
        insert into runs (id, workflow, key, state, waiting_for, since, lane, place, build, input, created_at)
            select run, 'inbound_message', key, 'queued', 'worker', now(), lane, place, 'test', input, now() from backlog;
        "#
    );
    db.execute_unprepared(&format!("begin; {runs} commit; analyze"))
        .await
        .unwrap();
    let mut worker = world.worker().await;
    let answered = async |count: usize| {
        // A debug build beside other tests: what counts is that it goes on.
        let patience = Duration::from_secs(120);
        let seen = |book: &recado_simulator::Book| book.message_count() >= count;
        world.simulator.wait_for(seen, patience).await.unwrap();
    };
    answered(300).await;
    let begun = Instant::now();
    let fresh = Webhook::new(&world, 1, "fresh").post(&world).await;
    assert_eq!(fresh.status, 200);
    assert!(
        begun.elapsed() < Duration::from_secs(2),
        "a webhook waited {:?}",
        begun.elapsed()
    );
    answered(400).await;
    let keys: usize = redis.ask(&["dbsize"]).parse().unwrap();
    assert!(keys < 30, "{keys} keys in Redis");
    let memory = redis.ask(&["info", "memory"]);
    let used: usize = memory
        .lines()
        .find_map(|line| line.strip_prefix("used_memory:"))
        .unwrap()
        .trim()
        .parse()
        .unwrap();
    assert!(used < 8 << 20, "Redis holds {used} bytes");
    worker
        .process
        .wait_for_http(&format!("{}/health/ready", worker.url), PATIENCE)
        .await;
    // Nobody is answered twice or out of order, however deep the queue is.
    for number in 0..20 {
        let answered = echoed(
            world.simulator.book(),
            &format!("whatsapp:+55119{}", 80_000_000 + number),
        );
        let expected: Vec<_> = (0..answered.len())
            .map(|place| format!("number {}", place * 1000 + number))
            .collect();
        assert_eq!(answered, expected);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p1_postgres_may_go_away_and_come_back_and_what_was_acknowledged_is_answered_once() {
    let mut postgres = Postgres::start().await;
    let world = World::new(Backend::Sqlite)
        .await
        .set("DATABASE_URL", &postgres.url());
    let (code, told) = world.run(&["migrate", "up"]).await;
    assert_eq!(code, 0, "{told}");
    let _front = world.serve().await;
    let worker = world.worker().await;
    world.misbehave(|faults| faults.model.slow_ms = 300);
    for number in 0..10 {
        world.say(&contact(number), "before").await;
    }
    world.seen(|book| book.message_count() > 12).await;
    postgres.stop().await;
    let inbound = |number: u32| Inbound {
        from: contact(number),
        body: "during".into(),
        sid: Some(format!("SM{number:032x}")),
        ..Inbound::default()
    };
    let refused = world.deliver(inbound(100)).await;
    let attempt = refused.attempts.last().unwrap();
    assert_eq!(attempt.answer, Some(503));
    assert!(
        (1..12_000).contains(&attempt.millis),
        "Twilio waited {} ms",
        attempt.millis
    );
    for base in [&world.url, &worker.url] {
        assert_eq!(ready(&world, base).await, (503, "unavailable".to_owned()));
    }
    // One that comes shortly before the database does waits for it.
    let (waited, ()) = tokio::join!(world.deliver(inbound(101)), postgres.again());
    assert_eq!(waited.status(), Some(200), "{:?}", waited.attempts);
    eventually(PATIENCE, async || {
        world.deliver(inbound(100)).await.is_accepted().then_some(())
    })
    .await;
    all_answered(&world, 0..10, &["before"]).await;
    all_answered(&world, 100..102, &["during"]).await;
    let runs = eventually(PATIENCE, async || {
        let runs = world.runs().await;
        runs.iter().all(|run| run["state"] == "completed").then_some(runs)
    })
    .await;
    assert_eq!((runs.len(), world.simulator.book().message_count()), (12, 24));
    for base in [&world.url, &worker.url] {
        assert_eq!(ready(&world, base).await, (200, "ok".to_owned()));
    }
}
