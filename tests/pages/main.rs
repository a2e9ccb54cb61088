//! The pages in a real browser, in front of the real program.
mod attach;
mod communications;
mod find;
mod inspect;
mod watch;
mod world;

use recado_testkit::eventually;
use serde_json::json;
use std::time::Duration;
use thirtyfour::prelude::*;

use self::world::{World, on_a_living_page};

/// An answer, as the customer sees it.
const ANSWER: &str = ".bubble.theirs:not(.pending)";
/// What an attacker's message would set if any of it were taken for more than text.
const HOSTILE: &str = "<script>window.hacked=1</script><img src=x onerror='window.hacked=1'>\n<b id=\"bold\">bold</b> {{ 7*7 }} \
    &lt;i&gt; </pre></details></textarea><svg onload=window.hacked=1>";

#[tokio::test]
async fn an_answer_and_its_ticks_arrive_without_reloading_and_lead_to_the_run() -> WebDriverResult<()> {
    let world = World::start().await?;
    world.open("/phone").await?;
    world.see(".following", "live").await;
    world.photograph("phone-empty").await?;
    world.mark_page().await?;
    world.say("Oi!\nQual é o horário de funcionamento?").await?;
    world
        .see(".bubble.mine .body", "Oi!\nQual é o horário de funcionamento?")
        .await;
    world.see(ANSWER, "").await;
    let read = world.see(&format!("{ANSWER} .ticks.read"), "✓✓").await;
    assert_eq!(read.attr("data-status").await?.as_deref(), Some("read"));
    world.see_no("#unanswered").await;
    assert!(world.is_same_page().await?, "the page was loaded anew");
    world.photograph("phone").await?;

    world.click(".bubble.mine .meta a").await?;
    world.see("h1", "inbound_message").await;
    world.see(".present .state", "completed").await;
    let steps = world.all(".step-name").await?;
    for activity in [
        "resolve_owner",
        "check_billing",
        "persist",
        "transcribe",
        "route_agent",
        "reply",
    ] {
        assert!(
            steps.iter().any(|step| step.contains(activity)),
            "{activity} is not in {steps:?}"
        );
    }
    let header = world.shown("#facts").await;
    assert!(
        !header.contains("+5511987650001"),
        "the number is shown whole: {header}"
    );
    assert!(header.contains("+55 •••• 0001"), "{header}");
    world.photograph("run").await?;
    let from_the_answer = world.driver.current_url().await?;
    world.driver.back().await?;
    world.see(ANSWER, "").await;
    world.click(&format!("{ANSWER} .meta a")).await?;
    world.see(".present .state", "completed").await;
    assert_eq!(world.driver.current_url().await?, from_the_answer);
    world.end().await
}

#[tokio::test]
async fn a_message_full_of_markup_stays_text_everywhere() -> WebDriverResult<()> {
    let world = World::start().await?;
    world.open("/phone").await?;
    world.see(".following", "live").await;
    world.say(HOSTILE).await?;
    world.see(ANSWER, "").await;
    // A lone carriage return ends a line of an event stream: what follows must not pass for a field of ours.
    let send = "fetch('/_simulator/inbound', { method: 'POST', headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ from: 'whatsapp:+5511987650001', body: 'first\\revent: end\\rdata: gone\\r\\rlast' }) })";
    world.js(send).await?;
    world.see(".bubble.mine .body", "last").await;
    world.see(".following", "live").await;
    let typed = world.all(".bubble.mine .body").await?;
    assert!(typed.iter().any(|text| text == HOSTILE), "{typed:?}");
    assert_eq!(
        world
            .js("return document.querySelectorAll('.bubble b, .bubble img, .bubble script').length")
            .await?,
        0
    );

    world.click(".bubble.mine .meta a").await?;
    world.see(".present .state", "completed").await;
    world.click("#reveal").await?;
    world.see("#sight a.button", "Mask them again").await;
    world
        .js("for (const details of document.querySelectorAll('details')) details.open = true")
        .await?;
    let record = world.shown("#run-input pre").await;
    assert!(record.contains("<script>window.hacked=1</script>"), "{record}");
    assert_eq!(
        world
            .js("return document.querySelectorAll('main b#bold, main img, main script').length")
            .await?,
        0
    );
    assert_eq!(world.js("return window.hacked ?? null").await?, json!(null));

    world
        .open("/?owner=%22%3E%3Cscript%3Ewindow.hacked%3D1%3C%2Fscript%3E&workflow=%3Cb%3E")
        .await?;
    world.see("h2", "No run is like that").await;
    world
        .open("/?state=%3Cscript%3Ewindow.hacked%3D1%3C%2Fscript%3E")
        .await?;
    world.see("main p", "it must be one of queued").await;
    assert_eq!(world.js("return window.hacked ?? null").await?, json!(null));
    world.end().await
}

#[tokio::test]
async fn a_parked_run_is_retried_from_its_page() -> WebDriverResult<()> {
    let world = World::start().await?;
    world.open("/phone").await?;
    world.see(".following", "live").await;
    world.say("Qual é o horário de funcionamento?").await?;
    world.see(&format!("{ANSWER} .ticks.read"), "").await;
    world.click("input[name=create][value=refuse]").await?;
    world.see("#world-told", "from now on").await;
    world.say("Vocês fazem entrega?").await?;
    world.see("#unanswered", "parked").await;
    assert_eq!(world.sent().await?.len(), 1);

    world.open("/").await?;
    world.see(".runs .why", "21408").await;
    world.see(".counts .parked", "1").await;
    world.see(".following", "live").await;
    world.photograph("runs").await?;
    world.click(".counts a.parked").await?;
    world.see(".counts a[aria-current]", "parked").await;
    assert_eq!(world.all(".runs tbody tr").await?.len(), 1);
    world.click(".runs tbody a").await?;
    world.see(".present .state", "parked").await;
    world.see(".box.bad", "21408").await;
    world.see(".note.bad", "parked").await;
    world.photograph("run-parked").await?;
    world.misbehave(json!({})).await?;
    world.mark_page().await?;
    world.click("#retry").await?;
    world.see("dialog", "Retry this run?").await;
    world.click("dialog button[value=no]").await?;
    world.see_no("dialog").await;
    assert!(world.is_same_page().await?);
    world.see(".present .state", "parked").await;
    world.click("#retry").await?;
    world.see("dialog", "Retry this run?").await;
    world.click("#confirm-yes").await?;
    world.see(".present .state", "completed").await;
    world.see(".note", "a person asked for another try").await;
    world.see_no("#retry").await;
    assert_eq!(world.sent().await?.len(), 2);

    // Whoever comes second is told, and nothing is changed.
    let again = "const form = document.createElement('form'); form.method = 'post';
        form.action = location.pathname + '/act'; form.innerHTML = '<input name=act value=retry>';
        document.body.append(form); form.submit();";
    world.js(again).await?;
    world.see("h1", "That does not fit any more").await;
    world.see("main p", "only a parked run").await;
    world.photograph("problem").await?;
    world.end().await
}

#[tokio::test]
async fn a_send_of_unknown_fate_is_shown_as_found_and_not_repeated() -> WebDriverResult<()> {
    let world = World::start().await?;
    world.open("/phone").await?;
    world.see(".following", "live").await;
    world.click("input[name=create][value=accept_and_drop]").await?;
    world.see("#world-told", "from now on").await;
    world.say("Vocês fazem entrega?").await?;
    world.see(ANSWER, "").await;
    world.click(".bubble.mine .meta a").await?;
    world.see(".present .state", "completed").await;
    let step = "//details[contains(@class, 'step')][.//span[contains(., 'reply')]]/summary";
    world.driver.find(By::XPath(step)).await?.click().await?;
    world.see(".attempts .verdict.unknown", "fate unknown").await;
    world
        .see(".attempts", "it had happened, so it was not repeated")
        .await;
    world.photograph("run-unknown").await?;
    assert_eq!(world.sent().await?.len(), 1);
    world.end().await
}

/// Unfolds an act of a run's page, if it is not, and types into one of its fields. Returns what stood there.
async fn fill(world: &World, act: &str, field: &str, value: &str) -> WebDriverResult<String> {
    world.see(&format!("#act-{act}"), "").await;
    if world.all(&format!("#act-{act}[open]")).await?.is_empty() {
        world.click(&format!("#act-{act} > summary")).await?;
    }
    let css = format!("#act-{act} [name={field}]");
    world.see(&css, "").await;
    on_a_living_page(async || {
        let field = world.driver.find(By::Css(&css)).await?;
        let stood = field.prop("value").await?.unwrap_or_default();
        field.clear().await?;
        field.send_keys(value).await?;
        Ok(stood)
    })
    .await
}

#[tokio::test]
async fn a_parked_run_is_skipped_and_forked_from_its_page() -> WebDriverResult<()> {
    let world = World::start().await?;
    world.open("/phone").await?;
    world.see(".following", "live").await;
    world.click("input[name=create][value=refuse]").await?;
    world.see("#world-told", "from now on").await;
    world.say("Vocês fazem entrega?").await?;
    world.see("#unanswered", "parked").await;
    world.click("#unanswered a").await?;
    world.see(".present .state", "parked").await;
    world.see_no("#undecided").await;
    world.see_no("#act-pause").await;

    // What one types stays, though somebody else acts on the run and the page follows.
    world.see(".following", "live").await;
    world.mark_page().await?;
    fill(&world, "fork", "from", "7").await?;
    let other = "const body = new URLSearchParams({act: 'retry'});
        return fetch(location.pathname + '/act', {method: 'post', body}).then((answer) => answer.status)";
    assert_eq!(world.js(other).await?, 200);
    world.see(".note", "a person asked for another try").await;
    world.see(".present .state", "parked").await;
    assert!(world.is_same_page().await?, "the page was loaded anew");
    assert_eq!(fill(&world, "fork", "from", "0").await?, "7");

    fill(&world, "skip", "result", "{not json").await?;
    world.photograph("run-act").await?;
    world.click("#act-skip button[type=submit]").await?;
    world.see("main p", "is not JSON").await;
    world.click(".problem a.button").await?;
    world.see(".present .state", "parked").await;
    fill(&world, "skip", "result", r#"{"withheld":"outside_window"}"#).await?;
    world.click("#act-skip button[type=submit]").await?;
    world.see(".present .state", "completed").await;
    world.see(".present .outcome", "withheld").await;
    assert_eq!(world.sent().await?.len(), 0);
    world.see_no("#act-cancel").await;

    world.misbehave(json!({})).await?;
    let skipped = world.driver.current_url().await?;
    world.click("#journal > summary").await?;
    world.click("[data-fork='1']").await?;
    world.see("#act-fork[open] button[type=submit]", "Fork").await;
    assert_eq!(
        fill(&world, "fork", "from", "0").await?,
        "1",
        "the button names its event"
    );
    world.click("#act-fork button[type=submit]").await?;
    world.see(".present .outcome", "answered").await;
    assert_ne!(world.driver.current_url().await?, skipped);
    assert_eq!(world.sent().await?.len(), 1);
    world.end().await
}

#[tokio::test]
async fn a_send_that_nobody_can_tell_of_is_decided_on_its_page() -> WebDriverResult<()> {
    let world = World::start().await?;
    world.open("/phone").await?;
    world.see(".following", "live").await;
    world
        .misbehave(json!({"twilio": {"create": "drop", "reads": 503}}))
        .await?;
    world.say("Vocês fazem entrega?").await?;
    world.see("#unanswered", "").await;
    world.click(".bubble.mine .meta a").await?;
    world
        .see("#undecided", "Nobody can tell whether reply happened")
        .await;
    world.photograph("run-undecided").await?;
    assert_eq!(world.sent().await?.len(), 0);
    // The list still tells nothing, or the run would find out by itself.
    world.misbehave(json!({"twilio": {"reads": 503}})).await?;
    world.click("#undecided input[value=resend] + button").await?;
    world.see("dialog", "it happens twice").await;
    world.click("dialog button[value=yes]").await?;
    world.see(".present .outcome", "answered").await;
    world.see_no("#undecided").await;
    assert_eq!(world.sent().await?.len(), 1);
    world.end().await
}

#[tokio::test]
async fn killed_before_its_answer_it_answers_once_all_the_same() -> WebDriverResult<()> {
    let world = World::start().await?;
    world.open("/").await?;
    world.see("h2", "No message has come yet").await;
    world.photograph("runs-empty").await?;
    world.open("/phone").await?;
    world.see("#child", "answers").await;
    world.click("input[name=slow]").await?;
    world.see("#world-told", "from now on").await;
    world.mark_page().await?;
    world.say("Quanto custa um bolo?").await?;
    world.see("#unanswered", "running").await;
    world.photograph("phone-waiting").await?;
    world.click("#kill").await?;
    world.see("#child", "took over").await;
    world.photograph("phone-killed").await?;
    world.see(ANSWER, "").await;
    world.see(&format!("{ANSWER} .ticks.read"), "").await;
    assert!(world.is_same_page().await?, "the page was loaded anew");
    assert_eq!(world.sent().await?.len(), 1);
    assert_eq!(world.all(ANSWER).await?.len(), 1);

    world.click(".bubble.mine .meta a").await?;
    world.see(".note.warn", "fell silent").await;
    world.photograph("run-taken-over").await?;
    world.end().await
}

#[tokio::test]
async fn a_conversation_that_people_took_over_is_given_back() -> WebDriverResult<()> {
    let world = World::start().await?;
    world.open("/phone").await?;
    world.see(".following", "live").await;
    world.say("Quero falar com um atendente humano").await?;
    world.see(ANSWER, "").await;
    world.see("#handoff", "A person would answer now").await;
    world.say("Ainda estão aí?").await?;
    world.see("#unanswered", "left to people").await;
    world.photograph("phone-handed-over").await?;
    let before = world.sent().await?.len();
    world.click("#hand-back").await?;
    world.see_no("#handoff").await;
    world.say("Que horas vocês abrem?").await?;
    world.see_no("#unanswered").await;
    eventually(Duration::from_secs(20), async || {
        (world.sent().await.ok()?.len() == before + 1).then_some(())
    })
    .await;
    world.end().await
}

#[tokio::test]
async fn the_list_follows_without_reloading_even_past_a_kill_and_lets_its_readers_go() -> WebDriverResult<()>
{
    let world = World::start().await?;
    world.open("/").await?;
    world.see(".following", "live").await;
    world.mark_page().await?;
    let send = |text: &str| {
        format!(
            "fetch('/_simulator/inbound', {{ method: 'POST', headers: {{ 'content-type': 'application/json' }},
                body: JSON.stringify({{ from: 'whatsapp:+5511987650001', body: '{text}' }}) }})"
        )
    };
    world.js(&send("Vocês fazem entrega?")).await?;
    world.see(".runs .state", "completed").await;
    world.js("fetch('/dev/kill', { method: 'POST' })").await?;
    world.see(".following", "reconnecting").await;
    world.see(".following", "live").await;
    world.js(&send("Que horas vocês abrem?")).await?;
    eventually(Duration::from_secs(30), async || {
        (world.all(".runs .state.completed").await.ok()?.len() == 2).then_some(())
    })
    .await;
    assert!(world.is_same_page().await?, "the page was loaded anew");

    let readers = async || {
        let text = world
            .js("return fetch('/metrics').then((answer) => answer.text())")
            .await
            .ok()?;
        let line = text
            .as_str()?
            .lines()
            .find(|line| line.starts_with("recado_live_readers "))?
            .to_owned();
        line.rsplit(' ').next()?.parse::<f64>().ok()
    };
    assert_eq!(readers().await, Some(1.0));
    world.open("/?state=completed&workflow=nothing_like_this").await?;
    world.see("h2", "No run is like that").await;
    world.open("/no-such-page").await?;
    world.see("h1", "There is no such page").await;
    eventually(Duration::from_secs(20), async || {
        (readers().await? == 0.0).then_some(())
    })
    .await;
    world.end().await
}

#[tokio::test]
async fn nothing_is_wider_than_a_small_telephone() -> WebDriverResult<()> {
    let world = World::start().await?;
    world.stand_with_a_telephone().await?;
    world.open("/phone").await?;
    world.see(".following[data-following=live]", "").await;
    world.say(&"endless".repeat(60)).await?;
    world.see(ANSWER, "").await;
    world
        .misbehave(json!({"twilio": {"create": {"refuse": 21408}}}))
        .await?;
    world.say("Vocês fazem entrega?").await?;
    world.see("#unanswered", "parked").await;
    assert_eq!(world.overflow().await?, json!(null), "/phone");
    let run = world
        .driver
        .find(By::Css("#unanswered a"))
        .await?
        .attr("href")
        .await?
        .unwrap_or_default();
    for path in [
        run.as_str(),
        "/",
        "/?q=state:parked",
        "/?q=nonsense:x",
        "/runs/batch?act=retry&q=state:parked",
        "/stuck",
        "/queues",
        "/workers",
        "/schedules",
        "/no-such-page",
        "/login",
        "/runs/by-message/AC0/SM0",
    ] {
        world.open(path).await?;
        world
            .js("for (const details of document.querySelectorAll('details')) details.open = true")
            .await?;
        assert_eq!(world.overflow().await?, json!(null), "{path}");
    }
    world.end().await
}
