//! The commands that do one thing and end.
pub(crate) mod bench;
pub(crate) mod chaos;
pub(crate) mod check;
pub(crate) mod erase_owner;
pub(crate) mod migrate;
pub(crate) mod owners;
pub(crate) mod retention;
pub(crate) mod runs;
pub(crate) mod schedules;
pub(crate) mod seed;
pub(crate) mod simulated_twilio;

/// Prints a line of a command's answer. Nobody there to read it (`| head`) is no failure.
pub(crate) fn say(line: impl std::fmt::Display) {
    use std::io::Write;
    if writeln!(std::io::stdout(), "{line}").is_err() {
        std::process::exit(0);
    }
}
