//! The simulated Twilio as a process of its own, so that it can be killed. Its book outlives it.
use std::{net::Ipv4Addr, path::PathBuf};

use clap::Args;
use recado_simulator::{Account, Config, Simulator};

use super::{ACCOUNT, NUMBER, TOKEN};
use crate::serve;

/// Where it listens, and what it remembers by.
#[derive(Debug, Args)]
pub(crate) struct Twilio {
    #[arg(long)]
    port: u16,
    #[arg(long)]
    book: PathBuf,
}

impl Twilio {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        let stop = serve::stop_on_signal()?;
        let config = Config {
            addr: (Ipv4Addr::LOCALHOST, self.port).into(),
            log_size: 100,
            ..Config::new(self.book)
        };
        let simulator = Simulator::start(config.account(Account::new(ACCOUNT, TOKEN).number(NUMBER))).await?;
        stop.cancelled().await;
        simulator.shutdown().await;
        Ok(())
    }
}
