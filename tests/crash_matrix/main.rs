//! The crash matrix: a process is killed just before and just after every commit and every outside call of a run's life,
//! on both databases, with and without Redis lost at the same moment, and what was lost, doubled or reordered is counted.
//! `make crash-matrix`; docs/CRASH_MATRIX.md has the result and what it does not cover.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test, whose result is what it prints"
)]

mod attempt;
mod everything;
mod jobs;
mod judge;
mod matrix;
mod mutants;
mod options;
mod outbound;
mod plan;
mod record;
mod slot;
mod story;
mod verdict;
#[path = "../world/mod.rs"]
#[expect(dead_code, reason = "each file of tests uses a part of the world")]
mod world;

use std::{path::Path, process::ExitCode};

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    match arguments
        .iter()
        .map(String::as_str)
        .collect::<Vec<_>>()
        .as_slice()
    {
        // A test runner asks which tests there are. They are cells, and have no names yet.
        words if words.contains(&"--list") => ExitCode::SUCCESS,
        ["--everything", url, vendor] => {
            everything::run(url, Path::new(vendor)).await;
            ExitCode::SUCCESS
        }
        words => match options::Options::read(words) {
            Ok(options) => matrix::run(options).await,
            Err(wrong) => {
                println!("{wrong}");
                ExitCode::from(2)
            }
        },
    }
}
