//! Who writes to one person, and to many, does so from these pages.
use recado_testkit::eventually;
use thirtyfour::prelude::*;

use super::world::World;

/// Somebody whom nobody has written to.
const ANA: &str = "+5511987650101";

impl World {
    async fn fill(&self, id: &str, text: &str) -> WebDriverResult<()> {
        let field = self.driver.find(By::Id(id)).await?;
        field.clear().await?;
        field.send_keys(text).await
    }

    /// Clicks what asks first, and says yes.
    async fn confirm(&self, css: &str) -> WebDriverResult<()> {
        self.click(css).await?;
        self.click("#confirm-yes").await
    }
}

#[tokio::test]
async fn a_person_is_written_to_and_the_history_says_what_became_of_it() -> WebDriverResult<()> {
    let world = World::start().await?;
    world.open("/communications").await?;
    world.fill("to", "5511").await?;
    world.fill("who", "ana").await?;
    world.fill("body", "Olá Ana <b>!</b>").await?;
    world.click(".fields button.primary").await?;
    world.see("#wrong", "E.164").await;
    assert_eq!(
        world.attribute("#who", "value").await?,
        "ana",
        "what was written is still there"
    );
    world.fill("to", ANA).await?;
    world.click(".fields button.primary").await?;
    world.see("#history .sent-text", "•••• (16)").await;
    assert!(
        !world.driver.source().await?.contains(">Olá Ana"),
        "masked until it is revealed"
    );
    world.click("#reveal").await?;
    world.see("#history .sent-text", "Olá Ana <b>!</b>").await;
    world.see("#history .started", "").await;
    assert_eq!(world.sent().await?, ["Olá Ana <b>!</b>"]);
    world.photograph("communications").await?;
    assert_eq!(world.overflow().await?, serde_json::Value::Null);
    world.open("/communications?prospect=ana&text=nothing").await?;
    world.see("#history h2", "No message is like that").await;
    world.open("/communications/health").await?;
    world.see("h2", "Messages can be sent").await;
    world.end().await
}

#[tokio::test]
async fn a_campaign_is_looked_at_started_and_followed_on_its_page() -> WebDriverResult<()> {
    let world = World::start().await?;
    world.open("/communications/campaigns").await?;
    world.see("h2", "There is no campaign yet").await;
    world.fill("title", "Março <i>").await?;
    world.fill("body", "Olá {name}").await?;
    world.click(".fields button.primary").await?;
    world.see("#wrong", "CSV").await;
    let rows = format!("to,name\n{ANA},Ana\n11 98765,Bia\n+5511987650102,\n+5511987650103,Eva");
    world.fill("rows", &rows).await?;
    world.click(".fields button.primary").await?;
    world.see("h1", "Março <i>").await;
    world.see(".facts .sent-text", "Olá Ana").await;
    world.see(".part.invalid", "2").await;
    world
        .see(".people .sent-text", "the column name is missing or empty")
        .await;
    world.see(".following", "live").await;
    world.photograph("campaign").await?;
    assert_eq!(world.overflow().await?, serde_json::Value::Null);
    world.confirm(".campaign-head button.primary").await?;
    world.see(".campaign-head .state", "completed").await;
    world.see(".part.sent", "2").await;
    let mut sent = world.sent().await?;
    sent.sort();
    assert_eq!(sent, ["Olá Ana", "Olá Eva"]);
    world.open("/communications/campaigns?state=completed").await?;
    world.see(".campaign .name", "Março <i>").await;
    world.photograph("campaigns").await?;
    world.open("/communications/campaigns?state=paused").await?;
    world.see("h2", "No campaign is like that").await;
    world.end().await
}

impl World {
    /// Loads a page again until an element that `css` finds shows `text`.
    async fn comes(&self, path: &str, css: &str, text: &str) {
        let probe = async || {
            self.open(path).await.ok()?;
            let shown = self.all(css).await.ok()?;
            shown.iter().any(|shown| shown.contains(text)).then_some(())
        };
        let soon = std::time::Duration::from_secs(40);
        eventually(soon, probe).await;
    }
}

#[tokio::test]
async fn somebody_is_called_and_the_recording_is_heard_once_it_is_revealed() -> WebDriverResult<()> {
    let world = World::start().await?;
    world.open("/communications/call").await?;
    world.fill("to", "5511").await?;
    world.fill("who", "ana").await?;
    world.fill("say", "Olá Ana <b>").await?;
    world.photograph("call").await?;
    assert_eq!(world.overflow().await?, serde_json::Value::Null);
    world.click(".fields button.primary").await?;
    world.see("#wrong", "E.164").await;
    world.fill("to", ANA).await?;
    world.click(".fields button.primary").await?;
    world.see("#history .name", "call").await;
    let history = "/communications?prospect=ana";
    world.comes(history, "#history .mark", "completed").await;
    world
        .comes(history, "#history .sent-text", "Recordings, masked: 1")
        .await;
    assert!(
        !world.driver.source().await?.contains("/media/RE"),
        "no link before it is revealed"
    );
    // The audio itself comes a moment after the word that it is complete.
    let probe = async || {
        world.open(history).await.ok()?;
        world.click("#reveal").await.ok()?;
        world.see("#sight", "15 minutes").await;
        let file = world.attribute("#history audio", "src").await.ok()?;
        (!file.is_empty()).then_some(file)
    };
    let file = eventually(std::time::Duration::from_secs(40), probe).await;
    let script =
        "const [path, done] = arguments; fetch(path, { headers: { Range: 'bytes=0-2' } }).then((answer) =>
        answer.text().then((text) => done([answer.status, answer.headers.get('content-type'), text])));";
    let heard = world.driver.execute_async(script, vec![file.into()]).await?;
    assert_eq!(*heard.json(), serde_json::json!([206, "audio/mpeg", "ID3"]));
    world.photograph("recording").await?;
    assert_eq!(world.overflow().await?, serde_json::Value::Null);
    world.end().await
}

#[tokio::test]
async fn what_goes_where_whatsapp_takes_no_text_is_set_on_a_page() -> WebDriverResult<()> {
    let world = World::start().await?;
    world.open("/communications").await?;
    world.click(".ways a[href^='/communications/way-out']").await?;
    world.see("h1", "When WhatsApp takes no text").await;
    world.fill("template_sid", "HX1").await?;
    world.fill("variables", "1={text}").await?;
    world.click(".tick input").await?;
    world.click(".fields button.primary").await?;
    world.see("#wrong", "template.sid").await;
    world
        .fill("template_sid", "HX00000000000000000000000000000001")
        .await?;
    world.click(".fields button.primary").await?;
    world.see("#saved", "It is set").await;
    world.photograph("way-out").await?;
    assert_eq!(world.overflow().await?, serde_json::Value::Null);
    // It is there for whoever comes next.
    world.open("/communications/way-out").await?;
    assert_eq!(
        world.attribute("#template_sid", "value").await?,
        "HX00000000000000000000000000000001"
    );
    assert_eq!(world.attribute(".tick input", "checked").await?, "true");
    world.end().await
}

#[tokio::test]
async fn a_batch_is_looked_at_before_it_goes_and_each_row_says_what_became_of_it() -> WebDriverResult<()> {
    let world = World::start().await?;
    world.open("/communications/batch").await?;
    world.click(".fields button.primary").await?;
    world.see("#wrong", "one for each person").await;
    let rows = format!("5511, oi\n{ANA}, Olá <b>Ana</b>, tudo bem?\n+5511987650102; Olá Bia");
    world.fill("rows", &rows).await?;
    world.click(".fields button").await?;
    world.see(".people .state.failed", "cannot be sent").await;
    world.see(".people .sent-text", "Olá <b>Ana</b>, tudo bem?").await;
    assert_eq!(
        world.sent().await?,
        [""; 0],
        "nothing goes before it was looked at"
    );
    world.see("#go", "Send 2 of 3").await;
    world.photograph("batch-send").await?;
    assert_eq!(world.overflow().await?, serde_json::Value::Null);
    world.click("#go").await?;
    world.see("#state", "2 of 3 sent").await;
    assert!(
        !world.driver.source().await?.contains("Olá"),
        "masked until it is revealed"
    );
    world.click("#reveal").await?;
    world.see(".people .sent-text", "Olá Bia").await;
    world.see(".people .sent-text", "E.164").await;
    world.photograph("batch-sent").await?;
    assert_eq!(world.overflow().await?, serde_json::Value::Null);
    let mut sent = world.sent().await?;
    sent.sort();
    assert_eq!(sent, ["Olá <b>Ana</b>, tudo bem?", "Olá Bia"]);
    world.end().await
}
