//! The style sheet and the scripts, which are part of the program.
use std::sync::LazyLock;

use poem::{
    Request, Response, handler,
    http::{StatusCode, header},
    web::{Path, Query},
};
use serde::Deserialize;
use sha2::{Digest, Sha256};

const CSS: &str = "text/css; charset=utf-8";
const JAVASCRIPT: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

/// Name, content type, content.
const FILES: [(&str, &str, &str); 6] = [
    ("style.css", CSS, include_str!("assets/style.css")),
    ("live.js", JAVASCRIPT, include_str!("assets/live.js")),
    ("run.js", JAVASCRIPT, include_str!("assets/run.js")),
    ("phone.js", JAVASCRIPT, include_str!("assets/phone.js")),
    ("world.js", JAVASCRIPT, include_str!("assets/world.js")),
    ("icon.svg", SVG, include_str!("assets/icon.svg")),
];

/// Changes with any of the files, so that a browser may keep what it has for ever.
static VERSION: LazyLock<String> = LazyLock::new(|| {
    let mut hash = Sha256::new();
    for (_, _, content) in FILES {
        hash.update(content);
    }
    hash.finalize()
        .iter()
        .take(6)
        .map(|byte| format!("{byte:02x}"))
        .collect()
});

/// What a page asks for `name` by, below `folder`.
pub(crate) fn url(folder: &str, name: &str) -> String {
    format!("{folder}/{name}?v={}", *VERSION)
}

#[derive(Deserialize)]
pub(crate) struct Asked {
    v: Option<String>,
}

#[handler]
pub(crate) fn serve(Path(name): Path<String>, Query(asked): Query<Asked>, request: &Request) -> Response {
    let Some((_, kind, content)) = FILES.into_iter().find(|(file, _, _)| *file == name) else {
        return super::not_found();
    };
    let tag = format!("\"{}\"", *VERSION);
    // Only the address that names this very content may be kept without asking again.
    let keep = if asked.v.as_deref() == Some(VERSION.as_str()) {
        "public, max-age=31536000, immutable"
    } else {
        "no-cache"
    };
    let answer = Response::builder()
        .header(header::CACHE_CONTROL, keep)
        .header(header::ETAG, &tag)
        .header("X-Content-Type-Options", "nosniff");
    if request.header(header::IF_NONE_MATCH) == Some(tag.as_str()) {
        return answer.status(StatusCode::NOT_MODIFIED).finish();
    }
    answer.content_type(kind).body(content)
}
