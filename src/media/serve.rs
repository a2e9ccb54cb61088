//! `/media/{id}`: the file of an attachment, for whoever has a link that holds.
//!
//! What contacts send is hostile: it is never run in our pages' name (`sandbox`, `nosniff`), and what a browser does not
//! merely show is saved to disk.
use std::{borrow::Cow, ops::Range};

use chrono::Utc;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use poem::{
    Body, Request, Response, handler,
    http::{StatusCode, header},
    web::{Data, Path, Query},
};
use recado_clients::media::{MediaStoreError, Rendition};
use recado_domain::OwnerId;
use recado_store::media::{self, Media, MediaState};

use super::{
    Links,
    link::{BadLink, Link},
    thumbnail,
};
use crate::{app::App, http::Problem};

/// The file as it came, or the part of it that the browser's player asks for.
#[handler]
pub(crate) async fn file(
    request: &Request,
    Path(id): Path<String>,
    Query(link): Query<Link>,
    Data(app): Data<&App>,
) -> Result<Response, Problem> {
    let (owner, media, hash) = find(app, &link, &id).await?;
    let store = &app.environment.media;
    let size = store
        .look(owner.as_str(), &hash, Rendition::Original)
        .await
        .map_err(of_store)?
        .size;
    let asked = request.header(header::RANGE).map(|text| range(text, size));
    let part = match asked {
        Some(Asked::Nowhere) => {
            return Ok(Response::builder()
                .status(StatusCode::RANGE_NOT_SATISFIABLE)
                .header(header::CONTENT_RANGE, format!("bytes */{size}"))
                .finish());
        }
        Some(Asked::Part(part)) => Some(part),
        Some(Asked::Whole) | None => None,
    };
    // A recording may be larger than what fits into memory beside those that others listen to.
    let pieces = store.stream(owner.as_str(), &hash, part.clone()).await;
    let body = Body::from_bytes_stream(pieces.map_err(of_store)?);
    let length = part.as_ref().map_or(size, |part| part.end - part.start);
    let answer = Response::builder()
        .content_type(media.content_type.as_str())
        .header(header::CONTENT_DISPOSITION, disposition(&media))
        .header(header::ACCEPT_RANGES, "bytes")
        .header(header::CONTENT_LENGTH, length)
        .header(header::CACHE_CONTROL, "private, max-age=600");
    Ok(match part {
        Some(part) => answer
            .status(StatusCode::PARTIAL_CONTENT)
            .header(
                header::CONTENT_RANGE,
                format!("bytes {}-{}/{size}", part.start, part.end - 1),
            )
            .body(body),
        None => answer.body(body),
    })
}

/// A small picture of the file, made when it is wanted first.
#[handler]
pub(crate) async fn small(
    Path(id): Path<String>,
    Query(link): Query<Link>,
    Data(app): Data<&App>,
) -> Result<Response, Problem> {
    let (owner, media, hash) = find(app, &link, &id).await?;
    if !media.content_type.starts_with("image/") {
        return Err(Problem::not_found("small picture of this attachment"));
    }
    let (store, owner) = (&app.environment.media, owner.as_str());
    let picture = match store.get(owner, &hash, Rendition::Thumbnail).await {
        Err(MediaStoreError::Gone) => {
            let none = || Problem::not_found("small picture of this attachment");
            let place = thumbnail::place().await.ok_or_else(none)?;
            let original = store.get(owner, &hash, Rendition::Original).await;
            let made = place
                .thumbnail(original.map_err(of_store)?)
                .await
                .ok_or_else(none)?;
            store
                .put_thumbnail(owner, &hash, made.clone())
                .await
                .map_err(of_store)?;
            made
        }
        found => found.map_err(of_store)?,
    };
    Ok(Response::builder()
        .content_type("image/jpeg")
        .header(header::CACHE_CONTROL, "private, max-age=600")
        .body(picture))
}

/// The attachment that a link leads to.
async fn find(app: &App, link: &Link, id: &str) -> Result<(OwnerId, Media, String), Problem> {
    let checked = Links::new(&app.config).check(link, id, Utc::now().timestamp());
    let owner = checked.map_err(|bad| {
        let told = match bad {
            BadLink::Forged => "this link was not made here; open the message again for one that holds",
            BadLink::Over => "the time of this link is over; open the message again for a new one",
        };
        Problem::new(StatusCode::FORBIDDEN, told)
    })?;
    let found = media::find(&app.environment.database, &owner, id).await?;
    let media = found.ok_or_else(|| Problem::not_found("attachment"))?;
    match (media.state, media.sha256.clone()) {
        (MediaState::Stored, Some(hash)) => Ok((owner, media, hash)),
        (MediaState::Failed, _) => Err(Problem::not_found(
            "file: it could not be had when the message came",
        )),
        _ => Err(Problem::new(StatusCode::GONE, "this file is not kept any more")),
    }
}

fn of_store(error: MediaStoreError) -> Problem {
    match error {
        MediaStoreError::Gone => Problem::new(StatusCode::GONE, "this file is not kept any more"),
        MediaStoreError::Away(_) | MediaStoreError::Setup(_) => {
            tracing::warn!(%error, "an attachment cannot be read");
            Problem::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "the storage of attachments does not answer; try again",
            )
        }
    }
}

/// What a browser shows by itself is shown; anything else is saved.
fn disposition(media: &Media) -> String {
    let kind = media.content_type.split('/').next().unwrap_or_default();
    let way = if matches!(kind, "image" | "audio" | "video") {
        "inline"
    } else {
        "attachment"
    };
    let name = match &media.name {
        Some(name) => Cow::from(name.as_str()),
        None => {
            let ending = media.content_type.rsplit(['/', '-', '.']).next().unwrap_or("bin");
            Cow::from(format!("{}.{ending}", media.id))
        }
    };
    format!(
        "{way}; filename*=UTF-8''{}",
        utf8_percent_encode(&name, NON_ALPHANUMERIC)
    )
}

/// What a `Range` header asks for.
#[derive(Debug, PartialEq, Eq)]
enum Asked {
    Part(Range<u64>),
    Nowhere,
    Whole,
}

/// One part of a file; several, or what cannot be understood, is the whole. Source: RFC 9110, section 14.
fn range(text: &str, size: u64) -> Asked {
    let Some((first, last)) = text
        .strip_prefix("bytes=")
        .and_then(|range| range.split_once('-'))
    else {
        return Asked::Whole;
    };
    let (first, last) = (first.trim(), last.trim());
    let part = match (first.parse::<u64>(), last.parse::<u64>()) {
        (Ok(first), Ok(last)) => first..last.saturating_add(1).min(size),
        (Ok(first), Err(_)) if last.is_empty() => first..size,
        (Err(_), Ok(last)) if first.is_empty() => size.saturating_sub(last)..size,
        _ => return Asked::Whole,
    };
    if part.is_empty() {
        Asked::Nowhere
    } else {
        Asked::Part(part)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_part_that_a_player_asks_for_is_within_the_file() {
        for (text, expected) in [
            ("bytes=0-4", Asked::Part(0..5)),
            ("bytes=5-", Asked::Part(5..10)),
            ("bytes=-3", Asked::Part(7..10)),
            ("bytes=-30", Asked::Part(0..10)),
            ("bytes=8-99", Asked::Part(8..10)),
            ("bytes=10-", Asked::Nowhere),
            ("bytes=5-4", Asked::Nowhere),
            ("bytes=0-1,3-4", Asked::Whole),
            ("bytes=0-18446744073709551615", Asked::Part(0..10)),
            ("pages=1-2", Asked::Whole),
            ("bytes=a-b", Asked::Whole),
        ] {
            assert_eq!(range(text, 10), expected, "{text}");
        }
    }
}
