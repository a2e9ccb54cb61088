//! `recado bench`: how fast the ordinary processes are, with a simulated Twilio.
mod ack;
mod book;
mod ceiling;
mod contacts;
mod figures;
mod inbound;
mod ledger;
mod load;
mod process;
mod steps;
mod usage;
mod wakeup;
mod world;

use std::time::Duration;

use clap::{Args, Subcommand};

use self::{
    figures::Figures,
    load::Load,
    world::{Callbacks, Cast, World},
};
use super::say;
use crate::config::Config;

/// What to measure.
#[derive(Clone, Debug, Subcommand)]
enum Mode {
    /// Runs of six steps without work, started by key over HTTP, until their results are answered
    Steps {
        /// Measures afterwards what the grouped SQL alone reaches
        #[arg(long)]
        ceiling: bool,
    },
    /// Signed webhooks, until the simulated Twilio has the answer (the default)
    Inbound,
    /// Signed webhooks, until they are acknowledged
    Ack,
    /// From the start of a run to its first step, and from the moment at which a timer is due to its firing
    Wakeup,
    /// What the grouped SQL alone reaches on this database
    Ceiling,
}

/// A measurement.
#[derive(Debug, Args)]
pub(crate) struct Bench {
    #[command(subcommand)]
    mode: Option<Mode>,
    /// How many runs or messages
    #[arg(long, global = true, default_value_t = 2000, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    count: u64,
    /// How many are on their way at once, from the start to the answer
    #[arg(long, global = true, default_value_t = 64, value_parser = clap::value_parser!(u64).range(1..=4096))]
    in_flight: u64,
    /// Begins so many a second instead, ready or not; times are counted from when each was due
    #[arg(long, global = true, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    rate: Option<u64>,
    /// Worker processes beside a `serve`; without any, one `serve --worker` does all
    #[arg(long, global = true, default_value_t = 0, value_parser = clap::value_parser!(u64).range(0..=16))]
    workers: u64,
    /// The simulated Twilio does not report what becomes of answers
    #[arg(long, global = true)]
    no_callbacks: bool,
    /// Measures so often; the table shows the median, and the least and the most
    #[arg(long, global = true, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=100))]
    repeat: u64,
    /// Prints one JSON object a measurement
    #[arg(long, global = true)]
    json: bool,
}

/// How long each line of the ceiling is measured.
const CEILING: Duration = Duration::from_secs(3);

impl Bench {
    /// Measures, and then looks whether the journal holds every row that it should.
    ///
    /// # Errors
    /// When a process does not come up, something is not answered exactly once, or a row is missing.
    pub(crate) async fn run(self, config: &Config) -> anyhow::Result<()> {
        let cast = Cast {
            workers: self.workers,
            callbacks: if self.no_callbacks {
                Callbacks::Silent
            } else {
                Callbacks::Posted
            },
        };
        let mut world = World::begin(config, cast).await?;
        if !self.json {
            say(world.about().await?);
        }
        let measured = self.measure(&mut world).await;
        let measured = measured.and_then(|measured| world.require_alive().map(|()| measured))?;
        world.end().await?;
        if !self.json {
            say(Figures::tables(&measured));
        }
        Ok(())
    }

    async fn measure(&self, world: &mut World) -> anyhow::Result<Vec<Figures>> {
        let mode = self.mode.clone().unwrap_or(Mode::Inbound);
        let mut all = Vec::new();
        for round in 0..=self.repeat {
            // Connections are made and plans are cached before anything is counted.
            let warm_up = round == 0;
            let load = Load {
                count: if warm_up { self.count.min(200) } else { self.count },
                in_flight: self.in_flight,
                rate: if warm_up { None } else { self.rate },
            };
            let mut measured = match mode {
                Mode::Steps { .. } => vec![steps::measure(world, &load).await?],
                Mode::Inbound => vec![inbound::measure(world, &load).await?],
                Mode::Ack => vec![ack::measure(world, &load).await?],
                Mode::Wakeup => wakeup::measure(world, &load).await?,
                Mode::Ceiling if warm_up => continue,
                Mode::Ceiling => ceiling::measure(world, CEILING).await?,
            };
            if warm_up {
                continue;
            }
            if matches!(mode, Mode::Steps { ceiling: true }) {
                measured.extend(ceiling::measure(world, CEILING).await?);
            }
            self.tell(&measured);
            all.extend(measured);
        }
        Ok(all)
    }

    /// Prints measurements for machines, as soon as they are there.
    fn tell(&self, measured: &[Figures]) {
        if self.json {
            measured.iter().for_each(|figures| say(figures.as_json()));
        }
    }
}
