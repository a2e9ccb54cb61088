//! What is attached to messages, as JSON.
use chrono::{DateTime, Utc};
use poem::web::Data;
use poem_openapi::{
    Object, OpenApi,
    param::{Header, Path},
    payload::Json,
};
use recado_store::{
    media::{self, Media, MediaState},
    messages,
};
use url::Url;

use super::{Operator, Tag, lists};
use crate::{app::App, http::Problem, media::Links};

/// Attachments.
pub(super) struct Attachments;

/// What is attached to a message.
#[derive(Object)]
pub(super) struct MediaItem {
    /// Its id.
    id: String,
    /// stored: there is a file. failed: it could not be had. expired: it is not kept any more.
    state: String,
    /// What it is, by its content; of one that failed, what it was declared to be.
    content_type: String,
    /// Its size.
    bytes: i64,
    /// How long it plays, where that is known.
    seconds: Option<i64>,
    /// The name that the sender's file had.
    name: Option<String>,
    /// Where the file is, for some 10 to 20 minutes; null if there is none. It needs no token.
    url: Option<String>,
    /// Where a small picture of it is, if it is a picture.
    small_url: Option<String>,
    /// Why there is no file.
    error: Option<String>,
    /// When it came.
    created_at: DateTime<Utc>,
}

/// All that is attached to a message.
#[derive(Object)]
pub(super) struct MediaList {
    /// In their order; Twilio sends at most ten.
    items: Vec<MediaItem>,
    /// What the message says, with what was understood of its voice notes.
    body: String,
}

#[OpenApi(tag = "Tag::Messages")]
impl Attachments {
    /// Lists what is attached to a message that came in
    ///
    /// It is there once the message's run has fetched it, usually within a second.
    #[oai(path = "/messages/:sid/media", method = "get")]
    async fn list(
        &self,
        Data(app): Data<&App>,
        _operator: Operator,
        /// The owner for whom to act; `default` if absent.
        #[oai(name = "Recado-Owner")]
        owner: Header<Option<String>>,
        /// Twilio's id of the message.
        sid: Path<String>,
    ) -> poem::Result<Json<MediaList>> {
        let (owner, conn) = (lists::owner(owner.0), &app.environment.database);
        let found = messages::by_sid(conn, &owner, &sid.0)
            .await
            .map_err(Problem::from)?;
        let message = found.ok_or_else(|| Problem::not_found("message"))?;
        let media = media::of_messages(conn, &owner, &[&message.id])
            .await
            .map_err(Problem::from)?;
        let (links, now) = (Links::new(&app.config), Utc::now().timestamp());
        let base = app
            .config
            .public_url
            .as_ref()
            .map(Url::as_str)
            .unwrap_or_default();
        let base = base.trim_end_matches('/');
        let item = |one: Media| {
            let is_there = one.state == MediaState::Stored;
            let is_picture = one.content_type.starts_with("image/");
            let file = || format!("{base}{}", links.file(&owner, &one.id, now));
            let small = || format!("{base}{}", links.small(&owner, &one.id, now));
            MediaItem {
                url: is_there.then(file),
                small_url: (is_there && is_picture).then(small),
                id: one.id,
                state: one.state.as_str().to_owned(),
                content_type: one.content_type,
                bytes: one.bytes,
                seconds: one.seconds,
                name: one.name,
                error: one.error,
                created_at: one.created_at,
            }
        };
        Ok(Json(MediaList {
            items: media.into_iter().map(item).collect(),
            body: message.body,
        }))
    }
}
