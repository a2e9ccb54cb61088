//! The least of HTTP that tells whether a server answers, so that testkit needs no client.
use std::{
    io::{self, BufRead, BufReader, Write},
    net::{TcpStream, ToSocketAddrs},
    time::Duration,
};

use crate::eventually;

/// How long one request may take before it counts as unanswered.
const REQUEST: Duration = Duration::from_secs(2);

/// Waits until a GET of `url` (`http://host:port/path`) is answered with a 2xx.
///
/// # Panics
/// After `timeout`, and at once if `url` is not of that form.
#[track_caller]
pub fn wait_for_http(url: &str, timeout: Duration) -> impl Future<Output = ()> {
    let url = url.to_owned();
    eventually(timeout, move || {
        let url = url.clone();
        async move { answers(url).await.then_some(()) }
    })
}

/// Whether a GET of `url` is answered with a 2xx now.
pub(crate) async fn answers(url: String) -> bool {
    let status = tokio::task::spawn_blocking(move || get(&url)).await;
    matches!(status, Ok(Ok(200..=299)))
}

/// The status with which `url` answers a GET. Blocks for two seconds at most per read or write.
pub(crate) fn get(url: &str) -> io::Result<u16> {
    let (authority, path) = split(url);
    let address = authority
        .to_socket_addrs()?
        .next()
        .ok_or(io::ErrorKind::AddrNotAvailable)?;
    let mut stream = TcpStream::connect_timeout(&address, REQUEST)?;
    stream.set_read_timeout(Some(REQUEST))?;
    stream.set_write_timeout(Some(REQUEST))?;
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: {authority}\r\nConnection: close\r\n\r\n"
    )?;
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line)?;
    let status = line.split(' ').nth(1).and_then(|status| status.parse().ok());
    status.ok_or_else(|| io::ErrorKind::InvalidData.into())
}

fn split(url: &str) -> (&str, String) {
    let Some(rest) = url.strip_prefix("http://") else {
        panic!("`{url}` does not begin with http://")
    };
    match rest.split_once('/') {
        Some((authority, path)) => (authority, format!("/{path}")),
        None => (rest, "/".to_owned()),
    }
}
