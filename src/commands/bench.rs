//! `recado bench`: the pipeline, measured with the ordinary `serve --worker` and the simulator.
use clap::Args;

use crate::config::Config;

/// What to measure.
#[derive(Debug, Args)]
pub(crate) struct Bench {}

impl Bench {
    pub(crate) async fn run(self, _: &Config) -> anyhow::Result<()> {
        Ok(())
    }
}
