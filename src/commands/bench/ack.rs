//! Signed webhooks only until they are acknowledged; the answers go on behind.
use recado_engine::Workflow;
use recado_workflows::InboundMessage;

use super::{
    contacts::Contacts,
    figures::Figures,
    load::{Load, millis},
    world::World,
};

pub(super) async fn measure(world: &mut World, load: &Load) -> anyhow::Result<Figures> {
    let contacts = world.contacts(load.count);
    let figures = acknowledge(world, &contacts, load).await?;
    // The next measurement begins with nothing left to do.
    world
        .require_ended(InboundMessage::NAME, &contacts.keys(), load.count)
        .await?;
    Ok(figures)
}

/// Posts them, and requires at once that every one that was acknowledged has its run in the database.
///
/// # Errors
/// When one is not acknowledged, or has no run.
pub(super) async fn acknowledge(world: &World, contacts: &Contacts, load: &Load) -> anyhow::Result<Figures> {
    let before = world.reading().await?;
    let (times, took) = load
        .run(async |number, begun| {
            contacts.write(number).await?;
            Ok(millis(begun))
        })
        .await?;
    let found = world.count_runs(InboundMessage::NAME, &contacts.keys()).await?;
    anyhow::ensure!(
        found == load.count,
        "{} messages were acknowledged, and {found} have a run",
        load.count
    );
    world.figures("ack", load, before, took, vec![("", times)]).await
}
