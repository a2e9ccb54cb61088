//! What the program promises, over HTTP and through kill -9; the vendor's book is the judge.
#![expect(clippy::unwrap_used, reason = "tests")]
#[expect(dead_code, reason = "each file of tests uses a part of the world")]
mod world;

use std::time::Duration;

use futures::future::join_all;
use recado_simulator::{CreateFault, Inbound};
use recado_testkit::{Backend, eventually};
use reqwest::Method;
use sea_orm::{ConnectionTrait, Statement};
use serde_json::{Value, json};
use world::{
    ACCOUNT, ADMIN, Answered, PATIENCE, World, chance::Chance, completions, contact, creates, echo,
    webhook::Webhook,
};

/// The same test on both databases.
macro_rules! on_both {
    ($($(#[$attribute:meta])* async fn $name:ident($backend:ident) $body:block)*) => {
        $(mod $name {
            use super::*;
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn on_sqlite() { test(Backend::Sqlite).await }
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn on_postgres() { test(Backend::Postgres).await }
            $(#[$attribute])*
            async fn test($backend: Backend) $body
        })*
    };
}

fn numbered(contact: u32, message: u32) -> String {
    format!("message {message} of contact {contact}")
}

on_both! {
    async fn p1_p2_a_process_killed_at_random_moments_answers_every_message_once(backend) {
        const CONTACTS: u32 = 6;
        const MESSAGES: u32 = 6;
        const KILLS: u32 = 16;
        let world = World::new(backend).await;
        // A little time passes in each step, so that death finds runs in all of them.
        world.misbehave(|faults| {
            faults.model.slow_ms = 20;
            faults.twilio.latency_ms = 20;
        });
        let mut chance = Chance::new();
        let talk = async |number: u32, mut chance: Chance| {
            for message in 1..=MESSAGES {
                let inbound = Inbound {
                    from: contact(number),
                    body: numbered(number, message),
                    sid: Some(format!("SM{:032x}", number * 100 + message)),
                    ..Inbound::default()
                };
                // Twilio gives up after a while; who wants every message lets it try again, as we do here.
                eventually(Duration::from_secs(90), async || {
                    world.deliver(inbound.clone()).await.is_accepted().then_some(())
                })
                .await;
                // The next one comes at a moment of its own, so that messages arrive throughout.
                chance.pass(0, 700).await;
            }
        };
        let talks: Vec<_> = (0..CONTACTS).map(|number| (number, chance.fork())).collect();
        let talks = join_all(talks.into_iter().map(|(number, chance)| talk(number, chance)));
        let kill = async {
            for kill in 0..KILLS {
                let mut process = world.spawn(&["serve", "--worker"]);
                // Every third time it may die while it starts.
                if kill % 3 > 0 {
                    process.wait_for_http(&format!("{}/health/live", world.url), PATIENCE).await;
                }
                chance.pass(50, 600).await;
                process.kill9();
            }
            world.serve_and_work().await
        };
        let (_process, _) = tokio::join!(kill, talks);
        for number in 0..CONTACTS {
            let answers = world.answered(&contact(number), MESSAGES as usize).await;
            let expected: Vec<_> = (1..=MESSAGES).map(|message| numbered(number, message)).collect();
            assert_eq!(answers, expected);
        }
        let runs = eventually(PATIENCE, async || {
            let runs = world.runs().await;
            runs.iter().all(|run| run["state"] == "completed").then_some(runs)
        })
        .await;
        assert_eq!(runs.len(), (CONTACTS * MESSAGES) as usize);
        let answered = runs.iter().filter(|run| run["outcome"] == "answered").count();
        assert!(runs.iter().all(|run| run["outcome"] == "answered" || run["outcome"] == "merged"), "{runs:?}");
        assert_eq!(world.simulator.book().messages().len(), runs.len() + answered, "one answer, one message");
        let mut taken_over = 0;
        for run in &runs {
            taken_over += usize::from(world.journal(run).await.iter().any(|(kind, _)| kind == "taken_over"));
        }
        assert!(taken_over > 0, "no death found a run in its hands");
        eprintln!("{taken_over} of {} runs were taken over; {answered} answers", runs.len());
    }

    async fn p2_a_message_that_was_accepted_unheard_is_found_after_the_death_of_its_sender(backend) {
        let world = World::new(backend).await;
        let mut process = world.serve_and_work().await;
        world.misbehave(|faults| {
            faults.twilio.create = CreateFault::AcceptAndDrop;
            faults.twilio.times = Some(1);
            // Only the list can prove it, and it is late.
            faults.callbacks.none = true;
            faults.listing_lag_ms = 900;
        });
        let sid = world.say(&contact(1), "hello").await;
        world.answers(&contact(1), 1).await;
        let run = eventually(PATIENCE, async || {
            let run = world.runs().await.pop()?;
            let unknown = ("activity_unknown".to_owned(), "reply".to_owned());
            world.journal(&run).await.contains(&unknown).then_some(())?;
            // As it is since that event, which brought a new state with it.
            world.runs().await.pop()
        })
        .await;
        assert!(run["waiting_for"].as_str().unwrap().starts_with("reconcile:"), "{run}");
        process.kill9();
        let _process = world.serve_and_work().await;
        let run = world.until(&sid, "completed").await;
        let journal = world.journal(&run).await;
        let replies: Vec<_> = journal.iter().filter(|(_, name)| name == "reply").map(|(kind, _)| kind.as_str()).collect();
        assert_eq!(replies, ["activity_intended", "activity_unknown", "activity_completed"]);
        assert!(journal.iter().any(|(kind, _)| kind == "taken_over"), "{journal:?}");
        assert_eq!(creates(world.simulator.book(), &contact(1)).len(), 1);
        assert_eq!(world.texts(&contact(1)), [echo("hello")]);
    }

    async fn p2_fifty_copies_of_a_webhook_at_once_make_one_run_and_one_reply(backend) {
        let world = World::new(backend).await;
        let _process = world.serve_and_work().await;
        let copy = Inbound {
            from: contact(1),
            body: "once".into(),
            sid: Some(format!("SM{:032x}", 50)),
            ..Inbound::default()
        };
        let copies = join_all((0..50).map(|_| world.deliver(copy.clone()))).await;
        assert!(copies.iter().all(|copy| copy.status() == Some(200)));
        let run = world.until(&copies[0].sid, "completed").await;
        assert_eq!(run["outcome"], "answered");
        assert_eq!(world.deliver(copy).await.status(), Some(200));
        // A second run would stand before this one in the lane.
        let after = world.say(&contact(1), "after").await;
        assert_eq!(world.outcome(&after).await, "answered");
        assert_eq!(world.texts(&contact(1)), [echo("once"), echo("after")]);
        assert_eq!(world.runs().await.len(), 2);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p7_one_wrong_byte_in_the_signature_is_403_and_no_row() {
    let world = World::new(Backend::Sqlite).await;
    let process = world.serve_and_work().await;
    let good = Webhook::new(&world, 1, "a secret of the contact");
    let signature = good.signature.clone().unwrap();
    let bent = |position: usize| {
        let mut bytes = signature.clone().into_bytes();
        bytes[position] = if bytes[position] == b'A' { b'B' } else { b'A' };
        String::from_utf8(bytes).unwrap()
    };
    // The last character before the padding holds two bits that mean nothing.
    for position in 0..signature.len() - 2 {
        let answered = Webhook {
            signature: Some(bent(position)),
            ..Webhook::new(&world, 1, "a secret of the contact")
        };
        answered.post(&world).await.problem(403);
    }
    let mut another_body = Webhook::new(&world, 1, "a secret of the contact");
    another_body.fields[4].1.push('!');
    another_body.post(&world).await.problem(403);
    let mut another_url = Webhook::new(&world, 1, "a secret of the contact");
    another_url.url.push_str("?token=1");
    another_url.post(&world).await.problem(403);
    Webhook {
        signature: None,
        ..Webhook::new(&world, 1, "a secret of the contact")
    }
    .post(&world)
    .await
    .problem(403);
    let unknown = "AC00000000000000000000000000000000";
    good.with("AccountSid", Some(unknown))
        .post(&world)
        .await
        .problem(403);
    assert_eq!(world.runs().await, Vec::<Value>::new());

    let rejected = world.get("/webhooks/rejected").await;
    let items = rejected.json()["items"].clone();
    let reasons: Vec<_> = items
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item["reason"].as_str().unwrap())
        .collect();
    assert_eq!(reasons[..3], ["unknown_account", "unsigned", "wrong_signature"]);
    assert_eq!(reasons.len(), signature.len() - 2 + 4);
    for (place, text) in [("the list", rejected.text), ("the log", process.output())] {
        assert!(
            !text.contains("a secret") && !text.contains("1198765"),
            "{place} tells: {text}"
        );
    }
    // The same webhook is good when it is what it was.
    let answered = Webhook::new(&world, 1, "a secret of the contact")
        .post(&world)
        .await;
    assert_eq!(
        (
            answered.status,
            answered.header("content-type"),
            answered.text.as_str()
        ),
        (200, "text/xml", "<Response/>")
    );
    world.answers(&contact(1), 1).await;
    assert!(!process.output().contains("a secret"), "{}", process.output());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p3_three_messages_of_a_contact_are_answered_in_order_and_another_contact_is_not_held_up() {
    let world = World::new(Backend::Sqlite).await;
    let _process = world.serve_and_work().await;
    slow_once(&world, 8000);
    world.say(&contact(1), "one").await;
    world.seen(|book| completions(book) == 1).await;
    world.say(&contact(2), "other").await;
    assert_eq!(world.answers(&contact(2), 1).await, [echo("other")]);
    assert_eq!(
        world.texts(&contact(1)),
        Vec::<String>::new(),
        "the slow answer was to be on its way still"
    );
    world.say(&contact(1), "two").await;
    let three = world.say(&contact(1), "three").await;
    assert_eq!(world.answered(&contact(1), 3).await, ["one", "two", "three"]);
    world.until(&three, "completed").await;
}

/// The next call of a model takes so many milliseconds; no other does.
fn slow_once(world: &World, ms: u64) {
    world.misbehave(|faults| {
        faults.model.slow_ms = ms;
        faults.model.slow_times = Some(1);
    });
}

/// How much of a feature was reserved and how it was settled, by state.
async fn usage(world: &World, feature: &str) -> Vec<(String, i64)> {
    let db = world.database.connect().await;
    let sql = format!(
        "select state, count(*) as n from usage where feature = '{feature}' group by state order by state"
    );
    let rows = db
        .query_all_raw(Statement::from_string(db.get_database_backend(), sql))
        .await
        .unwrap();
    let read =
        |row: &sea_orm::QueryResult| (row.try_get("", "state").unwrap(), row.try_get("", "n").unwrap());
    rows.iter().map(read).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_burst_is_answered_once_counts_as_one_answer_and_shows_what_answered_it() {
    let world = World::new(Backend::Sqlite).await.set("QUIET_PERIOD", "5");
    let _process = world.serve_and_work().await;
    let mut burst = Vec::new();
    for body in ["one", "two", "three"] {
        burst.push(world.say(&contact(1), body).await);
    }
    eventually(PATIENCE, async || {
        let runs = world.runs().await;
        let quiet = runs.iter().find(|run| run["waiting_for"] == "quiet")?;
        quiet["until"].is_string().then_some(())
    })
    .await;
    assert_eq!(world.outcome(&burst[0]).await, "answered");
    assert_eq!(world.texts(&contact(1)), ["you said: one\ntwo\nthree"]);
    let into = world.until(&burst[0], "completed").await["id"].clone();
    for sid in &burst[1..] {
        let run = world.until(sid, "completed").await;
        assert_eq!(run["outcome"], "merged");
        let shown = world
            .get(&format!("/runs/{}", run["id"].as_str().unwrap()))
            .await
            .json();
        assert_eq!(shown["output"]["merged"]["into"], into);
        assert_eq!(
            (&shown["links"][0]["kind"], &shown["links"][0]["other"]),
            (&"merged_into".into(), &into)
        );
    }
    let shown = world
        .get(&format!("/runs/{}", into.as_str().unwrap()))
        .await
        .json();
    assert_eq!(shown["links"].as_array().unwrap().len(), 2);
    let page = async |run: &str| {
        let request = world.client.get(format!("{}/runs/{run}", world.url));
        Answered::of(request.bearer_auth(ADMIN)).await.unwrap().text
    };
    let (into, merged) = (
        into.as_str().unwrap(),
        world.until(&burst[1], "completed").await["id"].clone(),
    );
    let merged = merged.as_str().unwrap();
    for (run, tie, other) in [(merged, "Answered by", into), (into, "Answers for", merged)] {
        let shown = page(run).await;
        assert!(
            shown.contains(&format!("<dt>{tie}</dt><dd><a href=\"/runs/{other}\">")),
            "{shown}"
        );
    }
    let counted = |state: &str, n| (state.to_owned(), n);
    assert_eq!(
        usage(&world, "agent_answers").await,
        [counted("committed", 1), counted("released", 2)]
    );
    assert_eq!(usage(&world, "messages").await, [counted("committed", 3)]);

    // An owner that wants no quiet is asked at once.
    let (code, told) = world.run(&["owners", "quiet-period", "default", "0"]).await;
    assert_eq!(code, 0, "{told}");
    let sid = world.say(&contact(1), "four").await;
    let run = world.until(&sid, "completed").await;
    let shown = world
        .get(&format!("/runs/{}", run["id"].as_str().unwrap()))
        .await
        .json();
    let journal = shown["journal"].as_array().unwrap();
    let resolved = journal.iter().find(|event| event["name"] == "resolve_owner");
    assert_eq!(resolved.unwrap()["data"]["quiet_ms"], 0);
    assert_eq!(world.answered(&contact(1), 4).await[3], "four");
    let (code, told) = world.run(&["owners", "quiet-period", "default", "61"]).await;
    assert!(code != 0 && told.contains("from 0 to 60"), "{told}");
    let (_, told) = world.run(&["owners", "quiet-period", "default"]).await;
    assert!(told.contains("0 s"), "to look changed it: {told}");
    let (_, told) = world.run(&["owners", "quiet-period", "default", "--reset"]).await;
    assert!(told.contains("as QUIET_PERIOD says"), "{told}");
    let path = "/owners/default/quiet-period";
    assert_eq!(
        world.put(path, json!({"seconds": 2.5})).await.json(),
        json!({"seconds": 2.5})
    );
    assert_eq!(world.get(path).await.json(), json!({"seconds": 2.5}));
    world.put(path, json!({"seconds": 60.5})).await.problem(422);
    let reset = json!({"seconds": null});
    assert_eq!(world.put(path, json!({})).await.json(), reset);
    let (code, told) = world.run(&["owners", "quiet-period", "nobody"]).await;
    assert!(code == 4 && told.contains("no owner nobody"), "{told}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_comes_while_the_model_thinks_is_answered_with_the_one_before_it() {
    let world = World::new(Backend::Sqlite).await;
    let _process = world.serve_and_work().await;
    slow_once(&world, 15_000);
    let first = world.say(&contact(1), "one").await;
    world.seen(|book| completions(book) == 1).await;
    let second = world.say(&contact(1), "two").await;
    assert_eq!(world.outcome(&second).await, "merged");
    assert_eq!(world.outcome(&first).await, "answered");
    assert_eq!(world.texts(&contact(1)), ["you said: one\ntwo"]);
    let journal = world.journal(&world.until(&first, "completed").await).await;
    let superseded = ("superseded".to_owned(), "route_agent".to_owned());
    assert!(journal.contains(&superseded), "{journal:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_in_a_burst_is_heard_and_nothing_of_it_is_answered() {
    let world = World::new(Backend::Sqlite).await;
    let _process = world.serve_and_work().await;
    slow_once(&world, 4000);
    let first = world.say(&contact(1), "one").await;
    world.seen(|book| completions(book) == 1).await;
    let stop = world.say(&contact(1), "parar").await;
    let after = world.say(&contact(1), "are you there?").await;
    assert_eq!(world.outcome(&stop).await, "silent");
    assert_eq!(world.outcome(&first).await, "withheld");
    assert_eq!(world.outcome(&after).await, "withheld");
    assert_eq!(world.texts(&contact(1)), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p5_a_run_that_fails_for_good_is_parked_visible_and_does_not_block_the_next() {
    let world = World::new(Backend::Sqlite).await;
    let _process = world.serve_and_work().await;
    world.misbehave(|faults| {
        faults.twilio.create = CreateFault::Refuse(21211);
        faults.twilio.times = Some(1);
    });
    let first = world.say(&contact(1), "first").await;
    let parked = world.until(&first, "parked").await;
    assert!(parked["error"].as_str().unwrap().contains("21211"), "{parked}");
    assert_eq!(parked["waiting_for"], "a person");
    let second = world.say(&contact(1), "second").await;
    assert_eq!(world.answers(&contact(1), 1).await, [echo("second")]);
    let listed = world.get("/runs?state=parked").await.json();
    assert_eq!(listed["items"].as_array().unwrap().len(), 1);
    assert_eq!(listed["items"][0]["id"], parked["id"]);

    let retry = async |run: &Value| {
        world
            .post(&format!("/runs/{}/retry", run["id"].as_str().unwrap()))
            .await
    };
    let answered = retry(&parked).await;
    assert_eq!(
        (answered.status, answered.json()["id"].clone()),
        (200, parked["id"].clone())
    );
    assert_eq!(world.outcome(&first).await, "answered");
    assert_eq!(world.texts(&contact(1)), [echo("second"), echo("first")]);
    retry(&world.until(&second, "completed").await).await.problem(409);
    world
        .post("/runs/01ARZ3NDEKTSV4RRFFQ69G5FAV/retry")
        .await
        .problem(404);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twilio_429_with_retry_after_is_waited_for() {
    let world = World::new(Backend::Sqlite).await;
    let _process = world.serve_and_work().await;
    world.misbehave(|faults| {
        faults.twilio.create = CreateFault::RateLimited { retry_after: 2 };
        faults.twilio.times = Some(1);
    });
    let sid = world.say(&contact(1), "hello").await;
    assert_eq!(world.outcome(&sid).await, "answered");
    let sent = creates(world.simulator.book(), &contact(1));
    assert_eq!((sent.len(), world.texts(&contact(1))), (2, vec![echo("hello")]));
    assert!((sent[1].at - sent[0].at).num_milliseconds() >= 2000, "{sent:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twilio_500_is_reconciled_before_it_is_repeated() {
    let world = World::new(Backend::Sqlite).await;
    let _process = world.serve_and_work().await;
    let with = |create| {
        world.misbehave(|faults| {
            faults.twilio.create = create;
            faults.twilio.times = Some(1);
            faults.callbacks.none = true;
        });
    };
    with(CreateFault::Status(500));
    let lost = world.say(&contact(1), "lost").await;
    let run = world.until(&lost, "completed").await;
    let sent = creates(world.simulator.book(), &contact(1));
    assert_eq!((sent.len(), world.texts(&contact(1))), (2, vec![echo("lost")]));
    assert!(
        (sent[1].at - sent[0].at).num_milliseconds() >= 1000,
        "it was listed before the list could tell: {sent:?}"
    );
    assert!(
        world
            .journal(&run)
            .await
            .contains(&("activity_reconciled".into(), "reply".into()))
    );
    with(CreateFault::AcceptAndStatus(500));
    let taken = world.say(&contact(2), "taken").await;
    assert_eq!(world.outcome(&taken).await, "answered");
    assert_eq!(creates(world.simulator.book(), &contact(2)).len(), 1);
    with(CreateFault::AcceptAndNeverAnswer);
    let silent = world.say(&contact(3), "silent").await;
    assert_eq!(world.outcome(&silent).await, "answered");
    assert_eq!(creates(world.simulator.book(), &contact(3)).len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn callbacks_doubled_late_and_shuffled_leave_a_message_at_its_highest_status() {
    let world = World::new(Backend::Sqlite).await;
    let _process = world.serve_and_work().await;
    let accepted = |count: usize| {
        move |book: &recado_simulator::Book| {
            let deliveries = book.deliveries();
            deliveries
                .iter()
                .filter(|one| one.url.contains("/status") && one.is_accepted())
                .count()
                == count
        }
    };
    world.misbehave(|faults| {
        faults.callbacks.doubled = true;
        faults.callbacks.shuffled = true;
        faults.callbacks.delay_ms = 200;
    });
    world.say(&contact(1), "hello").await;
    world.seen(accepted(6)).await;
    world.misbehave(|faults| {
        faults.callbacks.undelivered = Some(63024);
        faults.callbacks.shuffled = true;
    });
    world.say(&contact(2), "hello").await;
    world.seen(accepted(8)).await;
    let db = world.database.connect().await;
    let sql = "select status, error_code from messages where direction = 'outbound' order by created_at";
    let rows = db
        .query_all_raw(Statement::from_string(db.get_database_backend(), sql))
        .await
        .unwrap();
    let known: Vec<(String, Option<i64>)> = rows
        .iter()
        .map(|row| {
            (
                row.try_get("", "status").unwrap(),
                row.try_get("", "error_code").unwrap(),
            )
        })
        .collect();
    assert_eq!(
        known,
        [("read".to_owned(), None), ("undelivered".to_owned(), Some(63024))]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_contact_who_says_stop_hears_nothing_until_they_say_start() {
    let world = World::new(Backend::Sqlite).await;
    let _process = world.serve_and_work().await;
    let outcome = async |body: &str| world.outcome(&world.say(&contact(1), body).await).await;
    assert_eq!(outcome("hello").await, "answered");
    assert_eq!(outcome(" Parar ").await, "silent");
    assert_eq!(outcome("are you there?").await, "withheld");
    assert_eq!(
        world.outcome(&world.say(&contact(2), "parar").await).await,
        "silent"
    );
    assert_eq!(outcome("START").await, "silent");
    assert_eq!(outcome("and now?").await, "answered");
    assert_eq!(world.texts(&contact(1)), [echo("hello"), echo("and now?")]);
    assert_eq!(world.texts(&contact(2)), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handoff_is_announced_once_left_to_people_and_given_back() {
    let world = World::new(Backend::Sqlite).await;
    let _process = world.serve_and_work().await;
    // The model knows no answer, and says so so slowly that the whole burst is on the books before the first handoff.
    world.misbehave(|faults| {
        faults.model.refusal = true;
        faults.model.slow_ms = 750;
    });
    let mut burst = Vec::new();
    for body in ["who are you?", "hello?", "anybody?"] {
        burst.push(world.say(&contact(1), body).await);
    }
    let mut outcomes = Vec::new();
    for sid in &burst {
        outcomes.push(world.outcome(sid).await);
    }
    let notices = world.texts(&contact(1));
    assert_eq!(
        notices.len(),
        1,
        "a handoff is announced once; the outcomes are {outcomes:?}"
    );
    assert_eq!(outcomes[0], "handed_over");
    world.misbehave(|_| {});
    let left = world.say(&contact(1), "still here").await;
    assert_eq!(world.outcome(&left).await, "left_to_people");
    assert_eq!(world.texts(&contact(1)), notices);

    let listed = world.get("/conversations?state=human_handoff").await.json();
    let conversation = listed["items"][0].clone();
    assert_eq!(
        (
            listed["items"].as_array().unwrap().len(),
            &conversation["contact_address"]
        ),
        (1, &contact(1).into())
    );
    let hand_back = format!(
        "/conversations/{}/hand-back",
        conversation["id"].as_str().unwrap()
    );

    // P6: what is another owner's does not exist.
    let as_another = |request: reqwest::RequestBuilder| Answered::of(request.header("Recado-Owner", "x"));
    let theirs = as_another(world.api(Method::GET, "/conversations"))
        .await
        .unwrap();
    assert_eq!(
        (theirs.status, theirs.json()["items"].clone()),
        (200, Value::Array(Vec::new()))
    );
    as_another(world.api(Method::POST, &hand_back))
        .await
        .unwrap()
        .problem(404);

    let given = world.post(&hand_back).await;
    assert_eq!(
        (given.status, given.json()["state"].clone()),
        (200, "progress".into())
    );
    world.post(&hand_back).await.problem(409);
    world.post("/conversations/nonesuch/hand-back").await.problem(404);

    let again = world.say(&contact(1), "and now?").await;
    assert_eq!(world.outcome(&again).await, "answered");
    assert_eq!(world.texts(&contact(1))[1..], [echo("and now?")]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p6_a_call_for_another_owner_sees_nothing_of_this_one() {
    let world = World::new(Backend::Sqlite).await;
    let _process = world.serve_and_work().await;
    let sid = world.say(&contact(1), "hello").await;
    assert_eq!(world.until(&sid, "completed").await["owner"], "default");
    let count = async |path: &str, owner: &str| {
        let request = world.api(Method::GET, path).header("Recado-Owner", owner);
        let answered = Answered::of(request).await.unwrap();
        assert_eq!(answered.status, 200, "{}", answered.text);
        answered.json()["items"].as_array().unwrap().len()
    };
    assert_eq!(
        (
            count("/conversations", "default").await,
            count("/conversations", "x").await
        ),
        (1, 0)
    );
    assert_eq!(
        (
            count("/runs?owner=default", "default").await,
            count("/runs?owner=x", "x").await
        ),
        (1, 0)
    );
    let other = format!("/conversations?contact={}", contact(1).replace('+', "%2B"));
    assert_eq!((count(&other, "default").await, count(&other, "x").await), (1, 0));
    assert!(
        world
            .simulator
            .book()
            .outbound_to(&contact(1))
            .iter()
            .all(|message| message.account == ACCOUNT)
    );
}
