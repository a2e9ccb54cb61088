//! What is attached to messages: kept beside the book, handed out as Twilio does, by a redirect to a signed URL that
//! will not be given credentials.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures::stream;
use poem::http::{Method, StatusCode, header};
use poem::{Body, Response};
use secrecy::SecretString;

use crate::request::Raw;
use crate::routes;
use crate::signature::sign;
use crate::state::State;
use crate::twilio::{self, new_sid};

/// More than anybody takes.
const OVERSIZE: usize = 17 * 1024 * 1024;
const PIECE: usize = 64 * 1024;

/// A file that is attached to a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Media {
    /// What its sender declares it to be.
    pub content_type: String,
    /// Its content.
    pub bytes: Vec<u8>,
}

/// Files by their SID, in a folder.
#[derive(Debug)]
pub(crate) struct Shelf(PathBuf);

impl Shelf {
    /// Beside the book.
    pub(crate) fn beside(book: &Path) -> Self {
        Self(book.with_extension("media"))
    }

    /// The declared type is the first line of the file.
    fn put(&self, media: &Media) -> io::Result<String> {
        let sid = new_sid("ME");
        std::fs::create_dir_all(&self.0)?;
        let file = [
            media.content_type.replace('\n', " ").as_bytes(),
            b"\n",
            &media.bytes,
        ]
        .concat();
        std::fs::write(self.0.join(&sid), file)?;
        Ok(sid)
    }

    fn get(&self, sid: &str) -> Option<Media> {
        let plain = sid
            .strip_prefix("ME")?
            .bytes()
            .all(|byte| byte.is_ascii_hexdigit());
        let file = plain.then(|| std::fs::read(self.0.join(sid)).ok()).flatten()?;
        let end = file.iter().position(|byte| *byte == b'\n')?;
        Some(Media {
            content_type: String::from_utf8_lossy(&file[..end]).into_owned(),
            bytes: file[end + 1..].to_vec(),
        })
    }
}

impl State {
    /// Takes a file that an inbound message is to carry. Returns its SID, for [`crate::Inbound::media`].
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn put_media(&self, media: &Media) -> io::Result<String> {
        self.shelf.put(media)
    }

    /// The file of a SID.
    pub fn media(&self, sid: &str) -> Option<Media> {
        self.shelf.get(sid)
    }

    /// Where a client is told that a file is: below the account, on the host that it knows.
    pub(crate) fn media_url(&self, account: &str, message: &str, sid: &str) -> String {
        let base = self.base();
        format!("{base}/2010-04-01/Accounts/{account}/Messages/{message}/Media/{sid}")
    }
}

/// Answers `GET …/Messages/{MM}/Media/{ME}`, whose credentials have been checked: by a redirect to another host.
pub(crate) async fn redirect(state: &Arc<State>, raw: &Raw, message: &str, sid: &str) -> Response {
    let faults = state.lock_faults().media.take();
    tokio::time::sleep(Duration::from_millis(faults.slow_ms)).await;
    if let Some(status) = faults.status {
        return twilio::failed(status);
    }
    let carried = state
        .book
        .message(message)
        .is_some_and(|found| found.media.iter().any(|one| one == sid));
    if !carried || state.media(sid).is_none() {
        return twilio::not_found(&raw.path);
    }
    let path = format!("/cdn/{sid}");
    let query = [
        ("signature", signature(&path)),
        ("oversize", faults.oversize.to_string()),
    ];
    let query = serde_urlencoded::to_string(query).unwrap_or_default();
    let there = format!("{}{path}?{query}", state.base().replace("127.0.0.1", "localhost"));
    Response::builder()
        .status(StatusCode::TEMPORARY_REDIRECT)
        .header(header::LOCATION, faults.elsewhere.unwrap_or(there))
        .finish()
}

/// Answers `GET /cdn/{ME}`: like S3 it refuses a request that brings credentials beside the signature.
pub(crate) fn hand_out(state: &State, raw: &Raw, sid: &str) -> Response {
    let is_signed = raw.query("signature") == Some(signature(&raw.path).as_str());
    let Some(media) = state.media(sid).filter(|_| is_signed) else {
        return routes::json(
            StatusCode::FORBIDDEN,
            &serde_json::json!({"Code": "SignatureDoesNotMatch"}),
        );
    };
    if raw.is_authorised {
        let told =
            serde_json::json!({"Code": "InvalidArgument", "Message": "Only one auth mechanism allowed"});
        return routes::json(StatusCode::BAD_REQUEST, &told);
    }
    let answer = Response::builder().content_type(media.content_type.as_str());
    match raw.query("oversize") == Some("true") {
        true => answer.body(oversized(media.bytes)),
        false => answer.body(media.bytes),
    }
}

/// A file that does not end soon, without a length, as one that lies about it.
pub(crate) fn oversized(bytes: Vec<u8>) -> Body {
    let pieces = (0..OVERSIZE / PIECE).map(|_| Ok::<_, io::Error>(vec![0; PIECE]));
    let head = stream::iter([Ok(bytes)]);
    Body::from_bytes_stream(futures::StreamExt::chain(head, stream::iter(pieces)))
}

/// Answers `/_simulator/media` and `/_simulator/media/{ME}`: what a page attaches, and shows again.
pub(crate) fn shelve(state: &State, raw: &Raw, sid: Option<&str>) -> Option<Response> {
    match (&raw.method, sid) {
        (&Method::POST, None) => {
            let media = Media {
                content_type: raw.content_type().to_owned(),
                bytes: raw.body.clone(),
            };
            Some(match state.put_media(&media) {
                Ok(sid) => routes::json(StatusCode::OK, &serde_json::json!({"sid": sid})),
                Err(error) => {
                    tracing::error!(%error, "cannot keep a file");
                    routes::json(StatusCode::INTERNAL_SERVER_ERROR, &serde_json::Value::Null)
                }
            })
        }
        (&Method::GET, Some(sid)) => {
            let media = state.media(sid)?;
            // Shown in a page of ours: only what cannot run there is named by its type.
            let kind = media.content_type.split('/').next().unwrap_or_default();
            let shown = matches!(kind, "image" | "audio" | "video") && !media.content_type.contains("svg");
            let kind = if shown {
                media.content_type.as_str()
            } else {
                "application/octet-stream"
            };
            let answer = Response::builder().content_type(kind);
            Some(
                answer
                    .header("X-Content-Type-Options", "nosniff")
                    .body(media.bytes),
            )
        }
        _ => None,
    }
}

fn signature(path: &str) -> String {
    sign(&SecretString::from("of the storage"), path, &[])
}
