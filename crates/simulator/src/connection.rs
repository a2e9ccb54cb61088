//! Answers that are none.

use std::io;

use futures::stream;
use poem::http::{StatusCode, header};
use poem::{Body, Response};

use crate::state::State;

/// Closes the connection without a byte of an answer.
///
/// The head of an answer waits in hyper's buffer until the first piece of the body is there; a
/// body that fails at once makes it give up the connection before anything is flushed. The length
/// is promised because poem polls the connection once more, and hyper would end a body of unknown
/// length properly. So it works wherever the routes are mounted, without a listener of our own.
pub(crate) fn dropped() -> Response {
    let broken = stream::once(async { Err::<Vec<u8>, _>(io::Error::other("dropped on request")) });
    Response::builder()
        .status(StatusCode::OK)
        .header(header::CONTENT_LENGTH, 1)
        .body(Body::from_bytes_stream(broken))
}

/// Keeps the connection open and says nothing, until the simulator is closed.
pub(crate) async fn silent(state: &State) -> Response {
    state.stop.cancelled().await;
    dropped()
}
