//! Somebody who receives webhooks, answers as told, and keeps them.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};

use anyhow::Context as _;
use poem::http::StatusCode;
use poem::listener::{Acceptor, Listener, TcpListener};
use poem::{Request, Response, Server};
use recado_simulator::sign;
use tokio::sync::mpsc;

use crate::world::{PATIENCE, TOKEN};

pub(crate) struct Receiver {
    url: String,
    posts: mpsc::UnboundedReceiver<Post>,
    answers: Arc<Mutex<VecDeque<u16>>>,
}

/// A webhook as it arrived.
pub(crate) struct Post {
    pub(crate) path: String,
    pub(crate) signature: String,
    pub(crate) token: String,
    pub(crate) form: Vec<(String, String)>,
}

impl Receiver {
    pub(crate) async fn start() -> anyhow::Result<Self> {
        let acceptor = TcpListener::bind("127.0.0.1:0").into_acceptor().await?;
        let bound = acceptor.local_addr();
        let addr = bound
            .first()
            .and_then(|a| a.as_socket_addr())
            .context("no address")?;
        let url = format!("http://{addr}");
        let (sender, posts) = mpsc::unbounded_channel();
        let answers = Arc::new(Mutex::new(VecDeque::new()));
        let queue = Arc::clone(&answers);
        let endpoint = poem::endpoint::make(move |request: Request| {
            let (sender, queue) = (sender.clone(), Arc::clone(&queue));
            async move {
                let post = read(request).await?;
                let _ = sender.send(post);
                let next = queue.lock().expect("nobody panics").pop_front().unwrap_or(200);
                let status = StatusCode::from_u16(next).expect("a status");
                Ok::<_, poem::Error>(Response::builder().status(status).body("<Response/>"))
            }
        });
        tokio::spawn(Server::new_with_acceptor(acceptor).run(endpoint));
        Ok(Self { url, posts, answers })
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.url)
    }

    /// The statuses of the next answers; 200 after them.
    pub(crate) fn answer(&self, statuses: &[u16]) {
        self.answers.lock().expect("nobody panics").extend(statuses);
    }

    pub(crate) async fn next(&mut self) -> anyhow::Result<Post> {
        let post = tokio::time::timeout(PATIENCE, self.posts.recv()).await?;
        post.context("the receiver has ended")
    }

    /// How many posts wait to be looked at.
    pub(crate) fn waiting(&self) -> usize {
        self.posts.len()
    }

    /// The next posts' statuses.
    pub(crate) async fn statuses(&mut self, count: usize) -> anyhow::Result<Vec<String>> {
        let mut statuses = Vec::new();
        for _ in 0..count {
            statuses.push(self.next().await?.field("MessageStatus").to_owned());
        }
        Ok(statuses)
    }
}

impl Post {
    pub(crate) fn field(&self, name: &str) -> &str {
        self.fields().get(name).copied().unwrap_or_default()
    }

    pub(crate) fn fields(&self) -> HashMap<&str, &str> {
        self.form
            .iter()
            .map(|(key, value)| (key.as_str(), value.as_str()))
            .collect()
    }

    /// Whether it is signed for `base` (scheme, host and port) and the path that was asked for.
    pub(crate) fn is_signed_for(&self, base: &str) -> bool {
        self.signature == sign(&TOKEN.into(), &format!("{base}{}", self.path), &self.form)
    }
}

async fn read(mut request: Request) -> poem::Result<Post> {
    let header = |name| request.header(name).unwrap_or_default().to_owned();
    let (signature, token) = (header("X-Twilio-Signature"), header("I-Twilio-Idempotency-Token"));
    let path = request.uri().to_string();
    let body = request.take_body().into_bytes().await?;
    let form = serde_urlencoded::from_bytes(&body).unwrap_or_default();
    Ok(Post {
        path,
        signature,
        token,
        form,
    })
}
