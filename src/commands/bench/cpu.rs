//! Processor time, as the kernel counts it.
use std::{collections::BTreeMap, fs};

/// Seconds of processor time by what used it.
pub(super) type Cpu = BTreeMap<&'static str, f64>;

/// The kernel's ticks a second in `/proc`, the same on every Linux that we run on. Source: `man 5 proc`.
const TICKS: f64 = 100.0;

/// What this process, the processes `ours` and every Postgres of the machine have used so far. Empty where there is no
/// `/proc`.
pub(super) fn used(ours: &[(&'static str, u32)]) -> Cpu {
    let mut used = Cpu::new();
    let mut add = |name, pid: u32| {
        if let Some((_, seconds)) = process(pid) {
            *used.entry(name).or_default() += seconds;
        }
    };
    add("load and simulator", std::process::id());
    for (name, pid) in ours {
        add(*name, *pid);
    }
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    for (name, seconds) in pids.filter_map(process) {
        match name.as_str() {
            "postgres" => *used.entry("postgres").or_default() += seconds,
            "redis-server" => *used.entry("redis").or_default() += seconds,
            _ => {}
        }
    }
    used
}

/// What was used between two readings.
pub(super) fn between(before: &Cpu, after: &Cpu) -> Cpu {
    let spent = |name: &'static str, now: f64| (name, now - before.get(name).copied().unwrap_or_default());
    after.iter().map(|(name, now)| spent(name, *now)).collect()
}

/// The name of a process and the seconds that it used, those of its children that are gone included: a connection of
/// Postgres is one.
fn process(pid: u32) -> Option<(String, f64)> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name stands in brackets and may have brackets of its own.
    let (head, tail) = stat.rsplit_once(')')?;
    let name = head.split_once('(')?.1.to_owned();
    let fields: Vec<&str> = tail.split_whitespace().collect();
    // utime, stime, cutime and cstime are fields 14 to 17; the tail begins with field 3.
    let ticks = fields
        .get(11..15)?
        .iter()
        .filter_map(|field| field.parse::<f64>().ok());
    Some((name, ticks.sum::<f64>() / TICKS))
}
