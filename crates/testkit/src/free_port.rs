//! Ports for servers that tests start.
use std::{
    net::{Ipv4Addr, TcpListener},
    process,
    sync::atomic::{AtomicU32, Ordering},
};

const FIRST: u32 = 10_000;
/// Linux hands out 32768 and above to outgoing connections: a port from there could be taken by any client
/// between our look and the server's start.
const COUNT: u32 = 22_000;

/// A TCP port on 127.0.0.1 on which nothing listens, not given twice by this process before all others were.
///
/// # Panics
/// If every port from 10000 to 31999 is taken.
pub fn free_port() -> u16 {
    static GIVEN: AtomicU32 = AtomicU32::new(0);
    // Processes that run at once begin far from each other.
    let start = process::id().wrapping_mul(97) % COUNT;
    for _ in 0..COUNT {
        let offset = start.wrapping_add(GIVEN.fetch_add(1, Ordering::Relaxed)) % COUNT;
        let Ok(port) = u16::try_from(FIRST + offset) else {
            continue;
        };
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
    panic!("no port from {FIRST} to {} is free", FIRST + COUNT - 1)
}
