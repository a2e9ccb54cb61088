//! Lists, their filters and pages.

use chrono::{TimeDelta, Utc};
use recado_simulator::{CallbackFaults, Faults, Inbound};
use serde_json::Value;

use crate::receiver::Receiver;
use crate::world::{ACCOUNT, CONTACT, OURS, World};

fn bodies(page: &Value) -> Vec<&str> {
    let messages = page["messages"].as_array();
    messages
        .into_iter()
        .flatten()
        .filter_map(|message| message["body"].as_str())
        .collect()
}

#[tokio::test]
async fn pages_follow_each_other_and_new_messages_do_not_shift_them() -> anyhow::Result<()> {
    let world = World::start().await?;
    for number in 1..=5 {
        world.send(&number.to_string()).await?;
    }
    let first = world.list("PageSize=2&To=%2B5511987654321").await?;
    assert_eq!(bodies(&first), ["5", "4"]);
    assert_eq!(first["previous_page_uri"], Value::Null);

    world.send("6").await?;
    let second = world
        .get(first["next_page_uri"].as_str().unwrap_or_default())
        .await?;
    assert_eq!(bodies(&second), ["3", "2"]);
    assert_eq!((&second["page"], &second["start"]), (&1.into(), &2.into()));
    let third = world
        .get(second["next_page_uri"].as_str().unwrap_or_default())
        .await?;
    assert_eq!(bodies(&third), ["1"]);
    assert_eq!(third["next_page_uri"], Value::Null);
    Ok(())
}

#[tokio::test]
async fn lists_are_narrowed_by_both_addresses_and_show_one_account() -> anyhow::Result<()> {
    let world = World::start().await?;
    let mut receiver = Receiver::start().await?;
    world.simulator.set_webhook(ACCOUNT, receiver.url("/in"))?;
    world.send("to the contact").await?;
    world
        .create(&[("To", "+5511900000000"), ("From", OURS), ("Body", "elsewhere")])
        .await?;
    let inbound = Inbound {
        account: ACCOUNT.to_owned(),
        from: CONTACT.to_owned(),
        body: "from the contact".to_owned(),
        ..Inbound::default()
    };
    world.simulator.send_inbound(inbound).await?;
    receiver.next().await?;

    let contact = "%2B5511987654321";
    assert_eq!(
        bodies(&world.list(&format!("To={contact}")).await?),
        ["to the contact"]
    );
    assert_eq!(
        bodies(&world.list(&format!("From={contact}")).await?),
        ["from the contact"]
    );
    let pair = format!("To={contact}&From=%2B14155550100");
    assert_eq!(bodies(&world.list(&pair).await?), ["to the contact"]);
    let nobody = format!("To={contact}&From={contact}");
    assert!(bodies(&world.list(&nobody).await?).is_empty());
    assert_eq!(bodies(&world.list("").await?).len(), 3);

    let url = world.url("/2010-04-01/Accounts/AC_other/Messages.json");
    let other = world
        .http
        .get(url)
        .basic_auth("AC_other", Some("other"))
        .send()
        .await?;
    assert!(bodies(&other.json().await?).is_empty());
    Ok(())
}

#[tokio::test]
async fn dates_are_compared_by_the_second_and_the_day() -> anyhow::Result<()> {
    let world = World::start().await?;
    let before = Utc::now();
    world.send("now").await?;
    let after = Utc::now();
    let list = async |query: String| anyhow::Ok(bodies(&world.list(&query).await?).len());
    let stamp = |at: chrono::DateTime<Utc>| at.format("%Y-%m-%dT%H:%M:%SZ").to_string();
    let (hour, day) = (TimeDelta::hours(1), TimeDelta::days(1));

    assert_eq!(list(format!("DateSent%3E={}", stamp(before))).await?, 1);
    assert_eq!(list(format!("DateSent%3C={}", stamp(after))).await?, 1);
    assert_eq!(list(format!("DateSent%3E={}", stamp(after + hour))).await?, 0);
    assert_eq!(list(format!("DateSent%3C={}", stamp(before - hour))).await?, 0);
    // As a person would type it into an address.
    assert_eq!(list(format!("DateSent>={}", before.date_naive())).await?, 1);
    let days = (list(format!("DateSent={}", before.date_naive())).await?)
        + (list(format!("DateSent={}", (before + day).date_naive())).await?);
    assert_eq!(
        days, 1,
        "the message is of one day, today or, at midnight, tomorrow"
    );

    let refused = world.list("DateSent=yesterday").await?;
    assert_eq!(refused["code"], 20001);
    Ok(())
}

#[tokio::test]
async fn a_message_not_sent_yet_is_listed_but_has_no_date() -> anyhow::Result<()> {
    let world = World::start().await?;
    let callbacks = CallbackFaults {
        delay_ms: 3_600_000,
        ..CallbackFaults::default()
    };
    world.simulator.set_faults(Faults {
        callbacks,
        ..Faults::default()
    });
    world.send("waiting").await?;

    let listed = world.list("").await?;
    assert_eq!(bodies(&listed), ["waiting"]);
    assert_eq!(listed["messages"][0]["date_sent"], Value::Null);
    assert!(bodies(&world.list("DateSent%3E=2000-01-01").await?).is_empty());
    Ok(())
}

#[tokio::test]
async fn a_lag_hides_new_messages_from_lists_but_not_from_those_who_know_them() -> anyhow::Result<()> {
    let world = World::start().await?;
    world.simulator.set_faults(Faults {
        listing_lag_ms: 3_600_000,
        ..Faults::default()
    });
    let created = world.send("hidden").await?;
    assert!(bodies(&world.list("").await?).is_empty());
    let fetched = world.get(created["uri"].as_str().unwrap_or_default()).await?;
    assert_eq!(fetched["body"], "hidden");

    world.simulator.set_faults(Faults::default());
    assert_eq!(bodies(&world.list("").await?), ["hidden"]);
    Ok(())
}
