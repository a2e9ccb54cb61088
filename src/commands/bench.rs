//! `recado bench`: how fast the ordinary processes are, with a simulated Twilio.
mod cpu;
mod figures;
mod inbound;
mod load;
mod steps;
mod wakeup;
mod world;

use clap::{Args, ValueEnum};

use self::{figures::Figures, world::World};
use super::say;
use crate::config::Config;

/// What to measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Mode {
    /// Runs of six steps without work, started by key over HTTP, until their results are answered
    Steps,
    /// Signed webhooks, until the simulated Twilio has the answer
    Inbound,
    /// From the start of a run to its first step
    Wakeup,
}

/// A measurement.
#[derive(Debug, Args)]
pub(crate) struct Bench {
    /// What is measured
    #[arg(value_enum, default_value_t = Mode::Inbound)]
    mode: Mode,
    /// How many runs or messages
    #[arg(long, default_value_t = 2000, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    count: u64,
    /// How many are on their way at once, from the start to the answer
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u64).range(1..=4096))]
    in_flight: u64,
    /// Begins so many a second instead, ready or not; times are counted from when each was due
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    rate: Option<u64>,
    /// Worker processes beside a `serve`; without any, one `serve --worker` does all
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u64).range(0..=16))]
    workers: u64,
    /// Measures so often; the table shows the median, and the least and the most
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=100))]
    repeat: u64,
    /// Prints one JSON object a measurement
    #[arg(long)]
    json: bool,
}

impl Bench {
    /// Measures, and then looks whether the journal holds every row that it should.
    ///
    /// # Errors
    /// When a process does not come up, something is not answered exactly once, or a row is missing.
    pub(crate) async fn run(self, config: &Config) -> anyhow::Result<()> {
        let mut world = World::begin(config, self.workers).await?;
        if !self.json {
            say(world.about().await?);
        }
        let mut all = Vec::new();
        for round in 0..=self.repeat {
            // Connections are made and plans are cached before anything is counted.
            let warm_up = round == 0;
            let load = load::Load {
                count: if warm_up { self.count.min(200) } else { self.count },
                in_flight: self.in_flight,
                rate: if warm_up { None } else { self.rate },
            };
            let measured = match self.mode {
                Mode::Steps => steps::measure(&mut world, &load).await?,
                Mode::Inbound => inbound::measure(&mut world, &load).await?,
                Mode::Wakeup => wakeup::measure(&mut world, &load).await?,
            };
            if warm_up {
                continue;
            }
            if self.json {
                say(measured.as_json());
            }
            all.push(measured);
        }
        world.end().await?;
        if !self.json {
            say(Figures::table(&all));
        }
        Ok(())
    }
}
