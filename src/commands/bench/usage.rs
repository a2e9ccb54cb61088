//! Processor time and memory, as the kernel counts them.
use std::{collections::BTreeMap, fs};

/// Something of processes, by their names.
pub(super) type Usage = BTreeMap<&'static str, f64>;

/// The kernel's ticks a second in `/proc`, the same on every Linux that we run on. Source: `man 5 proc`.
const TICKS: f64 = 100.0;

/// Seconds of processor time that this process (the load), the processes `ours`, and every Postgres and Redis of the
/// machine have used so far. Empty where there is no `/proc`.
pub(super) fn cpu(ours: &[(&'static str, u32)]) -> Usage {
    let mut used = Usage::new();
    let mut add = |name, pid: u32| {
        if let Some((_, seconds)) = process(pid) {
            *used.entry(name).or_default() += seconds;
        }
    };
    add("load", std::process::id());
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
pub(super) fn between(before: &Usage, after: &Usage) -> Usage {
    let spent = |name: &'static str, now: f64| (name, now - before.get(name).copied().unwrap_or_default());
    after.iter().map(|(name, now)| spent(name, *now)).collect()
}

/// Resident memory in MiB: of those processes of a name that are several, what the largest has.
pub(super) fn resident(ours: &[(&'static str, u32)]) -> Usage {
    let mut resident = Usage::new();
    for (name, pid) in ours {
        if let Some(mebibytes) = resident_of(*pid) {
            let most = resident.entry(name).or_default();
            *most = most.max(mebibytes);
        }
    }
    resident
}

fn resident_of(pid: u32) -> Option<f64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes / 1024.0)
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
