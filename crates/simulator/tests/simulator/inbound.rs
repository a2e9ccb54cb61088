//! Messages from contacts.

use recado_simulator::{Inbound, InboundError};
use serde_json::{Value, json};

use crate::receiver::Receiver;
use crate::world::{ACCOUNT, CONTACT, OURS, World};

fn inbound(body: &str) -> Inbound {
    Inbound {
        account: ACCOUNT.to_owned(),
        from: format!("whatsapp:{CONTACT}"),
        body: body.to_owned(),
        profile_name: Some("Ana".to_owned()),
        ..Inbound::default()
    }
}

#[tokio::test]
async fn an_inbound_message_arrives_signed_with_the_documented_fields() -> anyhow::Result<()> {
    let world = World::start().await?;
    let mut receiver = Receiver::start().await?;
    world
        .simulator
        .set_webhook(ACCOUNT, receiver.url("/in?x=1#rc=3&rp=all"))?;
    let extra = vec![("NeverSeen".to_owned(), "yes".to_owned())];
    let received = world
        .simulator
        .send_inbound(Inbound {
            extra,
            ..inbound("olá")
        })
        .await?;
    assert!(received.is_accepted());

    let post = receiver.next().await?;
    assert_eq!(post.path, "/in?x=1");
    assert!(post.is_signed_for(&receiver.url("")));
    let (from, to) = (format!("whatsapp:{CONTACT}"), format!("whatsapp:{OURS}"));
    for (field, expected) in [
        ("MessageSid", &*received.sid),
        ("SmsSid", &received.sid),
        ("SmsMessageSid", &received.sid),
        ("AccountSid", ACCOUNT),
        ("From", &from),
        ("To", &to),
        ("Body", "olá"),
        ("NumMedia", "0"),
        ("NumSegments", "1"),
        ("ProfileName", "Ana"),
        ("WaId", "5511987654321"),
        ("ApiVersion", "2010-04-01"),
        ("NeverSeen", "yes"),
    ] {
        assert_eq!(post.field(field), expected, "{field}");
    }
    assert!(post.fields().len() == post.form.len(), "no field comes twice");
    Ok(())
}

#[tokio::test]
async fn the_fragment_decides_what_is_retried() -> anyhow::Result<()> {
    let world = World::start().await?;
    let mut receiver = Receiver::start().await?;

    world.simulator.set_webhook(ACCOUNT, receiver.url("/in"))?;
    receiver.answer(&[503]);
    let received = world.simulator.send_inbound(inbound("1")).await?;
    assert_eq!((received.attempts.len(), received.status()), (1, Some(503)));

    world
        .simulator
        .set_webhook(ACCOUNT, receiver.url("/in#rc=2&rp=all"))?;
    receiver.answer(&[503, 404, 500]);
    let received = world.simulator.send_inbound(inbound("2")).await?;
    assert_eq!((received.attempts.len(), received.status()), (3, Some(500)));

    world
        .simulator
        .set_webhook(ACCOUNT, receiver.url("/in#rc=5&rp=ct"))?;
    receiver.answer(&[503]);
    let received = world.simulator.send_inbound(inbound("3")).await?;
    assert_eq!(received.attempts.len(), 1);

    receiver.next().await?;
    let tokens = [
        receiver.next().await?,
        receiver.next().await?,
        receiver.next().await?,
    ];
    assert!(tokens.iter().all(|post| post.token == tokens[0].token));
    assert_ne!(receiver.next().await?.token, tokens[0].token);
    Ok(())
}

#[tokio::test]
async fn a_connection_that_fails_is_tried_once_more_by_default() -> anyhow::Result<()> {
    let world = World::start().await?;
    // A port that was free a moment ago.
    let closed = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    world
        .simulator
        .set_webhook(ACCOUNT, format!("http://{closed}/in"))?;
    let received = world.simulator.send_inbound(inbound("lost")).await?;
    assert_eq!((received.attempts.len(), received.status()), (2, None));
    let listed = world.list("").await?;
    assert_eq!(listed["messages"][0]["body"], "lost");
    assert_eq!(listed["messages"][0]["direction"], "inbound");
    assert_eq!(listed["messages"][0]["status"], "received");
    Ok(())
}

#[tokio::test]
async fn one_sid_delivered_many_times_at_once_is_one_message() -> anyhow::Result<()> {
    let world = World::start().await?;
    let mut receiver = Receiver::start().await?;
    world.simulator.set_webhook(ACCOUNT, receiver.url("/in"))?;
    let again = Inbound {
        sid: Some("SM_chosen".to_owned()),
        ..inbound("once")
    };
    let all = (0..8).map(|_| world.simulator.send_inbound(again.clone()));
    for received in futures::future::join_all(all).await {
        assert!(received?.is_accepted());
        assert_eq!(receiver.next().await?.field("MessageSid"), "SM_chosen");
    }
    assert_eq!(world.simulator.book().message_count(), 1);
    Ok(())
}

#[tokio::test]
async fn what_cannot_be_sent_is_said_and_nothing_is_written() -> anyhow::Result<()> {
    let world = World::start().await?;
    let no_webhook = world.simulator.send_inbound(inbound("x")).await;
    assert!(matches!(no_webhook, Err(InboundError::NoWebhook(_))));
    let unnamed = Inbound {
        account: String::new(),
        ..inbound("x")
    };
    let ambiguous = world.simulator.send_inbound(unnamed).await;
    assert!(matches!(ambiguous, Err(InboundError::Account(_))));
    world.simulator.set_webhook(ACCOUNT, "http://127.0.0.1:9/")?;
    let nobody = Inbound {
        from: "Ana".to_owned(),
        ..inbound("x")
    };
    let bad = world.simulator.send_inbound(nobody).await;
    assert!(matches!(bad, Err(InboundError::Address { field: "from" })));
    assert_eq!(world.simulator.book().message_count(), 0);
    Ok(())
}

#[tokio::test]
async fn a_page_sends_a_message_over_http() -> anyhow::Result<()> {
    let world = World::start().await?;
    let mut receiver = Receiver::start().await?;
    world.simulator.set_webhook(ACCOUNT, receiver.url("/in"))?;
    let url = world.url("/_simulator/inbound");
    let post = |body: Value| world.http.post(&url).json(&body).send();

    let sent = post(json!({"account": ACCOUNT, "from": CONTACT, "body": "hi"})).await?;
    assert_eq!(sent.status(), 200);
    let sent: Value = sent.json().await?;
    assert_eq!(sent["attempts"][0]["answer"], 200);
    assert_eq!(
        receiver.next().await?.field("MessageSid"),
        sent["sid"].as_str().unwrap_or("-")
    );

    assert_eq!(
        post(json!({"account": ACCOUNT, "from": "Ana"})).await?.status(),
        422
    );
    assert_eq!(
        post(json!({"account": ACCOUNT, "fron": CONTACT})).await?.status(),
        422
    );
    let foreign = world
        .http
        .post(&url)
        .body(r#"{"from":"+5511987654321"}"#)
        .send()
        .await?;
    assert_eq!(foreign.status(), 415);
    Ok(())
}
