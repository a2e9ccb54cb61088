//! Who writes to one person, and to many, does so from these pages.
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
