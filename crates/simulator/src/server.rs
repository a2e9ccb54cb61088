//! A simulator on a port of its own.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use poem::Server;
use poem::listener::{Acceptor, Listener, TcpListener};
use tokio::task::JoinHandle;

use crate::book::Book;
use crate::calls::{Call, inbound::Ring};
use crate::config::Config;
use crate::faults::Faults;
use crate::inbound::{Inbound, InboundError, Received};
use crate::media::Media;
use crate::routes::routes;
use crate::script::Answer;
use crate::state::State;

/// A running simulator. Dropping it stops it; [`Simulator::shutdown`] also waits until it has.
#[derive(Debug)]
pub struct Simulator {
    state: Arc<State>,
    url: String,
    server: JoinHandle<std::io::Result<()>>,
}

impl Simulator {
    /// Opens the book and listens.
    ///
    /// # Errors
    /// If the book cannot be read or the address cannot be had.
    pub async fn start(config: Config) -> anyhow::Result<Self> {
        let addr = config.addr;
        let acceptor = TcpListener::bind(addr)
            .into_acceptor()
            .await
            .with_context(|| format!("cannot listen on {addr}"))?;
        let bound = acceptor.local_addr();
        let bound = bound.first().and_then(|local| local.as_socket_addr().copied());
        let url = format!("http://{}", bound.unwrap_or(addr));
        let state = State::open(config)?;
        state.set_base(url.as_str());
        let (endpoint, stop) = (routes(Arc::clone(&state)), state.stop.clone());
        let server = tokio::spawn(async move {
            let server = Server::new_with_acceptor(acceptor);
            // A vendor that goes away does not finish its sentences.
            server
                .run_with_graceful_shutdown(endpoint, stop.cancelled(), Some(Duration::ZERO))
                .await
        });
        Ok(Self { state, url, server })
    }

    /// `http://host:port`, without a slash at the end.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// What it shares with its routes.
    pub fn state(&self) -> &Arc<State> {
        &self.state
    }

    /// See [`State::book`].
    pub fn book(&self) -> &Book {
        self.state.book()
    }

    /// See [`State::set_faults`].
    pub fn set_faults(&self, faults: Faults) {
        self.state.set_faults(faults);
    }

    /// See [`State::script`].
    pub fn script(&self, answers: impl IntoIterator<Item = Answer>) {
        self.state.script(answers);
    }

    /// See [`State::script_speech`].
    pub fn script_speech(&self, texts: impl IntoIterator<Item = String>) {
        self.state.script_speech(texts);
    }

    /// See [`State::put_media`].
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn put_media(&self, content_type: &str, bytes: &[u8]) -> std::io::Result<String> {
        self.state.put_media(&Media {
            content_type: content_type.to_owned(),
            bytes: bytes.to_vec(),
        })
    }

    /// See [`State::set_webhook`].
    ///
    /// # Errors
    /// If there is no such account.
    pub fn set_webhook(&self, sid: &str, url: impl Into<String>) -> anyhow::Result<()> {
        self.state.set_webhook(sid, url)
    }

    /// See [`State::send_inbound`].
    ///
    /// # Errors
    /// Only if nothing was posted.
    pub async fn send_inbound(&self, inbound: Inbound) -> Result<Received, InboundError> {
        self.state.send_inbound(inbound).await
    }

    /// See [`State::ring`].
    ///
    /// # Errors
    /// Only if nobody could be asked.
    pub async fn ring(&self, ring: Ring) -> Result<Call, InboundError> {
        self.state.ring(ring).await
    }

    /// See [`State::wait_for`].
    ///
    /// # Errors
    /// If it is not seen in time.
    pub async fn wait_for(&self, seen: impl Fn(&Book) -> bool, timeout: Duration) -> anyhow::Result<()> {
        self.state.wait_for(seen, timeout).await
    }

    /// Waits for the end, which comes only by a failure.
    ///
    /// # Errors
    /// If the server fails.
    pub async fn run(&mut self) -> anyhow::Result<()> {
        (&mut self.server).await.context("the server broke off")??;
        Ok(())
    }

    /// Closes every connection, stops callbacks half-way, and gives up the port; the book stays.
    pub async fn shutdown(mut self) {
        self.state.close().await;
        // How it ended does not matter to one who wanted it to.
        let _ = (&mut self.server).await;
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        self.state.stop.cancel();
    }
}
