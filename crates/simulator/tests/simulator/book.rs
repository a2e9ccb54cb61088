//! What a simulator remembers after its death.

use recado_simulator::{CallbackFaults, Faults};
use serde_json::json;

use crate::receiver::Receiver;
use crate::world::{ACCOUNT, CONTACT, OURS, World};

#[tokio::test]
async fn a_restarted_simulator_remembers_messages_requests_and_deliveries() -> anyhow::Result<()> {
    let world = World::start().await?;
    let mut receiver = Receiver::start().await?;
    let callback = receiver.url("/status");
    let form = [
        ("To", CONTACT),
        ("From", OURS),
        ("Body", "1"),
        ("StatusCallback", &callback),
    ];
    world.create(&form).await?;
    assert_eq!(receiver.statuses(2).await?, ["sent", "delivered"]);
    world.see(|book| book.deliveries().len() == 2).await?;
    let (messages, requests, deliveries) = {
        let book = world.simulator.book();
        (book.messages(), book.requests(), book.deliveries())
    };

    let world = world.restart().await?;
    let book = world.simulator.book();
    assert_eq!(book.messages(), messages);
    assert_eq!(book.requests(), requests);
    assert_eq!(book.deliveries(), deliveries);
    world.send("2").await?;
    let listed = world.list("").await?;
    let bodies = [&listed["messages"][0]["body"], &listed["messages"][1]["body"]];
    assert_eq!(bodies, [&json!("2"), &json!("1")]);
    assert_eq!(receiver.waiting(), 0, "a finished message is not told of again");
    Ok(())
}

#[tokio::test]
async fn a_message_on_its_way_arrives_after_a_restart() -> anyhow::Result<()> {
    let world = World::start().await?;
    let mut receiver = Receiver::start().await?;
    let callbacks = CallbackFaults {
        delay_ms: 3_600_000,
        ..CallbackFaults::default()
    };
    world.simulator.set_faults(Faults {
        callbacks,
        ..Faults::default()
    });
    let callback = receiver.url("/status");
    let form = [
        ("To", CONTACT),
        ("From", OURS),
        ("Body", "1"),
        ("StatusCallback", &callback),
    ];
    world.create(&form).await?;

    let world = world.restart().await?;
    assert_eq!(receiver.statuses(2).await?, ["sent", "delivered"]);
    let message = world.simulator.book().outbound_to(CONTACT).remove(0);
    let statuses: Vec<_> = message
        .statuses
        .iter()
        .map(|change| change.status.as_str())
        .collect();
    assert_eq!(statuses, ["queued", "sent", "delivered"]);
    Ok(())
}

#[tokio::test]
async fn requests_are_recorded_with_their_parameters_and_without_credentials() -> anyhow::Result<()> {
    let world = World::start().await?;
    world
        .create(&[
            ("To", CONTACT),
            ("From", OURS),
            ("MediaUrl", "http://a"),
            ("MediaUrl", "http://b"),
        ])
        .await?;
    let requests = world.simulator.book().requests();
    let [request] = requests.as_slice() else {
        panic!("{requests:?}")
    };
    assert_eq!(request.method, "POST");
    assert_eq!(
        request.path,
        format!("/2010-04-01/Accounts/{ACCOUNT}/Messages.json")
    );
    let expected = json!({"To": CONTACT, "From": OURS, "MediaUrl": ["http://a", "http://b"]});
    assert_eq!(request.params, expected);
    assert_eq!(
        world.simulator.book().messages()[0].media,
        ["http://a", "http://b"]
    );
    Ok(())
}
