//! The pages for those who look into one thing: a run, a conversation, what a SID or a text leads to, and what was
//! turned away.
use std::time::Duration;

use sea_orm::{ConnectionTrait, DatabaseConnection};
use serde_json::{Value, json};
use thirtyfour::prelude::*;

use crate::world::World;

/// What the contact says here, and nobody else is to read by the way.
const SECRET: &str = "Moro na Rua das Flores 7, fazem entrega?";
/// Events of a long run.
const LONG: i64 = 10_000;

async fn value(database: &DatabaseConnection, sql: &str) -> String {
    let row = database.query_one_raw(sea_orm::Statement::from_string(
        database.get_database_backend(),
        sql,
    ));
    let row = row.await.expect("an answer").expect("a row");
    row.try_get_by_index(0).expect("a text")
}

impl World {
    async fn press(&self, key: impl Into<TypingData>) -> WebDriverResult<()> {
        self.driver.active_element().await?.send_keys(key).await
    }

    async fn number(&self, script: &str) -> WebDriverResult<i64> {
        Ok(self.js(script).await?.as_i64().unwrap_or(-1))
    }

    /// A message, until it is answered; then its run's page.
    async fn answered(&self, text: &str) -> WebDriverResult<String> {
        self.receive(1, text).await?;
        self.open("/").await?;
        self.see(".runs .state.completed", "").await;
        self.click(".runs tbody .name a").await?;
        self.see(".present .state", "completed").await;
        let url = self.driver.current_url().await?;
        Ok(url.path().trim_start_matches("/runs/").to_owned())
    }
}

#[tokio::test]
async fn what_people_wrote_is_masked_until_it_is_revealed_and_that_is_written_down() -> WebDriverResult<()> {
    let world = World::start().await?;
    world.open("/").await?;
    let run = world.answered(SECRET).await?;
    let unfold = "for (const details of document.querySelectorAll('details')) details.open = true;
        return document.documentElement.innerHTML";
    let holds = |page: &Value, text: &str| page.as_str().unwrap_or_default().contains(text);
    for view in ["compact", "full", "json"] {
        world.open(&format!("/runs/{run}?view={view}")).await?;
        world.see("#journal > summary", "Journal").await;
        let page = world.js(unfold).await?;
        assert!(!holds(&page, "Rua das Flores"), "{view} shows what was said");
        assert!(!holds(&page, "11987650001"), "{view} shows a number");
    }
    let database = world.database().await;
    let looks = "select cast(count(*) as text) from audit where act = 'reveal' and subject like 'run:%'";
    assert_eq!(value(&database, looks).await, "0");

    // A key that is none, and that of another thing, open nothing.
    world
        .open(&format!("/runs/{run}?reveal=01JD0000000000000000000000"))
        .await?;
    world.see("#reveal", "Reveal").await;
    world.photograph("run-masked").await?;
    world.open(&format!("/runs/{run}?view=full&zoom=2")).await?;
    world.click("#reveal").await?;
    world.see("#sight a.button", "Mask them again").await;
    assert!(holds(&world.js(unfold).await?, "Rua das Flores"));
    world.see(".facts", "Revealed").await;
    assert_eq!(value(&database, looks).await, "1");
    let kept = world.driver.current_url().await?;
    let query = kept.query().unwrap_or_default().to_owned();
    assert!(query.contains("view=full") && query.contains("zoom=2"), "{query}");
    let key = query.split("reveal=").nth(1).unwrap_or_default().to_owned();
    let conversation = value(
        &database,
        "select id from conversations where contact_address like '%0001'",
    )
    .await;
    world
        .open(&format!("/conversations/{conversation}?reveal={key}"))
        .await?;
    world.see("#reveal", "Reveal").await;

    // What was revealed stays so for a while only.
    database
        .execute_unprepared("update audit set at = '2020-01-01T00:00:00.000000+00:00'")
        .await
        .expect("an earlier time");
    world.open(&format!("/runs/{run}?reveal={key}")).await?;
    world.see("#reveal", "Reveal").await;
    assert!(!holds(&world.js(unfold).await?, "Rua das Flores"));
    world.end().await
}

#[tokio::test]
async fn a_run_is_read_by_keys_and_by_links_and_says_where_its_time_went() -> WebDriverResult<()> {
    let world = World::start().await?;
    world.open("/").await?;
    let run = world.answered("Que horas vocês abrem?").await?;
    world.see(".chain", "Where the time went").await;
    assert!(!world.all(".step.critical").await?.is_empty());
    world.press("?").await?;
    world.see("#keys[open]", "next and previous step").await;
    world.photograph("run-keys").await?;
    world.press(Key::Escape + "").await?;
    world.see_no("#keys").await;
    world.press("j").await?;
    world.press("j").await?;
    let focused = "return document.activeElement.closest('.step')?.id ?? ''";
    assert_eq!(world.js(focused).await?, json!("step-2"));
    world.press("o").await?;
    world.see(".step[open] .attempts", "Attempt 1").await;
    world.press("+").await?;
    world.press("+").await?;
    world.see(".zooms [aria-current]", "4×").await;
    let wide = "const steps = document.querySelector('.steps'); return Math.round(steps.scrollWidth / steps.clientWidth)";
    assert_eq!(world.number(wide).await?, 4);
    world.photograph("run-zoomed").await?;

    // The same without script: it is a link.
    world.open(&format!("/runs/{run}?zoom=4&view=full")).await?;
    world.see(".zooms [aria-current]", "4×").await;
    world.see(".journal-views [aria-current]", "Full").await;
    let link = world.attribute("#event-3 a", "href").await?;
    world.open("/").await?;
    world.open(&link).await?;
    world.see("#event-3", "").await;
    assert_eq!(
        world.all("#journal[open]").await?.len(),
        1,
        "the event is unfolded"
    );
    world.click(".facts #conversation").await?;
    world.see("#thread .said", "").await;

    // Portuguese, where the browser prefers it.
    let ask = format!(
        "return fetch('/runs/{run}', {{ headers: {{ 'accept-language': 'pt-BR' }} }}).then((answer) => answer.text())"
    );
    let page = world.js(&ask).await?;
    let page = page.as_str().unwrap_or_default();
    assert!(
        page.contains("Linha do tempo") && page.contains("caminho crítico"),
        "{page}"
    );
    assert!(
        !page.contains("Time line") && !page.contains("Fork from here"),
        "{page}"
    );
    world.end().await
}

#[tokio::test]
async fn a_run_of_ten_thousand_events_opens_with_a_part_and_scrolls_to_its_end() -> WebDriverResult<()> {
    let world = World::start().await?;
    world.open("/").await?;
    let run = world.answered("Que horas vocês abrem?").await?;
    let database = world.database().await;
    let before: i64 = value(&database, "select cast(max(seq) as text) from journal")
        .await
        .parse()
        .expect("a number");
    let longer = format!(
        "insert into journal (run, seq, op, kind, name, attempt, started_at, at, data)
         with recursive n(i) as (select {before} + 1 union all select i + 1 from n where i < {LONG})
         select r.id, n.i, n.i, 'activity_completed', 'look_' || n.i, 1, r.created_at, r.finished_at, '\"ok\"'
         from n, runs r where r.id = '{run}'"
    );
    database
        .execute_unprepared(&longer)
        .await
        .expect("a long journal");
    world.open(&format!("/runs/{run}")).await?;
    world.see("#journal > summary", "10000 events").await;
    let elements = world
        .number("return document.querySelectorAll('*').length")
        .await?;
    assert!(elements < 12_000, "{elements} elements");
    world.count("#history tbody tr", 200).await;
    assert!(world.all(".step").await?.len() <= 200);
    world.click("#journal > summary").await?;
    world.photograph("run-long").await?;

    // Scrolling brings the rest, part by part.
    let scroll =
        "const done = arguments[0], until = Date.now() + 5000, history = document.getElementById('history');
        const step = () => {
            history.scrollTop = history.scrollHeight;
            if (document.getElementById('event-10000')) done(1);
            else if (Date.now() > until) done(0);
            else setTimeout(step, 20);
        };
        step();";
    recado_testkit::eventually(Duration::from_secs(120), async || {
        let told = world.driver.execute_async(scroll, vec![]).await.ok()?;
        (*told.json() == json!(1)).then_some(())
    })
    .await;
    let rows = "const rows = [...document.querySelectorAll('#history tbody tr')].map((row) => Number(row.id.slice(6)));
        return rows.length === 10000 && rows.every((seq, index) => seq === index + 1) ? 1 : 0";
    assert_eq!(world.number(rows).await?, 1, "each event once, in order");
    world.see_no("#more-events").await;

    // Without scrolling: by the parts, and by the link of an event.
    world.open(&format!("/runs/{run}")).await?;
    world.click("#journal > summary").await?;
    world.see(".journal-views .pages", "1–200").await;
    world
        .driver
        .find(By::LinkText("Last events"))
        .await?
        .click()
        .await?;
    world.see("#event-10000", "look_10000").await;
    world.open(&format!("/runs/{run}?event=7321#event-7321")).await?;
    world.see("#event-7321", "look_7321").await;
    world.see(".steps", "look_7321").await;
    let (status, _) = world.get(&format!("/runs/{run}/events?after=999999999")).await?;
    assert_eq!(status, 200);
    assert_eq!(world.get("/runs/01JD0000000000000000000000/events").await?.0, 404);
    world.end().await
}

#[tokio::test]
async fn a_conversation_shows_messages_runs_and_reports_in_one_line_of_time() -> WebDriverResult<()> {
    let world = World::start().await?;
    // The owner `default` of `recado dev` has one to look at.
    world.open("/conversations").await?;
    world.count(".conversations tbody tr", 1).await;
    world.see(".following", "live").await;
    world.mark_page().await?;
    let hostile = "<b id=bold>oi</b><script>window.hacked=1</script>";
    world.receive(1, hostile).await?;
    world.count(".conversations tbody tr", 2).await;
    world.receive(2, "Quanto custa um bolo de nozes?").await?;
    world.count(".conversations tbody tr", 3).await;
    assert!(world.is_same_page().await?, "the page was loaded anew");
    world.photograph("conversations").await?;

    // Filters: the contact, the state, a text; what cannot be meant is said.
    world.open("/conversations?contact=%2B5511987650001").await?;
    world.count(".conversations tbody tr", 1).await;
    world.open("/conversations?text=BOLO%20de%20nozes").await?;
    world.count(".conversations tbody tr", 1).await;
    world.see(".conversations .contact", "0002").await;
    world.open("/conversations?text=%25").await?;
    world.see("h2", "No conversation is like that").await;
    world.open("/conversations?state=expired").await?;
    world.see("h2", "No conversation is like that").await;
    world.open("/conversations?contact=quem%3F").await?;
    world.see("#told", "The contact must be a number").await;
    world.open("/conversations?owner=nobody").await?;
    world.see("h2", "This owner has spoken with nobody yet").await;

    world.open("/conversations?contact=%2B5511987650001").await?;
    world.click(".conversations .name a").await?;
    world.see(".said.theirs .body", "••••").await;
    world.see(".said.ours .status.read", "read").await;
    world.see(".done .state.completed", "completed").await;
    assert!(!world.shown("main").await.contains("bold"));
    let order =
        "return [...document.querySelectorAll('.thread > li')].map((li) => li.className.split(' ').pop())";
    let order = world.js(order).await?;
    let order: Vec<&str> = order
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    assert_eq!(
        (order.first(), order.get(1)),
        (Some(&"theirs"), Some(&"done")),
        "{order:?}"
    );
    assert_eq!(order.last(), Some(&"ours"), "{order:?}");

    world.click("#reveal").await?;
    world.see(".said.theirs .body", hostile).await;
    let taken = "return document.querySelectorAll('main b#bold, main script').length + (window.hacked ?? 0)";
    assert_eq!(world.number(taken).await?, 0);
    world.see("h1", "+5511987650001").await;

    // Each unfolds in its place, and stays so while more comes.
    world.click(".done > details > summary").await?;
    world.see(".done .step-name", "persist").await;
    world.click(".said.ours details summary").await?;
    world.see(".said.ours .heard", "delivered").await;
    world.see(".following", "live").await;
    world.mark_page().await?;
    world.receive(1, "Vocês fazem entrega?").await?;
    world.count(".done", 2).await;
    world.see(".said.theirs .body", "Vocês fazem entrega?").await;
    assert!(world.is_same_page().await?, "the page was loaded anew");
    assert_eq!(world.all(".done > details[open]").await?.len(), 1);
    world.photograph("conversation").await?;

    world.receive(1, "Quero falar com um atendente humano").await?;
    world.see(".moved", "from pending to human_handoff").await;
    world.see("#head .present", "in the hands of people").await;
    world.driver.refresh().await?;
    // While the number is shown it leads to all runs with the contact.
    world.click("#contact-runs").await?;
    world.count(".runs tbody tr", 3).await;
    world.receive(2, "Quero um bolo").await?;
    world.open("/conversations?contact=%2B5511987650002").await?;
    world.click(".conversations .name a").await?;
    world.see(".done .state.completed", "completed").await;

    // What fails is told beside it.
    world.refuse().await?;
    world.receive(2, "E no domingo?").await?;
    world.see(".done .state.parked", "parked").await;
    world.see(".done .error", "21408").await;
    let database = world.database().await;
    let looks = "select cast(count(*) as text) from audit where subject like 'conversation:%'";
    assert_eq!(value(&database, looks).await, "1");
    let id = value(
        &database,
        "select id from conversations where contact_address like '%0001'",
    )
    .await;
    assert_eq!(
        world.get(&format!("/conversations/{id}?owner=nobody")).await?.0,
        404
    );
    world.end().await
}

#[tokio::test]
async fn a_sid_a_number_an_id_and_a_text_lead_to_what_they_are_of() -> WebDriverResult<()> {
    let world = World::start().await?;
    world.open("/search").await?;
    world.see("h2", "Paste what you have").await;
    world.photograph("search-empty").await?;
    world.open("/").await?;
    let run = world.answered("Quero um bolo de cenoura").await?;
    let database = world.database().await;
    let sid = value(
        &database,
        "select twilio_sid from messages where direction = 'inbound' and run <> 'seed'",
    )
    .await;
    let conversation = value(
        &database,
        "select id from conversations where contact_address like '%0001'",
    )
    .await;

    // From everywhere by a key; then by what is typed.
    world.press(Key::Control + "k").await?;
    world.see("h1", "Search").await;
    let field = world.driver.find(By::Id("q")).await?;
    field.send_keys(sid.as_str()).await?;
    field.send_keys(Key::Enter + "").await?;
    world.see(".hits h2", "Messages").await;
    let links = world
        .js("return [...document.querySelectorAll('.hits a')].map((link) => link.getAttribute('href'))")
        .await?;
    let links = links.to_string();
    assert!(
        links.contains(&format!("/runs/{run}")) && links.contains(&conversation),
        "{links}"
    );
    world.photograph("search").await?;

    for (sought, title) in [
        (run.as_str(), "Runs"),
        (conversation.as_str(), "Conversations"),
        ("%2B55+11+98765-0001", "Conversations"),
        ("BOLO+de+cenoura", "Said in messages"),
        (&sid[..20], "Runs that mention it"),
    ] {
        world.open(&format!("/search?q={sought}")).await?;
        world.see(".hits h2", title).await;
        assert!(!world.shown("main").await.contains("cenoura") || sought.contains("cenoura"));
    }
    // Another owner's search finds nothing of it.
    for sought in [
        sid.as_str(),
        run.as_str(),
        conversation.as_str(),
        "cenoura",
        "%2B5511987650001",
    ] {
        world.open(&format!("/search?owner=nobody&q={sought}")).await?;
        world.see("h2", "Nothing of this owner is like that").await;
    }
    for hostile in [
        "%25",
        "%27%22--",
        "%3Cscript%3Ewindow.hacked%3D1%3C%2Fscript%3E",
        "%00",
        "\\",
    ] {
        let (status, _) = world.get(&format!("/search?q={hostile}")).await?;
        assert!(status == 200 || status == 400, "{hostile}: {status}");
    }
    assert_eq!(world.get(&format!("/search?q={}", "x".repeat(300))).await?.0, 400);
    world.end().await
}

#[tokio::test]
async fn webhooks_that_were_turned_away_are_shown_with_what_to_do() -> WebDriverResult<()> {
    let world = World::start().await?;
    world.open("/webhooks").await?;
    world.see("h2", "None was turned away").await;
    world.see("main code", "/api/v1/twilio/webhooks/inbound").await;
    world.see(".following", "live").await;
    world.mark_page().await?;
    let send = |signature: &str| {
        format!(
            "fetch('/api/v1/twilio/webhooks/inbound', {{ method: 'POST', headers: {{ 'content-type': 'application/x-www-form-urlencoded'{signature} }},
                body: 'AccountSid=AC00000000000000000000000000000000&MessageSid=SM0&Body=segredo' }})"
        )
    };
    world.js(&send("")).await?;
    world.see(".reason", "unsigned").await;
    world.js(&send(", 'x-twilio-signature': 'bm8='")).await?;
    world.js(&send(", 'x-twilio-signature': 'bm8='")).await?;
    world.see(".reason h2", "2 unknown_account").await;
    world.count(".webhooks tbody tr", 3).await;
    world.see(".reason", "Nobody here holds the Twilio account").await;
    assert!(world.is_same_page().await?, "the page was loaded anew");
    assert!(!world.shown("main").await.contains("segredo"), "a body is kept");
    world.photograph("webhooks").await?;
    world.end().await
}
