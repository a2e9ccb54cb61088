//! `recado bench`: how fast the ordinary processes are, with a simulated Twilio.
mod ack;
mod book;
mod cast;
mod ceiling;
mod contacts;
mod copies;
mod figures;
mod filters;
mod growth;
mod history;
mod inbound;
mod ledger;
mod load;
mod overload;
mod process;
mod steps;
mod unfinished;
mod usage;
mod wakeup;
mod world;

use std::time::Duration;

use clap::{Args, Subcommand};

use self::{
    cast::{Callbacks, Cast},
    figures::Figures,
    growth::Sizes,
    load::Load,
    overload::Storm,
    world::World,
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
    /// Starting, claiming, listing and answering with a small and with a large history of finished runs
    Growth {
        /// The small one
        #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(1..=50_000_000))]
        from: u64,
        /// The large one
        #[arg(long, default_value_t = 2_000_000, value_parser = clap::value_parser!(u64).range(1..=50_000_000))]
        to: u64,
        /// How many runs sleep while idle processes are looked at
        #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(0..=10_000_000))]
        waiting: u64,
    },
    /// Twice the messages that can be answered, behind a backlog, and another owner beside
    Overload {
        /// How many messages wait when it begins
        #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(0..=10_000_000))]
        backlog: u64,
        /// For how many seconds webhooks come
        #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=3600))]
        seconds: u64,
    },
    /// How long it takes to go on with a run of many events whose worker was killed
    History {
        /// How many events it has
        #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
        events: u64,
    },
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
        let mut all = Vec::new();
        // Connections are made and plans are cached before anything is counted.
        let warm_up = Load {
            count: self.count.min(200),
            in_flight: self.in_flight,
            rate: None,
        };
        match self.mode() {
            Mode::Steps { .. } | Mode::Growth { .. } | Mode::History { .. } => {
                drop(steps::measure(world, &warm_up).await?);
            }
            Mode::Wakeup => drop(wakeup::measure(world, &warm_up).await?),
            Mode::Inbound | Mode::Ack | Mode::Overload { .. } => {
                drop(inbound::measure(world, &warm_up).await?)
            }
            Mode::Ceiling => {}
        }
        for _ in 0..self.repeat {
            let measured = self.once(world).await?;
            if self.json {
                measured.iter().for_each(|figures| say(figures.as_json()));
            }
            all.extend(measured);
        }
        Ok(all)
    }

    fn mode(&self) -> Mode {
        self.mode.clone().unwrap_or(Mode::Inbound)
    }

    async fn once(&self, world: &mut World) -> anyhow::Result<Vec<Figures>> {
        let load = Load {
            count: self.count,
            in_flight: self.in_flight,
            rate: self.rate,
        };
        match self.mode() {
            Mode::Steps { ceiling } => {
                let mut measured = vec![steps::measure(world, &load).await?];
                if ceiling {
                    measured.extend(ceiling::measure(world, CEILING).await?);
                }
                Ok(measured)
            }
            Mode::Inbound => Ok(vec![inbound::measure(world, &load).await?]),
            Mode::Ack => Ok(vec![ack::measure(world, &load).await?]),
            Mode::Wakeup => wakeup::measure(world, &load).await,
            Mode::Ceiling => ceiling::measure(world, CEILING).await,
            Mode::Growth { from, to, waiting } => {
                growth::measure(world, &load, Sizes { from, to, waiting }).await
            }
            Mode::Overload { backlog, seconds } => {
                overload::measure(world, &load, Storm { backlog, seconds }).await
            }
            Mode::History { events } => Ok(vec![history::measure(world, events).await?]),
        }
    }
}
