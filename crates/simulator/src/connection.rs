//! Answers that are none.

use std::io;

use futures::stream;
use poem::http::StatusCode;
use poem::{Body, Response};

use crate::state::State;

/// Closes the connection without a byte of an answer.
///
/// The head of an answer waits in hyper's buffer until the first piece of the body is there; a
/// body that fails at once makes it give up the connection before anything is flushed. So it works
/// wherever the routes are mounted, and needs no listener of our own.
pub(crate) fn dropped() -> Response {
    let broken = stream::once(async { Err::<Vec<u8>, _>(io::Error::other("dropped on request")) });
    Response::builder()
        .status(StatusCode::OK)
        .body(Body::from_bytes_stream(broken))
}

/// Keeps the connection open and says nothing, until the simulator is closed.
pub(crate) async fn silent(state: &State) -> Response {
    state.stop.cancelled().await;
    dropped()
}
