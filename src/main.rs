//! Recado answers a business's WhatsApp, SMS and calls over Twilio, durably.
mod app;
mod campaigns;
mod cli;
mod commands;
mod config;
mod dev;
mod http;
mod line;
mod media;
mod overview;
mod pages;
mod reconciling;
mod serve;
mod telemetry;

use std::process::ExitCode;

use clap::Parser;

/// A word of a page in the reader's language; templates name it from here.
pub(crate) use pages::language::t;

/// A message is a few thousand small pieces of memory, made in one thread and dropped in another: with the allocator of
/// the C library that was a quarter of the processor time (docs/PERFORMANCE.md).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
async fn main() -> ExitCode {
    // Settings that are there already win over those of the file.
    let _ = dotenvy::dotenv();
    let cli = cli::Cli::parse();
    telemetry::log();
    let done = cli.run().await;
    telemetry::flush().await;
    match done {
        Ok(code) => code,
        Err(error) => {
            tell(&format!("recado: {error:#}"));
            // 2: the settings or the words were wrong; 1: anything else.
            ExitCode::from(if error.is::<config::ConfigError>() { 2 } else { 1 })
        }
    }
}

#[expect(clippy::print_stderr, reason = "this is the command line")]
fn tell(text: &str) {
    eprintln!("{text}");
}
