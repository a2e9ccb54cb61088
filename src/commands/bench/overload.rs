//! More than can be done at once: a backlog, twice the messages that can be answered, and an owner who has nothing to do
//! with either.
use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use recado_engine::Workflow;
use recado_workflows::InboundMessage;

use super::{ack, cast::OTHER, copies::Template, figures::Figures, inbound, load::Load, world::World};

/// How much of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Storm {
    /// How many messages wait when it begins.
    pub(super) backlog: u64,
    /// For how many seconds webhooks come at twice the peak rate.
    pub(super) seconds: u64,
}

/// How often somebody of the other owner writes.
const FEW: u64 = 4;
/// How long the backlog is watched afterwards.
const WATCHED: Duration = Duration::from_secs(10);

pub(super) async fn measure(world: &mut World, load: &Load, storm: Storm) -> anyhow::Result<Vec<Figures>> {
    let contacts = world.contacts(load.count);
    let (begun, calm) = (Instant::now(), Load { rate: None, ..*load });
    calm.run(|number, begun| inbound::one(world, &contacts, number, begun))
        .await?;
    let peak = load.count as f64 / begun.elapsed().as_secs_f64();
    world
        .require_ended(InboundMessage::NAME, &contacts.keys(), load.count)
        .await?;
    world
        .require_reported(InboundMessage::NAME, &contacts.keys())
        .await?;
    let before = world.resident();
    let mut template = Template::of(world, &contacts).await?;
    template.add_backlog(world, storm.backlog).await?;

    let rate = ((peak * 2.0) as u64).max(1);
    let many = Load {
        count: rate * storm.seconds,
        rate: Some(rate),
        ..*load
    };
    let few = Load {
        count: FEW * storm.seconds,
        rate: Some(FEW),
        ..*load
    };
    let (theirs, others) = (world.contacts(many.count), world.contacts_of(OTHER, few.count));
    let over = AtomicBool::new(false);
    let (flood, fair, oldest) = tokio::join!(
        async {
            let figures = ack::acknowledge(world, &theirs, &many).await;
            over.store(true, Ordering::Relaxed);
            figures
        },
        async {
            let reading = world.reading().await?;
            let (times, took) = few
                .run(|number, begun| inbound::one(world, &others, number, begun))
                .await?;
            let (acknowledged, answered) = times.into_iter().unzip();
            let times = vec![("ack", acknowledged), ("answered", answered)];
            world.figures("overload", &few, reading, took, times).await
        },
        watch(world, &over),
    );
    let (flood, fair) = (
        flood?.of_part("overload", "webhooks"),
        fair?.of_part("overload", "another owner"),
    );
    let mut told = oldest?;
    told.insert(0, ("peak_per_second".to_owned(), peak));
    if let Some(drained) = drain(world).await? {
        told.push(("drained_per_second".to_owned(), drained));
    }
    for (name, mebibytes) in &before {
        told.push((format!("resident_before_mib_{name}"), *mebibytes));
    }
    world.require_alive()?;
    let backlog = Figures {
        resident: world.resident(),
        ..Figures::told("overload", "backlog", told)
    };
    Ok(vec![flood, fair, backlog])
}

/// The most that waited and how long the oldest had, as an operator sees it, until it is over.
async fn watch(world: &World, over: &AtomicBool) -> anyhow::Result<Vec<(String, f64)>> {
    let (mut queued, mut oldest, mut slowest) = (0.0_f64, 0.0_f64, Duration::ZERO);
    loop {
        let asked = Instant::now();
        let told = world
            .gauges(&[
                "recado_runs_open{state=\"queued\"}",
                "recado_runs_oldest_queued_seconds",
            ])
            .await?;
        slowest = slowest.max(asked.elapsed());
        queued = queued.max(told[0]);
        oldest = oldest.max(told[1]);
        if over.load(Ordering::Relaxed) {
            return Ok(vec![
                ("most_queued".to_owned(), queued),
                ("oldest_queued_seconds".to_owned(), oldest),
                ("slowest_metrics_ms".to_owned(), slowest.as_secs_f64() * 1e3),
            ]);
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

/// How many runs a second end while nothing new comes and some are left to begin with.
async fn drain(world: &World) -> anyhow::Result<Option<f64>> {
    let ended = async || Ok::<_, anyhow::Error>(world.metric(&["recado_runs_finished_total"]).await?[0]);
    let left = async || {
        Ok::<_, anyhow::Error>(world.gauges(&["recado_runs_open{state=\"queued\"}"]).await?[0] > 0.0)
    };
    let (before, begun) = (ended().await?, Instant::now());
    let mut some_left = left().await?;
    if !some_left {
        return Ok(None);
    }
    while some_left && begun.elapsed() < WATCHED {
        tokio::time::sleep(Duration::from_millis(200)).await;
        some_left = left().await?;
    }
    Ok(Some((ended().await? - before) / begun.elapsed().as_secs_f64()))
}
