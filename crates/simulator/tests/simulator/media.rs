//! What is attached to messages.

use recado_simulator::{Faults, Inbound, MediaFaults};
use reqwest::header::LOCATION;

use crate::receiver::Receiver;
use crate::world::{ACCOUNT, CONTACT, TOKEN, World};

#[tokio::test]
async fn a_file_is_behind_credentials_and_a_redirect_that_takes_none() -> anyhow::Result<()> {
    let world = World::start().await?;
    let mut receiver = Receiver::start().await?;
    world.simulator.set_webhook(ACCOUNT, receiver.url("/in"))?;
    let picture = world.simulator.put_media("image/gif", b"GIF89a")?;
    let inbound = Inbound {
        account: ACCOUNT.to_owned(),
        from: format!("whatsapp:{CONTACT}"),
        media: vec![picture],
        voice: Some("olá".to_owned()),
        ..Inbound::default()
    };
    world.simulator.send_inbound(inbound).await?;
    let post = receiver.next().await?;
    let told = |name: &str| post.field(name).to_owned();
    assert_eq!(
        (told("NumMedia").as_str(), told("MessageType").as_str()),
        ("2", "image")
    );
    assert_eq!(told("MediaContentType0"), "image/gif");
    assert_eq!(told("MediaContentType1"), "audio/ogg");
    let url = told("MediaUrl0");
    assert!(url.starts_with(world.simulator.url()), "{url}");

    let http = reqwest::Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .build()?;
    assert_eq!(http.get(&url).send().await?.status(), 401);
    let others = http.get(&url).basic_auth("AC_other", Some("other"));
    assert_eq!(others.send().await?.status(), 401);
    let ours = || http.get(&url).basic_auth(ACCOUNT, Some(TOKEN)).send();
    world.simulator.set_faults(Faults {
        media: MediaFaults {
            status: Some(404),
            times: Some(1),
            ..MediaFaults::default()
        },
        ..Faults::default()
    });
    assert_eq!(ours().await?.status(), 404, "not yet");
    let redirect = ours().await?;
    assert_eq!(redirect.status(), 307);
    let there = redirect.headers()[LOCATION].to_str()?.to_owned();
    assert!(there.starts_with("http://localhost:"), "another host: {there}");
    assert_eq!(http.get(&there).send().await?.bytes().await?, &b"GIF89a"[..]);
    let twice = http.get(&there).basic_auth(ACCOUNT, Some(TOKEN)).send().await?;
    assert_eq!(twice.status(), 400);
    let forged = there.replace("signature=", "signature=x");
    assert_eq!(http.get(&forged).send().await?.status(), 403);
    Ok(())
}
