//! Whether it stays fast as the tables grow: the same measurements at two sizes of the history, and what a message, and
//! a run that waits, cost to keep.
use std::{
    path::Path,
    time::{Duration, Instant},
};

use recado_engine::Workflow;
use recado_workflows::InboundMessage;
use sea_orm::DbBackend;
use tokio::process::Command;

use super::{
    ack,
    copies::Template,
    figures::Figures,
    filters, inbound,
    load::{Load, millis},
    usage, wakeup,
    world::World,
};

/// The two sizes, and how many runs sleep for the look at idle processes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sizes {
    pub(super) from: u64,
    pub(super) to: u64,
    pub(super) waiting: u64,
}

/// How often each list is asked for.
const LISTS: usize = 50;
/// For how long idle processes are looked at.
const IDLE: Duration = Duration::from_secs(10);
/// What stays free of a disk, in bytes.
const SPARE: u64 = 2 << 30;
/// What a copied message may take on the disk while it is copied, write-ahead log included, times its size afterwards.
const WHILE_COPIED: u64 = 2;

pub(super) async fn measure(world: &mut World, load: &Load, sizes: Sizes) -> anyhow::Result<Vec<Figures>> {
    let before = size(world).await?;
    let contacts = world.contacts(load.count);
    load.run(|number, begun| inbound::one(world, &contacts, number, begun))
        .await?;
    world
        .require_ended(InboundMessage::NAME, &contacts.keys(), load.count)
        .await?;
    world
        .require_reported(InboundMessage::NAME, &contacts.keys())
        .await?;
    let really = size(world).await?.saturating_sub(before) / load.count;
    let mut template = Template::of(world, &contacts).await?;
    let finished = finished(world).await?;
    refuse_if_full(world, sizes.to.saturating_sub(finished) * really.max(1)).await?;

    grow(world, &mut template, finished, sizes.from).await?;
    let small = at_size(world, load, sizes.from, &template.contact).await?;
    let memory = world.resident();
    let (before, held) = (size(world).await?, self::finished(world).await?);
    grow(world, &mut template, held, sizes.to).await?;
    let copied =
        (size(world).await?.saturating_sub(before)) as f64 / sizes.to.saturating_sub(held).max(1) as f64;
    let large = at_size(world, load, sizes.to, &template.contact).await?;

    let mut told = vec![
        ("bytes_per_message".to_owned(), really as f64),
        ("bytes_per_copied_message".to_owned(), copied),
    ];
    for (name, mebibytes) in &memory {
        told.push((format!("resident_before_mib_{name}"), *mebibytes));
    }
    let size = Figures {
        resident: world.resident(),
        ..Figures::told("growth", "size", told)
    };
    let ratios = ratios(&small, &large);
    let mut all = small;
    all.extend(large);
    all.extend([ratios, size, idle(world, &mut template, sizes.waiting).await?]);
    Ok(all)
}

/// Starting, claiming, listing and answering.
async fn at_size(world: &mut World, load: &Load, size: u64, contact: &str) -> anyhow::Result<Vec<Figures>> {
    let part = |what: &str| format!("{what} at {size}");
    Ok(vec![
        ack::measure(world, load).await?.of_part("growth", part("start")),
        wakeup::first_steps(world, load)
            .await?
            .of_part("growth", part("claim")),
        lists(world).await?.of_part("growth", part("list")),
        filters::measure(world, contact)
            .await?
            .of_part("growth", part("filter")),
        inbound::measure(world, load)
            .await?
            .of_part("growth", part("inbound")),
    ])
}

/// Pages of runs, as the API answers them.
async fn lists(world: &World) -> anyhow::Result<Figures> {
    let mut times = Vec::new();
    for (what, query) in [
        ("all", ""),
        ("completed", "?state=completed"),
        ("of_owner", "?owner=default"),
        ("queued", "?state=queued"),
    ] {
        let mut took = Vec::new();
        for _ in 0..LISTS {
            let begun = Instant::now();
            let answer = world.get(&format!("/runs{query}")).send().await?;
            anyhow::ensure!(answer.status() == 200, "a list was answered {}", answer.status());
            answer.bytes().await?;
            took.push(millis(begun));
        }
        times.push((what, took));
    }
    Ok(Figures {
        times,
        ..Figures::default()
    })
}

/// How many times as long everything takes with the larger history.
fn ratios(small: &[Figures], large: &[Figures]) -> Figures {
    let mut ratios = Vec::new();
    for (small, large) in small.iter().zip(large) {
        let part = small.part.as_deref().and_then(|part| part.split(' ').next());
        for ((name, before), (_, after)) in small.named().iter().zip(large.named()) {
            if name.ends_with("p50_ms") || name.ends_with("p99_ms") {
                ratios.push((
                    format!("{}_{name}_ratio", part.unwrap_or_default()),
                    after / before,
                ));
            }
        }
    }
    Figures::told("growth", "ratio", ratios)
}

/// What processes that have nothing to do use, with so many runs that sleep.
async fn idle(world: &World, template: &mut Template, waiting: u64) -> anyhow::Result<Figures> {
    template.add_waiting(world, waiting).await?;
    tend(world).await?;
    // What was written is brought into place, and is no idling.
    tokio::time::sleep(IDLE / 3).await;
    let (before, begun) = (world.cpu(), Instant::now());
    tokio::time::sleep(IDLE).await;
    let used = usage::between(&before, &world.cpu());
    let shares = used.iter().map(|(name, seconds)| {
        (
            format!("{name}_percent"),
            seconds / begun.elapsed().as_secs_f64() * 100.0,
        )
    });
    let told = Figures::told("growth", "idle", shares.collect());
    Ok(Figures {
        resident: world.resident(),
        ..told.and("waiting", waiting as f64)
    })
}

async fn grow(world: &World, template: &mut Template, held: u64, wanted: u64) -> anyhow::Result<()> {
    template.add_finished(world, wanted.saturating_sub(held)).await?;
    tend(world).await
}

/// What the server does by itself in a history that grew slowly.
async fn tend(world: &World) -> anyhow::Result<()> {
    if world.backend() == DbBackend::Postgres {
        world.execute("vacuum analyze", vec![]).await?;
    }
    Ok(())
}

async fn finished(world: &World) -> anyhow::Result<u64> {
    let sql = "select count(*) as n from runs where finished_at is not null";
    Ok(world.one(sql, vec![]).await?.try_get::<i64>("", "n")? as u64)
}

/// The database with its indexes, in bytes.
async fn size(world: &World) -> anyhow::Result<u64> {
    let sql = match world.backend() {
        DbBackend::Postgres => "select pg_database_size(current_database()) as n",
        _ => "select page_count * page_size as n from pragma_page_count, pragma_page_size",
    };
    Ok(world.one(sql, vec![]).await?.try_get::<i64>("", "n")? as u64)
}

/// Tells how much room there is, and refuses where `bytes` more would not fit.
async fn refuse_if_full(world: &World, bytes: u64) -> anyhow::Result<()> {
    let place: Option<String> = match world.backend() {
        // Only an administrator is told where the server keeps it; and it may be on another machine.
        DbBackend::Postgres => {
            let asked = world
                .one("select current_setting('data_directory') as place", vec![])
                .await;
            asked.ok().and_then(|row| row.try_get("", "place").ok())
        }
        _ => Some(std::env::temp_dir().display().to_string()),
    };
    let free = match place.filter(|place| Path::new(place).exists()) {
        Some(place) => free(&place).await,
        None => None,
    };
    let needed = bytes * WHILE_COPIED;
    let Some(free) = free else {
        crate::tell(&format!(
            "needs about {} MiB where the database is; how much is free there is not known",
            needed >> 20
        ));
        return Ok(());
    };
    crate::tell(&format!(
        "needs about {} MiB of the {} MiB that are free",
        needed >> 20,
        free >> 20
    ));
    anyhow::ensure!(
        free > needed + SPARE,
        "there is not enough room on the disk: ask for a smaller --to"
    );
    Ok(())
}

/// The bytes that are free in the file system of `place`.
async fn free(place: &str) -> Option<u64> {
    let told = Command::new("df").args(["-Pk", place]).output().await.ok()?;
    let told = String::from_utf8(told.stdout).ok()?;
    let kibibytes: u64 = told.lines().last()?.split_whitespace().nth(3)?.parse().ok()?;
    Some(kibibytes * 1024)
}
