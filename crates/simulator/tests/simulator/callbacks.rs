//! Status callbacks.

use recado_simulator::{CallbackFaults, Faults};

use crate::receiver::Receiver;
use crate::world::{CONTACT, OURS, World};

async fn send(world: &World, prefix: &str, callback: &str) -> anyhow::Result<()> {
    let (to, from) = (format!("{prefix}{CONTACT}"), format!("{prefix}{OURS}"));
    let form = [
        ("To", &*to),
        ("From", &*from),
        ("Body", "x"),
        ("StatusCallback", callback),
    ];
    let answer = world.create(&form).await?;
    anyhow::ensure!(answer.status() == 201, "{}", answer.status());
    Ok(())
}

fn set(world: &World, callbacks: CallbackFaults) {
    world.simulator.set_faults(Faults {
        callbacks,
        ..Faults::default()
    });
}

#[tokio::test]
async fn callbacks_come_in_order_and_signed_and_whatsapp_is_read() -> anyhow::Result<()> {
    let world = World::start().await?;
    let mut receiver = Receiver::start().await?;
    send(&world, "whatsapp:", &receiver.url("/status?token=a%20b#rc=2")).await?;

    let base = receiver.url("");
    for status in ["sent", "delivered", "read"] {
        let post = receiver.next().await?;
        assert_eq!(post.field("MessageStatus"), status);
        assert_eq!(post.field("To"), format!("whatsapp:{CONTACT}"));
        assert_eq!(post.path, "/status?token=a%20b");
        assert!(post.is_signed_for(&base), "{status}");
    }
    let sms = receiver.url("/sms");
    send(&world, "", &sms).await?;
    assert_eq!(receiver.statuses(2).await?, ["sent", "delivered"]);
    world.see(|book| book.deliveries().len() == 5).await?;
    assert_eq!(receiver.waiting(), 0);
    Ok(())
}

#[tokio::test]
async fn callbacks_are_doubled_shuffled_or_left_out_when_told() -> anyhow::Result<()> {
    let world = World::start().await?;
    let mut receiver = Receiver::start().await?;
    let url = receiver.url("/status");

    set(
        &world,
        CallbackFaults {
            doubled: true,
            ..CallbackFaults::default()
        },
    );
    send(&world, "", &url).await?;
    assert_eq!(
        receiver.statuses(4).await?,
        ["sent", "sent", "delivered", "delivered"]
    );

    set(
        &world,
        CallbackFaults {
            shuffled: true,
            ..CallbackFaults::default()
        },
    );
    send(&world, "", &url).await?;
    assert_eq!(receiver.statuses(2).await?, ["delivered", "sent"]);

    set(
        &world,
        CallbackFaults {
            undelivered: Some(30005),
            ..CallbackFaults::default()
        },
    );
    send(&world, "", &url).await?;
    assert_eq!(receiver.next().await?.field("MessageStatus"), "sent");
    let last = receiver.next().await?;
    assert_eq!(
        (last.field("MessageStatus"), last.field("ErrorCode")),
        ("undelivered", "30005")
    );

    set(
        &world,
        CallbackFaults {
            none: true,
            ..CallbackFaults::default()
        },
    );
    send(&world, "", &url).await?;
    world
        .see(|book| book.outbound_to(CONTACT).iter().all(|m| m.sent().is_some()))
        .await?;
    assert_eq!(world.simulator.book().deliveries().len(), 8);
    assert_eq!(receiver.waiting(), 0);
    Ok(())
}

#[tokio::test]
async fn a_refused_callback_is_repeated_only_if_its_url_asks() -> anyhow::Result<()> {
    let world = World::start().await?;
    let mut receiver = Receiver::start().await?;
    set(
        &world,
        CallbackFaults {
            failed: Some(30008),
            ..CallbackFaults::default()
        },
    );

    receiver.answer(&[503]);
    send(&world, "", &receiver.url("/once")).await?;
    assert_eq!(receiver.next().await?.field("MessageStatus"), "failed");

    receiver.answer(&[503, 503]);
    send(&world, "", &receiver.url("/again#rc=5&rp=5xx")).await?;
    let mut tokens = Vec::new();
    for _ in 0..3 {
        let post = receiver.next().await?;
        assert_eq!(post.path, "/again");
        tokens.push(post.token);
    }
    assert!(
        tokens
            .iter()
            .all(|token| *token == tokens[0] && !token.is_empty()),
        "{tokens:?}"
    );

    world.see(|book| book.deliveries().len() == 4).await?;
    let answers: Vec<_> = world
        .simulator
        .book()
        .deliveries()
        .iter()
        .map(|d| (d.attempt, d.answer))
        .collect();
    assert_eq!(
        answers,
        [(1, Some(503)), (1, Some(503)), (2, Some(503)), (3, Some(200))]
    );
    Ok(())
}
