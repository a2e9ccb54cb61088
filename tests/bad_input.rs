//! What is wrong is said, with the right status or exit code, and changes nothing.
#![expect(clippy::unwrap_used, reason = "tests")]
#[expect(dead_code, reason = "each file of tests uses a part of the world")]
mod world;

use recado_simulator::{CreateFault, Inbound};
use recado_testkit::{Backend, TestDatabase};
use reqwest::Method;
use serde_json::Value;
use world::{ADMIN, Answered, NUMBER, PATIENCE, World, contact, webhook::Webhook};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p7_a_webhook_that_cannot_be_taken_is_told_why_and_makes_no_run() {
    let world = World::new(Backend::Sqlite).await;
    let _process = world.serve_and_work().await;
    let raw = async |body: Vec<u8>| {
        let request = world.client.post(Webhook::new(&world, 1, "").url);
        let request = request
            .header("content-type", "application/x-www-form-urlencoded")
            .body(body);
        Answered::of(request).await.unwrap()
    };
    raw(vec![b'a'; 1024 * 1024 + 1]).await.problem(413);
    let many: Vec<_> = (0..301).map(|field| format!("field{field}=1")).collect();
    raw(many.join("&").into_bytes()).await.problem(400);
    raw(b"Body=%FF".to_vec()).await.problem(400);
    raw(b"Body=\xff".to_vec()).await.problem(400);
    raw(Vec::new()).await.problem(403);
    let good = || Webhook::new(&world, 1, "hello");
    for (name, value) in [
        ("MessageSid", None),
        ("MessageSid", Some("SM12")),
        ("MessageSid", Some("CA00000000000000000000000000000001")),
        ("From", None),
        ("To", None),
        ("NumMedia", Some("many")),
    ] {
        let told = good().with(name, value).post(&world).await.problem(422);
        assert_eq!(told["field"], name, "{told}");
    }
    let status = |fields: &[(&str, &str)]| {
        let mut webhook = good();
        webhook.url = webhook.url.replace("/inbound", "/status");
        webhook.fields.extend(
            fields
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned())),
        );
        webhook.signed()
    };
    assert_eq!(
        status(&[]).post(&world).await.problem(422)["field"],
        "MessageStatus"
    );
    let told = status(&[("MessageStatus", "failed"), ("ErrorCode", "x")])
        .post(&world)
        .await
        .problem(422);
    assert_eq!(told["field"], "ErrorCode");
    // One that Twilio invents tomorrow is no error of Twilio's.
    assert_eq!(
        status(&[("MessageStatus", "teleported")])
            .post(&world)
            .await
            .status,
        204
    );
    Webhook {
        signature: None,
        ..status(&[("MessageStatus", "sent")])
    }
    .post(&world)
    .await
    .problem(403);
    assert_eq!(world.runs().await, Vec::<Value>::new());

    // As large, and with as many fields, as may be.
    let large = Inbound {
        from: contact(1),
        body: "a".repeat(1600),
        extra: (0..200)
            .map(|field| (format!("Brandnew{field}"), "1".repeat(1000)))
            .collect(),
        ..Inbound::default()
    };
    assert_eq!(world.deliver(large).await.status(), Some(200));
    world.answers(&contact(1), 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p5_a_message_from_an_address_that_we_cannot_read_is_kept_and_parked() {
    let world = World::new(Backend::Sqlite).await;
    let _process = world.serve_and_work().await;
    let webhook = Webhook::new(&world, 1, "hello").with("From", Some("messenger:1"));
    let sid = webhook.fields[0].1.clone();
    assert_eq!(webhook.post(&world).await.status, 200);
    let parked = world.until(&sid, "parked").await;
    let told = parked["error"].as_str().unwrap();
    assert!(
        told.contains("unsupported_address") && told.contains("From"),
        "{told}"
    );
    assert_eq!(webhook.post(&world).await.status, 200);
    assert_eq!(world.runs().await.len(), 1);
    let shown = world
        .get(&format!("/runs/{}", parked["id"].as_str().unwrap()))
        .await
        .json();
    assert_eq!(shown["input"]["body"], "hello", "it can be read by a person");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p7_the_api_answers_every_mistake_with_a_problem() {
    let world = World::new(Backend::Sqlite).await;
    let _process = world.serve_and_work().await;
    for (path, field) in [
        ("/runs?limit=0", "limit"),
        ("/runs?limit=501", "limit"),
        ("/runs?state=asleep", "state"),
        ("/runs?q=nonsense:x", "q"),
        ("/runs?q=since:yesterday", "q"),
        ("/queues?limit=0", "limit"),
        ("/lanes?limit=501", "limit"),
        ("/conversations?limit=0", "limit"),
        ("/conversations?state=asleep", "state"),
        ("/conversations?contact=messenger:1", "contact"),
    ] {
        assert_eq!(world.get(path).await.problem(422)["field"], field, "{path}");
    }
    for path in ["/runs?limit=many", "/runs?limit=-1"] {
        let answered = world.get(path).await;
        assert!(
            answered.problem(answered.status)["detail"]
                .as_str()
                .unwrap()
                .contains("limit"),
            "{path}"
        );
        assert!(
            (400..500).contains(&answered.status),
            "{path}: {}",
            answered.status
        );
    }
    world.get("/runs/01ARZ3NDEKTSV4RRFFQ69G5FAV").await.problem(404);
    world.get("/nowhere").await.problem(404);
    Answered::of(world.api(Method::DELETE, "/runs"))
        .await
        .unwrap()
        .problem(405);
    let open = async |method: Method, path: &str| {
        Answered::of(world.client.request(method, format!("{}{path}", world.url)))
            .await
            .unwrap()
    };
    open(Method::GET, "/api/v1/twilio/webhooks/inbound")
        .await
        .problem(405);
    open(Method::GET, "/api/v1/twilio/webhooks/nowhere")
        .await
        .problem(404);
    for path in [
        "/api/v1/runs",
        "/api/v1/conversations",
        "/api/v1/webhooks/rejected",
        "/metrics",
        "/",
        "/nowhere",
    ] {
        open(Method::GET, path).await.problem(401);
        for wrong in ["", "let-me-i", "let-me-in-", "LET-ME-IN"] {
            let request = world
                .client
                .get(format!("{}{path}", world.url))
                .bearer_auth(wrong);
            Answered::of(request).await.unwrap().problem(401);
        }
    }
    open(Method::POST, "/login").await.problem(415);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_token_typed_at_the_log_in_page_opens_the_pages_and_no_other_site_can_use_it() {
    let world = World::new(Backend::Sqlite).await;
    let _process = world.serve_and_work().await;
    let at = |path: &str| format!("{}{path}", world.url);
    let page = async |path: &str, cookie: &str| {
        let request = world
            .client
            .get(at(path))
            .header("accept", "text/html")
            .header("cookie", cookie);
        Answered::of(request).await.unwrap()
    };
    let sent_away = page("/", "").await;
    assert_eq!(
        (sent_away.status, sent_away.header("location")),
        (303, "/login?next=%2F")
    );
    assert_eq!(page("/login", "").await.status, 200);
    let log_in = async |token: &str, next: &str| {
        Answered::of(
            world
                .client
                .post(at("/login"))
                .form(&[("token", token), ("next", next)]),
        )
        .await
        .unwrap()
    };
    let refused = log_in("wrong", "/").await;
    assert_eq!((refused.status, refused.header("set-cookie")), (401, ""));
    let taken = log_in(ADMIN, "https://elsewhere.example/").await;
    assert_eq!((taken.status, taken.header("location")), (303, "/"));
    let cookie = taken.header("set-cookie").to_owned();
    for word in ["HttpOnly", "SameSite=Strict"] {
        assert!(cookie.contains(word), "{cookie}");
    }
    let cookie = cookie.split(';').next().unwrap();
    assert_eq!(page("/", cookie).await.status, 200);
    let bent = format!("{}0", cookie);
    assert_eq!(page("/", &bent).await.status, 303);

    let retry = async |header: &str, value: &str| {
        let request = world
            .client
            .post(at("/api/v1/runs/nonesuch/retry"))
            .header("cookie", cookie);
        Answered::of(request.header(header, value)).await.unwrap()
    };
    retry("origin", "https://elsewhere.example").await.problem(403);
    retry("origin", "null").await.problem(403);
    retry("sec-fetch-site", "cross-site").await.problem(403);
    retry("sec-fetch-site", "same-site").await.problem(403);
    retry("origin", &world.url).await.problem(404);
    retry("sec-fetch-site", "same-origin").await.problem(404);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p7_a_missing_or_malformed_setting_stops_the_start_and_is_named() {
    // To read a telephone number takes a debug build most of a second.
    let world = World::new(Backend::Sqlite)
        .await
        .set("TWILIO_PHONE_NUMBER", "")
        .set("TWILIO_WHATSAPP_NUMBER", "");
    let both: &[&[&str]] = &[&["serve", "--worker"], &["worker"]];
    let cases: &[(&str, &str, &[&[&str]])] = &[
        ("SECRET_KEY", "", both),
        ("SECRET_KEY", "too short", both),
        ("PUBLIC_URL", "", both),
        ("PUBLIC_URL", "ftp://example.com", both),
        ("ADMIN_TOKEN", "", &both[..1]),
        ("DATABASE_URL", "mysql://localhost/recado", both),
        ("REDIS_URL", "http://localhost", both),
        ("HTTP_ADDR", "8000", &both[..1]),
        ("METRICS_ADDR", "localhost", both),
        ("TWILIO_ACCOUNT_SID", "AC123", both),
        ("TWILIO_ACCOUNT_SID", "", both),
        ("TWILIO_AUTH_TOKEN", "", both),
        ("TWILIO_PHONE_NUMBER", "12345", both),
        ("TWILIO_WHATSAPP_NUMBER", "whatsapp:+14155238886", both),
        ("TWILIO_API_URL", "api.twilio.com", both),
        ("TWILIO_TIMEOUT", "soon", both),
        ("TWILIO_LISTING_DELAY", "-1", both),
        ("TWILIO_HOLD", "-1", both),
        ("OPENAI_BASE_URL", "nowhere", both),
        ("OLLAMA_URL", "nowhere", both),
    ];
    for (name, value, commands) in cases {
        for command in *commands {
            let (code, told) = world.run_with(command, &[(name, value)]).await;
            assert_eq!(code, 2, "{name}={value}: {told}");
            assert!(told.contains(name), "{name}={value} is not named: {told}");
            assert!(!told.contains(world::TOKEN), "a secret is told: {told}");
        }
    }
    let (code, told) = world.run(&["worker"]).await;
    assert!(
        code == 2 && told.contains("DATABASE_URL") && told.contains("serve --worker"),
        "{code}: {told}"
    );
    let (code, told) = world.run(&["no-such-word"]).await;
    assert!(code == 2 && told.contains("no-such-word"), "{code}: {told}");
    let (code, told) = world
        .run_with(&["serve"], &[("DATABASE_URL", "postgres://127.0.0.1:1/none")])
        .await;
    assert!(code == 1 && told.contains("DATABASE_URL"), "{code}: {told}");
    let _holds_the_port = world.serve_and_work().await;
    let (code, told) = world.run(&["serve"]).await;
    assert!(code == 1 && told.contains("HTTP_ADDR"), "{code}: {told}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_old_schema_is_refused_until_it_is_migrated() {
    for backend in Backend::ALL {
        let world = World::on(TestDatabase::empty(backend).await).await;
        let command: &[&str] = if backend == Backend::Sqlite {
            &["serve", "--worker"]
        } else {
            &["worker"]
        };
        let refused = async || {
            let (code, told) = world.run(command).await;
            assert!(code == 1 && told.contains("recado migrate up"), "{code}: {told}");
        };
        refused().await;
        let migrate = async |words: &[&str]| world.run(&[&["migrate"], words].concat()).await;
        assert_eq!(migrate(&["status"]).await.0, 3);
        assert_eq!(migrate(&["up"]).await.0, 0);
        let (code, told) = migrate(&["status"]).await;
        assert!(
            code == 0 && told.contains("applied") && !told.contains("missing"),
            "{told}"
        );
        let (code, told) = migrate(&[]).await;
        assert!(code == 0 && told.contains("up to date"), "{told}");
        let (code, told) = migrate(&["down"]).await;
        assert!(code == 2 && told.contains("--yes"), "{told}");
        assert_eq!(migrate(&["status"]).await.0, 0);
        assert_eq!(migrate(&["down", "--steps", "1", "--yes"]).await.0, 0);
        let (code, told) = migrate(&["status"]).await;
        assert_eq!((code, told.matches("missing").count()), (3, 1), "{told}");
        refused().await;
        assert_eq!(migrate(&["down", "--steps", "100", "--yes"]).await.0, 0);
        assert_eq!(migrate(&["up"]).await.0, 0);
        let (code, first) = world.run(&["seed"]).await;
        assert!(code == 0 && first.contains("default"), "{code}: {first}");
        let (code, second) = world.run(&["seed"]).await;
        assert_eq!((code, second), (0, first), "seeding twice");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_missing_file_and_its_folder_are_made() {
    let world = World::new(Backend::Sqlite).await;
    let mut process = world.spawn_with(
        &["migrate", "up"],
        &[("DATABASE_URL", "sqlite://new/folder/recado.db")],
    );
    assert!(process.wait(PATIENCE).await.success(), "{}", process.output());
    assert!(process.dir().join("new/folder/recado.db").is_file());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn recado_check_says_what_works_and_what_does_not() {
    let world = World::new(Backend::Sqlite).await;
    let (code, told) = world.run(&["check"]).await;
    assert!(code == 0 && !told.contains("BROKEN"), "{code}: {told}");
    let broken = async |changed: (&str, &str)| {
        let (code, told) = world.run_with(&["check", "--json"], &[changed]).await;
        assert_eq!(code, 1, "{told}");
        let lines = told.lines().filter(|line| line.starts_with("{\"what\""));
        let findings = lines.map(|line| serde_json::from_str::<Value>(line).unwrap());
        let broken: Vec<_> = findings
            .filter(|finding| finding["verdict"] == "broken")
            .collect();
        assert_eq!(broken.len(), 1, "{told}");
        broken[0]["what"].as_str().unwrap().to_owned()
    };
    assert_eq!(broken(("REDIS_URL", "redis://127.0.0.1:1")).await, "REDIS_URL");
    assert_eq!(broken(("TWILIO_AUTH_TOKEN", "another")).await, "TWILIO_*");
    assert_eq!(
        broken(("DATABASE_URL", "postgres://127.0.0.1:1/none")).await,
        "DATABASE_URL"
    );
    assert_eq!(
        broken(("DATABASE_URL", "sqlite://empty.db")).await,
        "DATABASE_URL"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn runs_can_be_listed_shown_and_retried_at_the_terminal() {
    let world = World::new(Backend::Sqlite).await;
    let _process = world.serve_and_work().await;
    let done = world
        .until(&world.say(&contact(1), "hello").await, "completed")
        .await;
    world.misbehave(|faults| {
        faults.twilio.create = CreateFault::Refuse(21211);
        faults.twilio.times = Some(1);
    });
    let refused = world.say(&contact(2), "hello").await;
    let parked = world.until(&refused, "parked").await;
    let (done, parked) = (done["id"].as_str().unwrap(), parked["id"].as_str().unwrap());
    let list = async |words: &[&str]| -> Vec<String> {
        let (code, told) = world.run(&[&["runs", "list", "--json"], words].concat()).await;
        assert_eq!(code, 0, "{told}");
        let runs = told.lines().filter(|line| line.contains("\"workflow\""));
        runs.map(|line| {
            serde_json::from_str::<Value>(line).unwrap()["id"]
                .as_str()
                .unwrap()
                .to_owned()
        })
        .collect()
    };
    assert_eq!(list(&[]).await, [parked, done]);
    assert_eq!(list(&["--state", "parked"]).await, [parked]);
    assert_eq!(
        list(&["--outcome", "answered", "--owner", "default"]).await,
        [done]
    );
    assert_eq!(list(&["--limit", "1"]).await, [parked]);
    let (code, told) = world.run(&["runs", "list"]).await;
    assert!(
        code == 0 && told.contains(done) && told.contains("answered"),
        "{told}"
    );
    for wrong in [["--state", "asleep"], ["--limit", "0"], ["--limit", "501"]] {
        assert_eq!(world.run(&[&["runs", "list"][..], &wrong].concat()).await.0, 2);
    }
    let (code, told) = world.run(&["runs", "show", done, "--json"]).await;
    let shown: Value =
        serde_json::from_str(told.lines().find(|line| line.contains("\"journal\"")).unwrap()).unwrap();
    assert_eq!((code, &shown["outcome"]), (0, &"answered".into()));
    assert!(
        shown["journal"]
            .as_array()
            .unwrap()
            .iter()
            .any(|event| event["name"] == "reply")
    );
    assert_eq!(world.run(&["runs", "show", "nonesuch"]).await.0, 4);
    assert_eq!(world.run(&["runs", "retry", "nonesuch"]).await.0, 4);
    assert_eq!(world.run(&["runs", "retry", done]).await.0, 5);
    assert_eq!(world.run(&["runs", "retry", parked]).await.0, 0);
    assert_eq!(world.outcome(&refused).await, "answered");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn health_metrics_and_documents_are_there_and_load_nothing_from_elsewhere() {
    let world = World::new(Backend::Sqlite).await;
    let metrics_addr = format!("127.0.0.1:{}", recado_testkit::free_port());
    let world = world.set("METRICS_ADDR", &metrics_addr);
    let _process = world.serve_and_work().await;
    world
        .until(&world.say(&contact(1), "hello").await, "completed")
        .await;
    Webhook {
        signature: None,
        ..Webhook::new(&world, 2, "")
    }
    .post(&world)
    .await
    .problem(403);
    let get = async |url: String| Answered::of(world.client.get(url)).await.unwrap();
    let metrics_url = format!("http://{metrics_addr}");
    for base in [&world.url, &metrics_url] {
        assert_eq!(get(format!("{base}/health/live")).await.status, 200);
        let ready = get(format!("{base}/health/ready")).await;
        assert_eq!((ready.status, ready.json()["status"].clone()), (200, "ok".into()));
    }
    let with_token = Answered::of(
        world
            .client
            .get(format!("{}/metrics", world.url))
            .bearer_auth(ADMIN),
    )
    .await
    .unwrap();
    for answered in [with_token, get(format!("{metrics_url}/metrics")).await] {
        assert_eq!(answered.status, 200);
        for line in [
            "recado_webhooks_accepted_total{webhook=\"inbound\"} 1",
            "recado_webhooks_rejected_total{reason=\"unsigned\"} 1",
            "recado_runs_started_total{workflow=\"inbound_message\"} 1",
            "recado_runs_finished_total{workflow=\"inbound_message\",outcome=\"answered\"} 1",
            "recado_activity_attempts_total{activity=\"reply\",result=\"ok\"} 1",
            "recado_runs_open{state=\"parked\"} 0",
            "recado_runs_oldest_queued_seconds 0",
            "recado_up{build=",
            "recado_journal_commits_total",
            "recado_sends_total{outcome=\"accepted\"",
            "recado_webhook_ack_seconds_bucket",
        ] {
            assert!(
                answered.text.contains(line),
                "{line} is not in\n{}",
                answered.text
            );
        }
        assert!(
            !answered.text.contains("1198765") && !answered.text.contains(&NUMBER[1..]),
            "a number is a label"
        );
    }
    let document = get(format!("{}/api/v1/openapi.json", world.url)).await;
    assert_eq!(document.status, 200);
    let paths = document.json()["paths"].clone();
    for path in [
        "/runs",
        "/runs/{id}",
        "/runs/{id}/retry",
        "/conversations",
        "/webhooks/rejected",
    ] {
        assert!(paths[path].is_object(), "{path} is not documented: {paths}");
    }
    for path in ["/docs", "/redoc", "/login"] {
        let page = get(format!("{}{path}", world.url)).await;
        assert_eq!(page.status, 200, "{path}");
        assert!(
            page.header("content-security-policy")
                .contains("default-src 'self'"),
            "{path}"
        );
        assert_eq!(
            foreign(&page.text),
            Vec::<&str>::new(),
            "{path} loads something from elsewhere"
        );
    }
}

/// The tags and style rules of a page that load something from another server.
fn foreign(page: &str) -> Vec<&str> {
    let tag = |begin: usize| page[begin..].split_inclusive('>').next().unwrap_or_default();
    let tags = ["<script", "<link", "<img", "<iframe"]
        .into_iter()
        .flat_map(|name| page.match_indices(name))
        .map(|(begin, _)| tag(begin))
        .filter(|tag| tag.contains("//") && (tag.contains("src=") || tag.contains("href=")));
    let rules = ["@import", "url(http", "url(\"http", "url('http", "url(//"]
        .into_iter()
        .flat_map(|rule| page.match_indices(rule))
        .map(|(begin, rule)| page.get(begin..begin + 60).unwrap_or(rule));
    tags.chain(rules).collect()
}
