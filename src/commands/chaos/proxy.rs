//! A TCP proxy on loopback whose connections can be cut.
use std::{
    collections::HashMap,
    io,
    net::Ipv4Addr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    task::AbortHandle,
};
use tokio_util::sync::CancellationToken;

use super::plan::Chance;

/// The most connections at once; more wait to be taken.
const MOST: usize = 2000;

type Open = Arc<Mutex<HashMap<usize, CancellationToken>>>;

/// Hands connections on to the first of its backends that takes them, in turn. Dropping it cuts them all.
pub(super) struct Proxy {
    pub(super) port: u16,
    open: Open,
    accepting: AbortHandle,
}

impl Proxy {
    /// Listens on a free port.
    ///
    /// # Errors
    /// When there is none.
    pub(super) async fn start(backends: Vec<u16>) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let port = listener.local_addr()?.port();
        let open = Open::default();
        let accepting = tokio::spawn(accept(listener, backends.into(), open.clone())).abort_handle();
        Ok(Self {
            port,
            open,
            accepting,
        })
    }

    /// Cuts about so many of a hundred connections, in the middle of whatever they carry. Returns how many.
    pub(super) fn cut(&self, percent: u64, chance: &mut Chance) -> usize {
        let mut open = lock(&self.open);
        let mut ids: Vec<_> = open.keys().copied().collect();
        ids.sort_unstable();
        ids.retain(|_| chance.between(1, 100) <= percent);
        for id in &ids {
            if let Some(connection) = open.remove(id) {
                connection.cancel();
            }
        }
        ids.len()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
        for connection in lock(&self.open).values() {
            connection.cancel();
        }
    }
}

fn lock(open: &Open) -> std::sync::MutexGuard<'_, HashMap<usize, CancellationToken>> {
    open.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn accept(listener: TcpListener, backends: Arc<[u16]>, open: Open) {
    let (next, room) = (Arc::new(AtomicUsize::new(0)), Arc::new(Semaphore::new(MOST)));
    loop {
        let Ok(place) = room.clone().acquire_owned().await else {
            return;
        };
        let Ok((client, _)) = listener.accept().await else {
            continue;
        };
        let id = next.fetch_add(1, Ordering::Relaxed);
        let cut = CancellationToken::new();
        lock(&open).insert(id, cut.clone());
        let (backends, open) = (backends.clone(), open.clone());
        drop(tokio::spawn(async move {
            tokio::select! {
                () = cut.cancelled() => {}
                () = carry(client, &backends, id) => {}
            }
            lock(&open).remove(&id);
            drop(place);
        }));
    }
}

/// Carries bytes both ways until one side ends. Nobody there to take them: the client is hung up on.
async fn carry(mut client: TcpStream, backends: &[u16], turn: usize) {
    for index in 0..backends.len() {
        let port = backends[(turn + index) % backends.len()];
        if let Ok(mut server) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await {
            let _ = (client.set_nodelay(true), server.set_nodelay(true));
            let _whoever_ended_it = tokio::io::copy_bidirectional(&mut client, &mut server).await;
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    #[tokio::test]
    async fn what_is_cut_ends_for_both_and_a_new_connection_passes() {
        let server = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("bound");
        let nobody = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("bound");
        let gone = nobody.local_addr().expect("address").port();
        drop(nobody);
        let port = server.local_addr().expect("address").port();
        let proxy = Proxy::start(vec![gone, port]).await.expect("started");
        for _ in 0..2 {
            let mut client = TcpStream::connect((Ipv4Addr::LOCALHOST, proxy.port))
                .await
                .expect("connected");
            let (mut served, _) = server.accept().await.expect("accepted");
            client.write_all(b"x").await.expect("written");
            assert_eq!(served.read_u8().await.expect("read"), b'x');
            assert_eq!(proxy.cut(100, &mut Chance::new(1)), 1);
            assert_eq!(client.read(&mut [0]).await.unwrap_or(0), 0);
            assert_eq!(served.read(&mut [0]).await.unwrap_or(0), 0);
        }
    }
}
