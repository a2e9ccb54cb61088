//! The commands that do one thing and end.
pub(crate) mod bench;
pub(crate) mod check;
pub(crate) mod migrate;
pub(crate) mod runs;
pub(crate) mod seed;

/// Prints a line of a command's answer.
#[expect(clippy::print_stdout, reason = "this is the command line")]
pub(crate) fn say(line: impl std::fmt::Display) {
    println!("{line}");
}
