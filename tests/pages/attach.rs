//! The telephone sends a picture and a voice message, and shows what the business has of them.
use thirtyfour::prelude::*;

use crate::world::World;

/// A picture of one pixel, which is enough to be shown.
const GIF: &[u8] =
    b"GIF89a\x01\x00\x01\x00\x80\x00\x00\xff\xff\xff\x00\x00\x00!\xf9\x04\x01\x00\x00\x00\x00,\x00\x00\
    \x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00;";

#[tokio::test]
async fn a_picture_and_a_voice_message_are_sent_and_what_was_heard_is_shown() -> WebDriverResult<()> {
    let world = World::start().await?;
    world.open("/phone").await?;
    world.see(".following", "live").await;
    world.see("#speak", "Send as a voice message").await;
    let body = world.driver.find(By::Id("body")).await?;
    body.send_keys("Qual é o horário de funcionamento?").await?;
    world.click("#speak").await?;
    world
        .see(
            ".bubble.mine .received .body",
            "Qual é o horário de funcionamento?",
        )
        .await;
    world.see(".bubble.mine .received audio", "").await;
    world
        .see(".bubble.theirs:not(.pending)", "segunda a sábado")
        .await;

    let folder = tempfile::TempDir::with_prefix("recado-picture-")?;
    let picture = folder.path().join("bolo.gif");
    std::fs::write(&picture, GIF)?;
    let file = world.driver.find(By::Id("file")).await?;
    file.send_keys(picture.to_str().unwrap_or_default()).await?;
    world.say("Quanto custa um bolo de 2 kg?").await?;
    // The small picture is made, and loads under the page's policy.
    world.see(".bubble.mine .received img", "").await;
    let loaded =
        "const image = document.querySelector('.received img'); return image !== null && image.naturalWidth";
    recado_testkit::eventually(std::time::Duration::from_secs(40), async || {
        let width = world.js(loaded).await.ok()?;
        (width.as_i64() == Some(1)).then_some(())
    })
    .await;
    assert_eq!(
        world.attribute("#file", "value").await?,
        "",
        "the file is not sent twice"
    );
    world.photograph("phone-attachments").await?;
    world.stand_with_a_telephone().await?;
    assert_eq!(world.overflow().await?, serde_json::Value::Null);
    world.end().await
}
