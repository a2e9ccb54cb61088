//! What is attached to messages, as a part of whatever page shows them: pictures, players, files.
use std::collections::HashMap;

use askama::{Template, filters::HtmlSafe};
use chrono::Utc;
use poem::{
    Response, handler,
    http::StatusCode,
    web::{Data, Path, Query},
};
use recado_domain::{MessageId, OwnerId, RecordingStatus};
use recado_store::{
    StoreError,
    calls::Recording,
    media::{self, Media, MediaState},
    messages, owners,
};
use serde::Deserialize;

use super::{layout::html, moment::played, problem::not_found};
use crate::{app::App, http::Problem, media::Links};

/// The attachments of one message; a template writes `{{ attachments }}`.
#[derive(Template)]
#[template(path = "media.html")]
pub(crate) struct Attachments {
    media: Vec<Shown>,
}

impl HtmlSafe for Attachments {}

struct Shown {
    kind: Kind,
    /// Where the file is; empty where there is none.
    file: String,
    small: String,
    name: String,
    size: String,
    /// Why there is none.
    error: String,
}

#[derive(PartialEq, Eq)]
enum Kind {
    Picture,
    Sound,
    Call,
    Coming,
    Film,
    File,
    Lost,
    Expired,
}

/// The attachments of these messages of `owner`, by message; those without any are absent. One statement.
///
/// # Errors
/// Those of the database.
pub(crate) async fn of_messages(
    app: &App,
    owner: &OwnerId,
    messages: &[&MessageId],
) -> Result<HashMap<MessageId, Attachments>, StoreError> {
    let (links, now) = (Links::new(&app.config), Utc::now().timestamp());
    let mut found = HashMap::new();
    for one in media::of_messages(&app.environment.database, owner, messages).await? {
        let attachments = found
            .entry(one.message.clone())
            .or_insert_with(|| Attachments { media: Vec::new() });
        attachments.media.push(Shown::of(&links, owner, now, one));
    }
    Ok(found)
}

/// The recordings of a call of `owner`.
pub(crate) fn of_recordings(app: &App, owner: &OwnerId, recordings: Vec<Recording>) -> Attachments {
    let (links, now) = (Links::new(&app.config), Utc::now().timestamp());
    let recordings = recordings.into_iter();
    Attachments {
        media: recordings
            .map(|one| Shown::of_recording(&links, owner, now, one))
            .collect(),
    }
}

impl Shown {
    fn of_recording(links: &Links, owner: &OwnerId, now: i64, one: Recording) -> Self {
        let kind = match (&one.kept, one.status) {
            (Some(_), _) => Kind::Call,
            (None, _) if one.is_expired => Kind::Expired,
            (None, RecordingStatus::Absent | RecordingStatus::Failed) => Kind::Lost,
            (None, _) => Kind::Coming,
        };
        let length = one.duration.map(played);
        Self {
            file: match kind {
                Kind::Call => links.file(owner, &one.sid, now),
                _ => String::new(),
            },
            small: String::new(),
            name: length.unwrap_or_default(),
            size: one.kept.map(|kept| size(kept.bytes)).unwrap_or_default(),
            error: one.status.to_string(),
            kind,
        }
    }

    fn of(links: &Links, owner: &OwnerId, now: i64, one: Media) -> Self {
        let kind = match (one.state, one.content_type.split('/').next()) {
            (MediaState::Failed, _) => Kind::Lost,
            (MediaState::Expired, _) => Kind::Expired,
            (MediaState::Stored, Some("image")) => Kind::Picture,
            (MediaState::Stored, Some("audio")) => Kind::Sound,
            (MediaState::Stored, Some("video")) => Kind::Film,
            (MediaState::Stored, _) => Kind::File,
        };
        let is_there = one.state == MediaState::Stored;
        Self {
            file: match is_there {
                true => links.file(owner, &one.id, now),
                false => String::new(),
            },
            small: match kind {
                Kind::Picture => links.small(owner, &one.id, now),
                _ => String::new(),
            },
            name: one.name.unwrap_or(one.content_type),
            size: size(one.bytes),
            error: one.error.unwrap_or_default(),
            kind,
        }
    }
}

/// `12 kB`, `3.4 MB`.
fn size(bytes: i64) -> String {
    match bytes {
        ..1_000 => format!("{bytes} B"),
        1_000..1_000_000 => format!("{} kB", bytes / 1_000),
        _ => format!("{:.1} MB", bytes as f64 / 1e6),
    }
}

#[derive(Deserialize)]
pub(crate) struct Asked {
    #[serde(default)]
    owner: Option<String>,
}

/// What the business has of a message with attachments, as a part of the telephone's page: them, and the text as it is
/// read.
#[derive(Template)]
#[template(path = "attachments.html")]
struct Received {
    attachments: Option<Attachments>,
    body: String,
}

/// The attachments of one message by its SID, of the owner `default` where no other is named; for the telephone of `dev`
/// alone, since elsewhere what people wrote is masked until somebody reveals it.
#[handler]
pub(crate) async fn of_message(
    Path(sid): Path<String>,
    Query(asked): Query<Asked>,
    Data(app): Data<&App>,
) -> Result<Response, Problem> {
    if !app.config.dev {
        return Ok(not_found());
    }
    let owner = OwnerId::from(asked.owner.unwrap_or_else(|| owners::DEFAULT.to_owned()));
    let Some(message) = messages::by_sid(&app.environment.database, &owner, &sid).await? else {
        return Ok(not_found());
    };
    let mut found = of_messages(app, &owner, &[&message.id]).await?;
    let received = Received {
        attachments: found.remove(&message.id),
        body: message.body,
    };
    Ok(html(StatusCode::OK, &received))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_read_as_people_say_them() {
        assert_eq!([999, 12_345, 3_449_000].map(size), ["999 B", "12 kB", "3.4 MB"]);
    }
}
