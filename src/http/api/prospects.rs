//! What went between an owner and those whom it writes to, as JSON.
use chrono::{DateTime, Utc};
use poem::web::Data;
use poem_openapi::{
    Object, OpenApi,
    param::{Header, Path, Query},
    payload::Json,
};
use recado_domain::{Direction, OwnerId};
use recado_store::{
    calls::Recording,
    prospects::{self, Communication, Filter, Medium},
};
use serde_json::Value;
use url::Url;

use super::{Operator, Tag, lists, send_error::SendErrorItem};
use crate::{app::App, http::Problem, media::Links};

/// Prospects.
pub(super) struct Prospects;

/// One message or call to or from a prospect.
#[derive(Object)]
pub(super) struct CommunicationItem {
    id: String,
    prospect: String,
    /// sms, whatsapp or call.
    #[oai(rename = "type")]
    medium: String,
    /// inbound or outbound.
    direction: String,
    /// To which address, as Twilio writes it.
    to: String,
    /// From which address.
    from: String,
    /// Its text; of a call empty.
    body: String,
    /// Where its media were, as it was sent or as Twilio told.
    media_urls: Vec<String>,
    /// The template that was sent, and what stood in its gaps.
    template: Option<Value>,
    /// Twilio's id of it.
    sid: Option<String>,
    /// Twilio's word on it; null before Twilio has it.
    status: Option<String>,
    /// Why it was not sent, or did not arrive.
    error: Option<SendErrorItem>,
    /// How long a call was, in seconds; null before its end.
    duration: Option<i64>,
    /// Who answered a call, in Twilio's words; null where nobody asked for that.
    answered_by: Option<String>,
    /// What Twilio charged for it, as in `0.0083`; null before it tells, up to a day later.
    price: Option<String>,
    /// In which currency, as in `USD`.
    price_unit: Option<String>,
    /// The recordings of a call, oldest first.
    recordings: Vec<RecordingItem>,
    /// The run that received, sent or made it.
    run: Option<String>,
    /// When it was received, or meant to be sent.
    created_at: DateTime<Utc>,
    /// When Twilio took it.
    sent_at: Option<DateTime<Utc>>,
    /// When its status last changed.
    updated_at: DateTime<Utc>,
}

/// A recording of a call.
#[derive(Object)]
pub(super) struct RecordingItem {
    /// Twilio's id of it.
    sid: String,
    /// Twilio's word on it, such as in-progress, completed or absent.
    status: String,
    /// How long it is, in seconds.
    duration: Option<i64>,
    /// Where the audio is, for some 10 to 20 minutes; null before it is fetched, and once it is not kept any more. It
    /// needs no token. What a voicemail says is in the message that it became.
    url: Option<String>,
}

/// Makes links to recordings.
struct Linker<'a> {
    links: Links,
    base: &'a str,
    owner: OwnerId,
    now: i64,
}

impl Linker<'_> {
    fn item(&self, recording: Recording) -> RecordingItem {
        let link = |_| {
            format!(
                "{}{}",
                self.base,
                self.links.file(&self.owner, &recording.sid, self.now)
            )
        };
        RecordingItem {
            url: recording.kept.map(link),
            status: recording.status.to_string(),
            duration: recording.duration,
            sid: recording.sid,
        }
    }
}

/// A page of a history, newest first.
#[derive(Object)]
pub(super) struct HistoryPage {
    items: Vec<CommunicationItem>,
    /// The cursor of the next page, if there is one.
    next: Option<String>,
}

#[OpenApi(tag = "Tag::Messages")]
impl Prospects {
    /// Lists what went between an owner and a prospect, newest first
    ///
    /// At all addresses at which the prospect was written to or called, answers and what the prospect wrote among it.
    #[oai(path = "/prospects/:id/history", method = "get")]
    #[expect(clippy::too_many_arguments, reason = "each is a parameter of the URL")]
    async fn history(
        &self,
        Data(app): Data<&App>,
        _operator: Operator,
        /// The owner for whom to act; `default` if absent.
        #[oai(name = "Recado-Owner")]
        owner: Header<Option<String>>,
        id: Path<String>,
        /// all (if absent), sms, whatsapp or call.
        #[oai(name = "type")]
        kind: Query<Option<String>>,
        limit: Query<Option<u64>>,
        cursor: Query<Option<String>>,
    ) -> poem::Result<Json<HistoryPage>> {
        let kind = kind.0.filter(|kind| kind != "all");
        let medium = lists::word("type", kind, |text| Medium::parse(text).ok())?;
        let (owner, limit) = (lists::owner(owner.0), lists::limit(limit.0)?);
        let database = &app.environment.database;
        let known = prospects::exists(database, &owner, &id.0).await;
        if !known.map_err(Problem::from)? {
            return Err(Problem::not_found("prospect").into());
        }
        let filter = Filter {
            medium,
            ..Filter::default()
        };
        let cursor = cursor.0.as_deref();
        let page = prospects::history(database, &owner, &id.0, filter, cursor, limit)
            .await
            .map_err(Problem::from)?;
        let base = app
            .config
            .public_url
            .as_ref()
            .map(Url::as_str)
            .unwrap_or_default();
        let linker = Linker {
            links: Links::new(&app.config),
            base: base.trim_end_matches('/'),
            owner,
            now: Utc::now().timestamp(),
        };
        let item = |message| CommunicationItem::of(&id.0, message, &linker);
        Ok(Json(HistoryPage {
            items: page.items.into_iter().map(item).collect(),
            next: page.next,
        }))
    }
}

impl CommunicationItem {
    fn of(prospect: &str, message: Communication, linker: &Linker<'_>) -> Self {
        let (ours, theirs) = (message.ours, message.theirs);
        let (from, to) = match message.direction {
            Direction::Inbound => (theirs, ours),
            Direction::Outbound => (ours, theirs),
        };
        let form: Value = message
            .form
            .as_deref()
            .and_then(|form| serde_json::from_str(form).ok())
            .unwrap_or_default();
        let error = (message.is_failure || message.error_code.is_some())
            .then(|| SendErrorItem::of(message.error_code, message.error_message));
        let (price, price_unit) = message.price.unzip();
        Self {
            id: message.id,
            prospect: prospect.to_owned(),
            medium: message.medium.as_str().to_owned(),
            direction: message.direction.as_str().to_owned(),
            to,
            from,
            body: message.body,
            media_urls: media_urls(&form),
            template: form.get("template").cloned(),
            sid: message.twilio_sid,
            status: message.status,
            error,
            duration: message.duration,
            answered_by: message.answered_by,
            price: price.map(decimal),
            price_unit,
            recordings: message
                .recordings
                .into_iter()
                .map(|recording| linker.item(recording))
                .collect(),
            run: message.run,
            created_at: message.created_at,
            sent_at: message.sent_at,
            updated_at: message.updated_at,
        }
    }
}

/// Millionths as a decimal number, without zeros that say nothing.
fn decimal(millionths: i64) -> String {
    let sign = if millionths < 0 { "-" } else { "" };
    let (whole, part) = (
        millionths.unsigned_abs() / 1_000_000,
        millionths.unsigned_abs() % 1_000_000,
    );
    let part = format!("{part:06}");
    let part = part.trim_end_matches('0');
    match part.is_empty() {
        true => format!("{sign}{whole}"),
        false => format!("{sign}{whole}.{part}"),
    }
}

/// Of a message of ours what it was sent with, of one of theirs what Twilio's form tells.
fn media_urls(form: &Value) -> Vec<String> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    match form {
        Value::Object(ours) => {
            let urls = ours.get("media_urls").and_then(Value::as_array);
            urls.into_iter().flatten().filter_map(text).collect()
        }
        Value::Array(fields) => {
            let is_media =
                |field: &&Value| field[0].as_str().is_some_and(|name| name.starts_with("MediaUrl"));
            fields
                .iter()
                .filter(is_media)
                .filter_map(|field| text(&field[1]))
                .collect()
        }
        _ => Vec::new(),
    }
}
