//! The simulated Twilio as a process of its own, so that it can be killed, and its processor time told. Its book outlives
//! it.
use std::{net::Ipv4Addr, path::PathBuf};

use clap::Args;
use recado_simulator::{Account, Config, Simulator};

use crate::serve;

/// Where it listens, what it remembers by, and who its customers are.
#[derive(Debug, Args)]
pub(crate) struct SimulatedTwilio {
    #[arg(long)]
    port: u16,
    #[arg(long)]
    book: PathBuf,
    /// SID:TOKEN:NUMBER; may be repeated.
    #[arg(long = "account", required = true, value_parser = account)]
    accounts: Vec<Account>,
}

fn account(text: &str) -> Result<Account, &'static str> {
    let mut parts = text.splitn(3, ':');
    match (parts.next(), parts.next(), parts.next()) {
        (Some(sid), Some(token), Some(number)) => Ok(Account::new(sid, token).number(number)),
        _ => Err("must be SID:TOKEN:NUMBER"),
    }
}

impl SimulatedTwilio {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        let stop = serve::stop_on_signal()?;
        let config = Config {
            addr: (Ipv4Addr::LOCALHOST, self.port).into(),
            log_size: 100,
            ..Config::new(self.book)
        };
        let config = self.accounts.into_iter().fold(config, Config::account);
        let simulator = Simulator::start(config).await?;
        stop.cancelled().await;
        simulator.shutdown().await;
        Ok(())
    }
}
