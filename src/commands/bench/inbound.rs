//! The whole pipeline: a signed webhook, six activities, and an answer in the simulated Twilio's book.
use std::time::{Duration, Instant};

use anyhow::Context as _;
use chrono::{TimeDelta, Utc};
use recado_engine::Workflow;
use recado_workflows::InboundMessage;

use super::{
    contacts::Contacts,
    figures::Figures,
    load::{Load, millis},
    world::World,
};

/// No message may wait longer for its answer.
const PATIENCE: Duration = Duration::from_secs(120);

pub(super) async fn measure(world: &mut World, load: &Load) -> anyhow::Result<Figures> {
    let contacts = world.contacts(load.count);
    let before = world.reading().await?;
    let (times, took) = load
        .run(|number, begun| one(world, &contacts, number, begun))
        .await?;
    let (acknowledged, answered) = times.into_iter().unzip();
    let times = vec![("ack", acknowledged), ("answered", answered)];
    let mut figures = world.figures("inbound", load, before, took, times).await?;
    // A run is closed after its answer, and a second answer would come from its end.
    world
        .require_ended(InboundMessage::NAME, &contacts.keys(), load.count)
        .await?;
    world.book().catch_up().await;
    for number in 0..load.count {
        let sent = world.book().sent_to(&contacts.address(number));
        anyhow::ensure!(sent == 1, "a message was answered {sent} times");
    }
    figures.more = world.waits(InboundMessage::NAME, &contacts.keys()).await?;
    Ok(figures)
}

/// A message, until it is acknowledged and until it is answered, in milliseconds.
pub(super) async fn one(
    world: &World,
    contacts: &Contacts,
    number: u64,
    begun: Instant,
) -> anyhow::Result<(f64, f64)> {
    let began = Utc::now() - TimeDelta::from_std(begun.elapsed())?;
    let answered = world.book().answer_to(&contacts.address(number));
    contacts.write(number).await?;
    let acknowledged = millis(begun);
    let answered = tokio::time::timeout(PATIENCE, answered)
        .await
        .context("a message was not answered within two minutes")?
        .context("the book of the simulated Twilio cannot be read")?;
    Ok((acknowledged, (answered - began).as_seconds_f64() * 1e3))
}
