//! Processor time and memory, as the kernel counts them.
use std::{collections::BTreeMap, fs};

/// Something of processes, by their names.
pub(super) type Usage = BTreeMap<&'static str, f64>;

/// The kernel's ticks a second in `/proc`, the same on every Linux that we run on. Source: `man 5 proc`.
const TICKS: f64 = 100.0;

/// The servers that are measured with us, where they run on this machine.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Servers {
    /// The process that all of Postgres's descend from.
    pub(super) postmaster: Option<u32>,
    /// Where Redis listens.
    pub(super) redis: Option<u16>,
}

/// Seconds of processor time that this process (the load), the processes `ours` and the servers have used so far. Empty
/// where there is no `/proc`.
pub(super) fn cpu(ours: &[(&'static str, u32)], servers: Servers) -> Usage {
    let mut used = Usage::new();
    let mut add = |name, process: Option<Process>| {
        if let Some(process) = process {
            *used.entry(name).or_default() += process.seconds;
        }
    };
    add("load", process(std::process::id()));
    for (name, pid) in ours {
        add(*name, process(*pid));
    }
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    for pid in pids {
        let found = process(pid);
        match found.as_ref().map(|process| process.name.as_str()) {
            Some("postgres")
                if servers
                    .postmaster
                    .is_some_and(|postmaster| is_of(pid, &found, postmaster)) =>
            {
                add("postgres", found);
            }
            Some("redis-server") if servers.redis.is_some_and(|port| listens(pid, port)) => {
                add("redis", found);
            }
            _ => {}
        }
    }
    used
}

fn is_of(pid: u32, process: &Option<Process>, postmaster: u32) -> bool {
    pid == postmaster
        || process
            .as_ref()
            .is_some_and(|process| process.parent == postmaster)
}

/// Whether a Redis says in its title that it listens there.
fn listens(pid: u32, port: u16) -> bool {
    let title = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    title.contains(&format!(":{port}"))
}

/// The process that has started the process `pid`, if it is one of Postgres's.
pub(super) fn postmaster_of(pid: u32) -> Option<u32> {
    process(pid)
        .filter(|process| process.name == "postgres")
        .map(|process| process.parent)
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

struct Process {
    name: String,
    parent: u32,
    /// Of processor time, that of its children that are gone included: a connection of Postgres is one.
    seconds: f64,
}

fn process(pid: u32) -> Option<Process> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name stands in brackets and may have brackets of its own.
    let (head, tail) = stat.rsplit_once(')')?;
    let name = head.split_once('(')?.1.to_owned();
    let fields: Vec<&str> = tail.split_whitespace().collect();
    // The parent is field 4; utime, stime, cutime and cstime are fields 14 to 17; the tail begins with field 3.
    let ticks = fields
        .get(11..15)?
        .iter()
        .filter_map(|field| field.parse::<f64>().ok());
    Some(Process {
        name,
        parent: fields.get(1)?.parse().ok()?,
        seconds: ticks.sum::<f64>() / TICKS,
    })
}
