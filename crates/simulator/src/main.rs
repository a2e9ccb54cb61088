//! `recado-simulator`: a Twilio and a model provider on a port, for people who write clients.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Parser;
use recado_simulator::{Account, Config, Simulator};
use secrecy::SecretString;
use tracing_subscriber::EnvFilter;

/// A Twilio and a language model provider that misbehave on request.
#[derive(Debug, Parser)]
#[command(version)]
struct Options {
    /// Where to listen; port 0 takes any free one.
    #[arg(long, default_value = "127.0.0.1:8010")]
    addr: SocketAddr,
    /// The file that remembers every message and request.
    #[arg(long, default_value = "simulator.jsonl")]
    book: PathBuf,
    /// The SID of the account that exists.
    #[arg(long, default_value = "AC00000000000000000000000000000000")]
    account: String,
    /// Its auth token.
    #[arg(
        long,
        env = "TWILIO_AUTH_TOKEN",
        hide_env_values = true,
        default_value = "simulated"
    )]
    token: SecretString,
    /// Where its inbound messages are posted, with a fragment such as `#rc=5&rp=all` if wanted.
    #[arg(long)]
    webhook: Option<String>,
    /// Where it is asked what to do with inbound calls.
    #[arg(long)]
    voice: Option<String>,
    /// A number that it owns, E.164; may be repeated. Without any, it may send from all.
    #[arg(long = "number")]
    numbers: Vec<String>,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    let filter = EnvFilter::try_from_env("LOG").unwrap_or_else(|_| EnvFilter::new("warn"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();

    let account = Account {
        sid: options.account,
        auth_token: options.token,
        webhook_url: options.webhook,
        voice_url: options.voice,
        call_status_url: None,
        numbers: options.numbers,
    };
    let config = Config {
        addr: options.addr,
        ..Config::new(options.book).account(account)
    };
    let mut simulator = Simulator::start(config).await?;
    announce(simulator.url());
    tokio::select! {
        ended = simulator.run() => return ended,
        interrupted = tokio::signal::ctrl_c() => interrupted?,
    }
    simulator.shutdown().await;
    Ok(())
}

#[expect(clippy::print_stdout, reason = "the URL is this program's output")]
fn announce(url: &str) {
    println!("{url}");
}
