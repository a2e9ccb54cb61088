//! The pages for those who watch: which runs, what is stuck, who works, who waits, and what the clock starts.
use std::time::Duration;

use recado_testkit::eventually;
use sea_orm::ConnectionTrait;
use serde_json::{Value, json};
use thirtyfour::prelude::*;

use crate::world::World;

/// Long enough for anything on two busy cores.
const SOON: Duration = Duration::from_secs(60);

impl World {
    /// A message of the `n`-th contact, without the telephone.
    pub(crate) async fn receive(&self, n: u32, body: &str) -> WebDriverResult<()> {
        let send = format!(
            "fetch('/_simulator/inbound', {{ method: 'POST', headers: {{ 'content-type': 'application/json' }},
                body: JSON.stringify({{ from: 'whatsapp:+551198765000{n}', body: '{body}' }}) }})"
        );
        self.js(&send).await.map(drop)
    }

    /// Waits until a list has so many lines.
    pub(crate) async fn count(&self, css: &str, lines: usize) {
        let probe = async || (self.all(css).await.ok()?.len() == lines).then_some(());
        if tokio::time::timeout(SOON, eventually(Duration::MAX, probe))
            .await
            .is_err()
        {
            panic!("{css:?} never had {lines} lines:\n{}", self.shown("body").await);
        }
    }

    /// Types a line and asks for its runs.
    pub(crate) async fn find(&self, line: &str) -> WebDriverResult<()> {
        let field = self.driver.find(By::Id("q")).await?;
        field.clear().await?;
        field.send_keys(line).await?;
        field.send_keys(Key::Enter + "").await
    }

    /// The status with which a path answers, and its text.
    pub(crate) async fn get(&self, path: &str) -> WebDriverResult<(u64, String)> {
        let script = "const [path, done] = arguments;
            fetch(path).then(async (answer) => done([answer.status, await answer.text()]), (error) => done([0, String(error)]));";
        let told = self.driver.execute_async(script, vec![json!(path)]).await?;
        let told = told.json();
        Ok((
            told[0].as_u64().unwrap_or_default(),
            told[1].as_str().unwrap_or_default().to_owned(),
        ))
    }

    /// Twilio refuses what is sent from now on.
    pub(crate) async fn refuse(&self) -> WebDriverResult<()> {
        self.misbehave(json!({"twilio": {"create": {"refuse": 21408}}}))
            .await
    }
}

#[tokio::test]
async fn runs_are_found_by_a_line_exported_and_acted_on_together() -> WebDriverResult<()> {
    let world = World::start().await?;
    world.open("/").await?;
    world.see(".following", "live").await;
    world.receive(1, "Vocês fazem entrega?").await?;
    world.see(".runs .state.completed", "").await;
    world.refuse().await?;
    world.receive(2, "Vocês fazem entrega?").await?;
    world.receive(3, "Vocês fazem entrega?").await?;
    world.count(".runs .state.parked", 2).await;
    world.see(".counts .parked", "2").await;

    // What cannot be understood is said beside the line, which stays to be mended.
    world.find("nonsense:x").await?;
    world.see("#line-error", "There is no “nonsense:”").await;
    world.see("h2", "Nothing was looked for").await;
    world.photograph("runs-line-error").await?;
    let typed = world.driver.find(By::Id("q")).await?.prop("value").await?;
    assert_eq!(typed.as_deref(), Some("nonsense:x"));

    world.find("state:parked error:twilio_21408 since:1h").await?;
    world.count(".runs tbody tr", 2).await;
    world.see(".following", "live").await;
    world.mark_page().await?;
    world.receive(4, "Vocês fazem entrega?").await?;
    world.count(".runs tbody tr", 3).await;
    assert!(world.is_same_page().await?, "the page was loaded anew");
    world.see(".counts a[aria-current].parked", "3").await;
    world.photograph("runs-filtered").await?;

    // The last word is completed, whatever stands before it.
    let field = world.driver.find(By::Id("q")).await?;
    field.send_keys(" sta").await?;
    let offered = world
        .js("return [...document.getElementById('q').list.options].map((one) => one.value)")
        .await?;
    let offered: Vec<_> = offered
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    assert!(
        offered.contains(&"state:parked error:twilio_21408 since:1h state:open"),
        "{offered:?}"
    );
    assert!(
        offered.iter().all(|line| line.contains("since:1h state:")),
        "{offered:?}"
    );

    // The same by controls.
    world.open("/?q=since:1h").await?;
    world.click("#controls > summary").await?;
    world
        .driver
        .find(By::Css("#controls [name=state]"))
        .await?
        .send_keys("parked")
        .await?;
    world
        .driver
        .find(By::Css("#controls [name=error]"))
        .await?
        .send_keys("twilio_")
        .await?;
    world.photograph("runs-controls").await?;
    world.click("#controls button[type=submit]").await?;
    world.count(".runs tbody tr", 3).await;
    let line = world.driver.find(By::Id("q")).await?.prop("value").await?;
    assert_eq!(line.as_deref(), Some("since:1h state:parked error:twilio_"));

    let export = world
        .driver
        .find(By::Id("export"))
        .await?
        .attr("href")
        .await?
        .unwrap_or_default();
    let (status, exported) = world.get(&export).await?;
    let lines: Vec<Value> = exported
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect();
    assert_eq!(
        (status, lines.len(), exported.lines().count()),
        (200, 3, 3),
        "{exported}"
    );
    assert!(
        lines
            .iter()
            .all(|run| run["state"] == "parked" && run["workflow"] == "inbound_message")
    );
    let (_, all) = world.get("/runs/export").await?;
    assert_eq!(all.lines().count(), 4);
    let found = world
        .ask("/api/v1/runs?q=state:parked%20error:twilio_21408", None)
        .await?;
    assert_eq!(found["items"].as_array().map(Vec::len), Some(3), "{found}");
    let refused = world.ask("/api/v1/runs?q=nonsense:x", None).await?;
    assert_eq!(
        (&refused["status"], &refused["field"]),
        (&json!(422), &json!("q")),
        "{refused}"
    );

    // Text: a run's id, whole, and a part of its error.
    let id = lines[0]["id"].as_str().unwrap_or_default();
    world.find(id).await?;
    world.count(".runs tbody tr", 1).await;
    world.find("NOT ENABLED").await?;
    world.find("sort:oldest").await?;
    world.count(".runs tbody tr", 4).await;
    world.see(".runs tbody tr:first-child .state", "completed").await;

    // Nothing is done to all before it was looked at.
    assert_eq!(world.get("/runs/batch?act=cancel&q=").await?.0, 422);
    assert_eq!(world.get("/runs/batch?act=skip&q=state:parked").await?.0, 422);
    world.misbehave(json!({})).await?;
    world.find("state:parked").await?;
    world.count(".runs tbody tr", 3).await;
    world.click("#retry-all").await?;
    world.see("h1", "Retry 3 runs?").await;
    world.count(".runs tbody tr", 3).await;
    world.photograph("runs-batch").await?;
    assert_eq!(world.sent().await?.len(), 1, "a look changes nothing");
    world.click("#do").await?;
    world.see("h1", "3 runs go on").await;
    world.photograph("runs-batch-done").await?;
    world.open("/?q=state:completed").await?;
    world.count(".runs tbody tr", 4).await;
    assert_eq!(world.sent().await?.len(), 4);
    world.open("/runs/batch?act=terminate&q=outcome:answered").await?;
    world.see("h1", "there is nothing to do").await;
    world.end().await
}

#[tokio::test]
async fn what_is_stuck_is_shown_by_cause_and_mended_at_once() -> WebDriverResult<()> {
    let world = World::start().await?;
    world.open("/stuck").await?;
    world.see("h2", "Nothing is stuck").await;
    world.see(".following", "live").await;
    world.mark_page().await?;
    world.refuse().await?;
    for n in 1..=3 {
        world.receive(n, "Vocês fazem entrega?").await?;
    }
    world.see(".cause.parked .number", "3").await;
    world.see(".cause.parked .what", "twilio_21408").await;
    world.see(".cause.parked", "inbound_message, reply").await;
    assert_eq!(world.all(".cause").await?.len(), 1, "one cause is one line");
    assert!(world.is_same_page().await?, "the page was loaded anew");
    world.photograph("stuck").await?;
    let told = world.ask("/api/v1/stuck", None).await?;
    assert_eq!(
        (&told["items"][0]["runs"], &told["items"][0]["step"]),
        (&json!(3), &json!("reply")),
        "{told}"
    );
    let nobody = world.ask("/api/v1/stuck?owner=nobody", None).await?;
    assert_eq!(nobody["items"], json!([]));

    world.click(".cause .what a.name").await?;
    world.count(".runs tbody tr", 3).await;
    world.driver.back().await?;
    world.misbehave(json!({})).await?;
    world
        .see(".cause .mend a.button", "Retry all 3")
        .await
        .click()
        .await?;
    world.see("h1", "Retry 3 runs?").await;
    world.click("#do").await?;
    world.see("h1", "3 runs go on").await;
    world.open("/stuck").await?;
    world.see("h2", "Nothing is stuck").await;
    eventually(SOON, async || (world.sent().await.ok()?.len() == 3).then_some(())).await;
    world.end().await
}

#[tokio::test]
async fn workers_and_lines_are_followed_while_one_dies() -> WebDriverResult<()> {
    let world = World::start().await?;
    world.open("/queues").await?;
    world.see(".following", "live").await;
    world.see("#owners h2", "No run waits for a worker").await;
    world.see("#lanes h2", "Nobody waits for a turn").await;
    world.photograph("queues-empty").await?;
    // While the model thinks about the first message, one of the same contact that no agent is asked about waits for its
    // turn; any other would be answered together with the first.
    world.misbehave(json!({"model": {"slow_ms": 600_000}})).await?;
    world.receive(1, "Quanto custa um bolo?").await?;
    world.see(".queue [data-label='at work']", "1").await;
    world.mark_page().await?;
    world.receive(1, "STOP").await?;
    world.see(".lane [data-label=waiting]", "1").await;
    world.see(".lane .name", "inbound_message").await;
    let lane = world.shown(".lane-key").await;
    assert!(
        lane.contains("+55 •••• 0001") && !lane.contains("11987650001"),
        "{lane}"
    );
    assert!(world.is_same_page().await?, "the page was loaded anew");
    world.photograph("queues").await?;
    let lanes = world.ask("/api/v1/lanes", None).await?;
    assert_eq!(lanes["items"][0]["waiting"], 1, "{lanes}");
    let queues = world.ask("/api/v1/queues", None).await?;
    assert_eq!(queues["items"][0]["running"], 1, "{queues}");
    let head = world.attribute(".lane .name a", "href").await?;
    assert!(
        head.ends_with(lanes["items"][0]["head"].as_str().unwrap_or("nobody")),
        "{head}"
    );

    world.open("/workers").await?;
    world.see(".worker .state", "alive").await;
    world.see(".worker [data-label='in hand']", "1").await;
    world.see(".summary", "1 alive, runs in hand: 1").await;
    let workers = world.ask("/api/v1/workers", None).await?;
    assert_eq!(
        (&workers["items"][0]["alive"], &workers["items"][0]["runs"]),
        (&json!(true), &json!(1)),
        "{workers}"
    );
    world.click(".worker [data-label='in hand'] a").await?;
    world.count(".runs tbody tr", 1).await;
    world.see(".runs .state", "running").await;

    world.open("/workers").await?;
    world.see(".following", "live").await;
    world.mark_page().await?;
    world.js("fetch('/dev/kill', { method: 'POST' })").await?;
    world.count(".worker", 2).await;
    world.see(".worker .state.failed", "silent").await;
    world.see(".worker .state.completed", "alive").await;
    assert!(world.is_same_page().await?, "the page was loaded anew");
    world.photograph("workers").await?;
    world.end().await
}

#[tokio::test]
async fn what_the_clock_starts_is_paused_triggered_and_backfilled_on_its_page() -> WebDriverResult<()> {
    let world = World::start().await?;
    world.open("/schedules").await?;
    // What every account has from the start.
    world.see("[id^='schedule-reconcile.']", "reconcile").await;
    world.see(".following", "live").await;
    world.mark_page().await?;
    world.receive(1, "Vocês fazem entrega?").await?;
    let input = eventually(SOON, async || {
        let runs = world.ask("/api/v1/runs?q=state:completed", None).await.ok()?;
        let id = runs["items"][0]["id"].as_str()?.to_owned();
        let run = world.ask(&format!("/api/v1/runs/{id}"), None).await.ok()?;
        run["input"].is_object().then(|| run["input"].clone())
    })
    .await;
    let nightly = json!({"workflow": "inbound_message", "input": input, "cron": "30 3 * * *", "time_zone": "America/Sao_Paulo"});
    let created = world.ask("/api/v1/schedules/nightly", Some(nightly)).await?;
    assert_eq!(created["paused"], false, "{created}");
    world.see("#schedule-nightly .when", "America/Sao_Paulo").await;
    world.see("#schedule-nightly [data-label=last]", "never").await;
    assert!(world.is_same_page().await?, "the page was loaded anew");
    world
        .see("#schedule-nightly button", "Pause")
        .await
        .click()
        .await?;
    world.see("#schedule-nightly [data-label=next]", "paused").await;
    world
        .see("#schedule-nightly button", "Resume")
        .await
        .click()
        .await?;
    world.see("#schedule-nightly button", "Pause").await;
    world.see_no("#schedule-nightly .paused").await;

    world
        .see("#schedule-nightly button", "Trigger")
        .await
        .click()
        .await?;
    world.see("dialog", "Start a run of nightly now?").await;
    world.click("#confirm-yes").await?;
    world.see("h1", "inbound_message").await;
    world.open("/schedules").await?;
    world.see("#schedule-nightly [data-label=last] a", "").await;
    world.photograph("schedules").await?;

    world
        .see("#schedule-nightly a.button", "Backfill")
        .await
        .click()
        .await?;
    world.see("h1", "Backfill nightly").await;
    let set = "document.getElementById('from').value = '2026-01-10T00:00'; document.getElementById('to').value = '2026-01-13T00:00'";
    world.js(set).await?;
    world.click("form.card button[type=submit]").await?;
    world.see("dialog", "Start the runs of these ticks?").await;
    world.click("#confirm-yes").await?;
    world.see(".box h2", "3 runs started").await;
    world.photograph("schedules-backfill").await?;
    world.click("form.card button[type=submit]").await?;
    world.click("#confirm-yes").await?;
    world.see(".box h2", "3 had been before").await;
    world
        .js("document.getElementById('to').value = '2016-01-13T00:00'")
        .await?;
    world.click("form.card button[type=submit]").await?;
    world.click("#confirm-yes").await?;
    world.see(".problem h1", "That cannot be done so").await;
    world.open("/schedules?owner=nobody").await?;
    world.see("h2", "No schedule is like that").await;
    // From everywhere a key leads to the search.
    world
        .driver
        .find(By::Css("body"))
        .await?
        .send_keys(Key::Control + "k")
        .await?;
    world.see("h1", "Search").await;
    world.end().await
}

#[tokio::test]
async fn a_list_of_runs_is_kept_under_a_name_with_its_columns() -> WebDriverResult<()> {
    let world = World::start().await?;
    world.open("/").await?;
    world.receive(1, "Oi").await?;
    world.count("table.runs tbody tr", 1).await;
    world.see("table.runs .state", "completed").await;
    world.click("#choose-columns summary").await?;
    for column in ["took", "build"] {
        world
            .click(&format!("#choose-columns input[name={column}]"))
            .await?;
    }
    world.click("#choose-columns button").await?;
    world.see("th", "Build").await;
    assert!(!world.all("th").await?.contains(&"Took".to_owned()));
    // The browser remembers them, also where the page is followed.
    world.receive(2, "Oi").await?;
    world.count("table.runs tbody tr", 2).await;
    world.see("th", "Build").await;

    world.find("workflow:inbound_message outcome:answered").await?;
    world.click("#keep summary").await?;
    let hostile = "Ours & <b>theirs</b>";
    world
        .driver
        .find(By::Css("#keep input[name=name]"))
        .await?
        .send_keys(hostile)
        .await?;
    world.click("#keep button").await?;
    world.see(".view a", hostile).await;
    world.photograph("runs-views").await?;
    let link = world.attribute(".view a", "href").await?;
    world.driver.delete_all_cookies().await?;
    world.open("/").await?;
    world.see("th", "Took").await;
    world.open(&link).await?;
    world.see("th", "Build").await;
    let line = world.driver.find(By::Id("q")).await?.prop("value").await?;
    assert_eq!(line.as_deref(), Some("workflow:inbound_message outcome:answered"));
    world.click(".view button").await?;
    world.see("dialog", "The runs stay.").await;
    world.click("#confirm-yes").await?;
    world.see("h1", "Runs").await;
    world.see_no(".view").await;
    world.end().await
}

#[tokio::test]
async fn the_overview_draws_what_happens_and_pages_speak_portuguese() -> WebDriverResult<()> {
    let world = World::start().await?;
    world.open("/overview").await?;
    world.see("h1", "Overview").await;
    world.see(".following", "live").await;
    world.mark_page().await?;
    // It follows: the hour before it was there is counted, and drawn.
    world
        .see("#traffic figcaption", "Messages and answers a minute")
        .await;
    assert!(world.is_same_page().await?);
    assert_eq!(world.overflow().await?, Value::Null);
    world.stand_with_a_telephone().await?;
    assert_eq!(world.overflow().await?, Value::Null);
    world.sit_at_a_desk().await?;
    world.click("#traffic details summary").await?;
    world
        .see("#traffic details", "Nothing happened in this time.")
        .await;
    world.receive(1, "Oi").await?;

    // An hour in which something happened.
    let books = world.database().await;
    for (measure, label, n) in [
        ("started", "inbound_message", "9 + (rowid * 7) % 11"),
        ("ended", "inbound_message/answered", "7 + (rowid * 5) % 9"),
        ("ended", "inbound_message/handed_over", "rowid % 3"),
        ("waited", "03", "5 + rowid % 4"),
        ("waited", "06", "rowid % 3"),
        ("reported", "delivered", "7 + (rowid * 5) % 9"),
        ("reported", "undelivered", "rowid % 2"),
        ("cost", "whatsapp", "60000 + (rowid * 9973) % 50000"),
        ("cost", "sms", "20000 + (rowid * 7919) % 90000"),
        ("tokens", "prompt", "4000 + (rowid * 613) % 5000"),
        ("tokens", "completion", "700 + (rowid * 131) % 900"),
    ] {
        let sql = format!(
            "insert or ignore into minutes (owner, at, measure, label, n)
                select owner, at, '{measure}', '{label}', {n} from minutes where measure = 'closed'"
        );
        books.execute_unprepared(&sql).await.expect("counted");
    }
    world.open("/overview").await?;
    world.see("#cost-sum", ".").await;
    world.click("#cost details summary").await?;
    world.see("#cost tbody tr", ".").await;
    assert_eq!(world.overflow().await?, Value::Null);
    world.click("#cost details summary").await?;
    world.photograph("overview").await?;

    let cdp = world.driver.cdp();
    cdp.send_raw("Network.enable", json!({})).await?;
    let headers = json!({"headers": {"Accept-Language": "pt-BR,pt;q=0.9"}});
    cdp.send_raw("Network.setExtraHTTPHeaders", headers).await?;
    for (path, title) in [
        ("/overview", "Visão geral"),
        ("/", "Execuções"),
        ("/stuck", "Parados"),
        ("/queues", "Filas"),
        ("/schedules", "Agendas"),
        ("/workers", "Trabalhadores"),
    ] {
        world.open(path).await?;
        world.see("h1", title).await;
        world.see(".following", "ao vivo").await;
    }
    world.open("/").await?;
    world.see("th", "Contato").await;
    world.photograph("runs-portuguese").await?;
    world.end().await
}
