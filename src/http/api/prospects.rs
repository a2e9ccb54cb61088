//! What went between an owner and those whom it writes to, as JSON.
use chrono::{DateTime, Utc};
use poem::web::Data;
use poem_openapi::{
    Object, OpenApi,
    param::{Header, Path, Query},
    payload::Json,
};
use recado_domain::{Channel, Direction, MessageStatus};
use recado_store::prospects::{self, Communication, Filter};
use serde_json::Value;

use super::{Operator, Tag, lists, send_error::SendErrorItem};
use crate::{app::App, http::Problem};

/// Prospects.
pub(super) struct Prospects;

/// One message to or from a prospect.
#[derive(Object)]
pub(super) struct CommunicationItem {
    id: String,
    prospect: String,
    /// sms or whatsapp.
    #[oai(rename = "type")]
    channel: String,
    /// inbound or outbound.
    direction: String,
    /// To which address, as Twilio writes it.
    to: String,
    /// From which address.
    from: String,
    /// Its text.
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
    /// The run that received or sent it.
    run: Option<String>,
    /// When it was received, or meant to be sent.
    created_at: DateTime<Utc>,
    /// When Twilio took it.
    sent_at: Option<DateTime<Utc>>,
    /// When its status last changed.
    updated_at: DateTime<Utc>,
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
    /// At all addresses at which the prospect was written to, answers and what the prospect wrote among it.
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
        /// all (if absent), sms or whatsapp.
        #[oai(name = "type")]
        kind: Query<Option<String>>,
        limit: Query<Option<u64>>,
        cursor: Query<Option<String>>,
    ) -> poem::Result<Json<HistoryPage>> {
        let kind = kind.0.filter(|kind| kind != "all");
        let channel = lists::word("type", kind, |text| Channel::parse(text).ok())?;
        let (owner, limit) = (lists::owner(owner.0), lists::limit(limit.0)?);
        let database = &app.environment.database;
        let known = prospects::exists(database, &owner, &id.0).await;
        if !known.map_err(Problem::from)? {
            return Err(Problem::not_found("prospect").into());
        }
        let filter = Filter {
            channel,
            ..Filter::default()
        };
        let cursor = cursor.0.as_deref();
        let page = prospects::history(database, &owner, &id.0, filter, cursor, limit)
            .await
            .map_err(Problem::from)?;
        let item = |message| CommunicationItem::of(&id.0, message);
        Ok(Json(HistoryPage {
            items: page.items.into_iter().map(item).collect(),
            next: page.next,
        }))
    }
}

impl CommunicationItem {
    fn of(prospect: &str, message: Communication) -> Self {
        let (ours, theirs) = (message.ours.to_twilio(), message.theirs.to_twilio());
        let (from, to) = match message.direction {
            Direction::Inbound => (theirs, ours),
            Direction::Outbound => (ours, theirs),
        };
        let form: Value = message
            .form
            .as_deref()
            .and_then(|form| serde_json::from_str(form).ok())
            .unwrap_or_default();
        let failed = matches!(
            message.status,
            Some(MessageStatus::Failed | MessageStatus::Undelivered)
        );
        let error = (failed || message.error_code.is_some())
            .then(|| SendErrorItem::of(message.error_code, message.error_message));
        Self {
            id: message.id.to_string(),
            prospect: prospect.to_owned(),
            channel: message.channel.to_string(),
            direction: message.direction.as_str().to_owned(),
            to,
            from,
            body: message.body,
            media_urls: media_urls(&form),
            template: form.get("template").cloned(),
            sid: message.twilio_sid,
            status: message.status.map(|status| status.as_str().to_owned()),
            error,
            run: message.run,
            created_at: message.created_at,
            sent_at: message.sent_at,
            updated_at: message.updated_at,
        }
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
