//! Campaigns, as JSON and CSV.
use chrono::{DateTime, Utc};
use poem::web::Data;
use poem_openapi::{
    ApiRequest, ApiResponse, Object, OpenApi,
    param::{Header, Path, Query},
    payload::{Attachment, AttachmentType, Json, PlainText},
};
use recado_domain::{CampaignMessage, CampaignState, Channel, Fields, Template};
use recado_store::campaigns::{self as store, Campaign, Person, PersonState, Progress, Which};
use serde_json::Value;

use super::{Operator, Tag, lists, send_error::SendErrorItem};
use crate::{
    app::App,
    campaigns::{self, Act, Draft, Row},
    http::Problem,
};

mod items;

use items::{CampaignItem, CampaignPage, PersonPage, PreviewItem};

/// Campaigns.
pub(super) struct Campaigns;

/// A campaign to be made.
#[derive(Object)]
pub(super) struct NewCampaignBody {
    /// What people call it, at most 200 characters.
    name: String,
    /// sms (if absent) or whatsapp.
    channel: Option<String>,
    /// From where, as in `/messages/sms`.
    from: Option<String>,
    /// The text; `{name}` stands for the column of that name, `{{` and `}}` for braces.
    body: Option<String>,
    /// Where Twilio fetches what is attached; may have gaps too.
    #[oai(default)]
    media_urls: Vec<String>,
    /// A template that is sent instead of a text: `{sid, variables}`; what stands in its variables may have gaps.
    template: Option<Value>,
    /// How many people a minute; as fast as limits allow if absent.
    pace: Option<u32>,
    /// One object of texts for each person: `to` (required), `prospect` (the number if absent), and what the gaps name.
    rows: Vec<Value>,
}

/// A campaign to be made: with its rows as JSON, or as a CSV file whose message stands in the URL.
#[derive(ApiRequest)]
pub(super) enum NewCampaignRequest {
    /// With its rows.
    Json(Json<NewCampaignBody>),
    /// The rows: columns named by the first line, one of them `to`.
    #[oai(content_type = "text/csv")]
    Csv(PlainText<String>),
}

/// A campaign that was asked for.
#[derive(ApiResponse)]
pub(super) enum MadeAnswer {
    /// It is a draft: nothing goes before it is started.
    #[oai(status = 201)]
    Made(Json<PreviewItem>),
}

/// A file.
#[derive(ApiResponse)]
pub(super) enum FileAnswer {
    /// A line for each person.
    #[oai(status = 200, content_type = "text/csv")]
    File(Attachment<poem::Body>),
}

#[OpenApi(tag = "Tag::Campaigns")]
impl Campaigns {
    /// Makes a campaign, and looks at each of its rows
    ///
    /// Nothing goes before it is started. Of a row that cannot be sent it is said why: the number, a column that is
    /// missing, somebody who opted out, the same number again. The same `Idempotency-Key` finds the same campaign; 409 where
    /// that has another content. As
    /// `text/csv` the message stands in the query.
    #[oai(path = "/campaigns", method = "post")]
    #[expect(clippy::too_many_arguments, reason = "each is a parameter of the URL")]
    async fn make(
        &self,
        Data(app): Data<&App>,
        _operator: Operator,
        /// The owner for whom to act; `default` if absent.
        #[oai(name = "Recado-Owner")]
        owner: Header<Option<String>>,
        #[oai(name = "Idempotency-Key", validator(max_length = 500))] key: Header<Option<String>>,
        name: Query<Option<String>>,
        channel: Query<Option<String>>,
        from: Query<Option<String>>,
        body: Query<Option<String>>,
        media_url: Query<Option<String>>,
        template_sid: Query<Option<String>>,
        /// A JSON object of texts.
        template_variables: Query<Option<String>>,
        pace: Query<Option<u32>>,
        campaign: NewCampaignRequest,
    ) -> poem::Result<MadeAnswer> {
        let owner = lists::owner(owner.0);
        let asked = match campaign {
            NewCampaignRequest::Json(body) => {
                let rows = body.0.rows.iter().map(fields).collect();
                (body.0, rows)
            }
            NewCampaignRequest::Csv(text) => {
                let variables = template_variables.0.as_deref().map(serde_json::from_str::<Value>);
                let variables = variables.transpose().map_err(|_| {
                    Problem::unprocessable(
                        "template_variables",
                        "template_variables must be a JSON object of texts",
                    )
                })?;
                let template = template_sid
                    .0
                    .map(|sid| serde_json::json!({ "sid": sid, "variables": variables.unwrap_or_default() }));
                let body = NewCampaignBody {
                    name: name.0.unwrap_or_default(),
                    channel: channel.0,
                    from: from.0,
                    body: body.0,
                    media_urls: media_url.0.into_iter().collect(),
                    template,
                    pace: pace.0,
                    rows: Vec::new(),
                };
                (body, campaigns::read_csv(text.0).await?)
            }
        };
        let draft = draft(asked.0, asked.1, key.0.filter(|key| !key.is_empty()))?;
        let made = campaigns::make(app, &owner, draft).await?;
        let (campaign, progress) = campaigns::find(app, &owner, &made.id).await?;
        let database = &app.environment.database;
        let some = async |state| {
            store::people(database, &owner, &made.id, Some(state), None, PreviewItem::ROWS).await
        };
        let invalid = some(PersonState::Invalid).await.map_err(Problem::from)?;
        let ready = some(PersonState::Ready).await.map_err(Problem::from)?;
        Ok(MadeAnswer::Made(Json(PreviewItem::of(
            campaign,
            progress,
            invalid.items,
            ready.items,
        ))))
    }

    /// Lists an owner's campaigns, newest first
    #[oai(path = "/campaigns", method = "get")]
    #[expect(clippy::too_many_arguments, reason = "each is a parameter of the URL")]
    async fn list(
        &self,
        Data(app): Data<&App>,
        _operator: Operator,
        /// The owner for whom to act; `default` if absent.
        #[oai(name = "Recado-Owner")]
        owner: Header<Option<String>>,
        /// draft, running, paused, completed or cancelled.
        state: Query<Option<String>>,
        /// Only with this in the name.
        name: Query<Option<String>>,
        limit: Query<Option<u64>>,
        cursor: Query<Option<String>>,
    ) -> poem::Result<Json<CampaignPage>> {
        let which = Which {
            state: lists::word("state", state.0, |word| CampaignState::parse(word).ok())?,
            name: name.0.filter(|name| !name.is_empty()),
        };
        let (owner, limit) = (lists::owner(owner.0), lists::limit(limit.0)?);
        let database = &app.environment.database;
        let page = store::list(database, &owner, &which, cursor.0.as_deref(), limit).await;
        let page = page.map_err(Problem::from)?;
        let ids: Vec<&str> = page.items.iter().map(|campaign| campaign.id.as_str()).collect();
        let progress = store::progress_of(database, &owner, &ids).await;
        let progress = progress.map_err(Problem::from)?;
        let item = |campaign: Campaign| {
            let progress = progress.get(&campaign.id).copied().unwrap_or_default();
            CampaignItem::of(campaign, progress)
        };
        let items = page.items.into_iter().map(item).collect();
        Ok(Json(CampaignPage {
            items,
            next: page.next,
        }))
    }

    /// Shows a campaign, and how far it is
    #[oai(path = "/campaigns/:id", method = "get")]
    async fn show(
        &self,
        Data(app): Data<&App>,
        _operator: Operator,
        /// The owner for whom to act; `default` if absent.
        #[oai(name = "Recado-Owner")]
        owner: Header<Option<String>>,
        id: Path<String>,
    ) -> poem::Result<Json<CampaignItem>> {
        let (campaign, progress) = campaigns::find(app, &lists::owner(owner.0), &id.0).await?;
        Ok(Json(CampaignItem::of(campaign, progress)))
    }

    /// Lists the people of a campaign, in their order
    #[oai(path = "/campaigns/:id/rows", method = "get")]
    #[expect(clippy::too_many_arguments, reason = "each is a parameter of the URL")]
    async fn rows(
        &self,
        Data(app): Data<&App>,
        _operator: Operator,
        /// The owner for whom to act; `default` if absent.
        #[oai(name = "Recado-Owner")]
        owner: Header<Option<String>>,
        id: Path<String>,
        /// ready, invalid, taken, sent, failed, held or cancelled.
        state: Query<Option<String>>,
        limit: Query<Option<u64>>,
        cursor: Query<Option<i64>>,
    ) -> poem::Result<Json<PersonPage>> {
        let owner = lists::owner(owner.0);
        let state = lists::word("state", state.0, |word| PersonState::parse(word).ok())?;
        campaigns::find(app, &owner, &id.0).await?;
        let (database, limit) = (&app.environment.database, lists::limit(limit.0)?);
        let page = store::people(database, &owner, &id.0, state, cursor.0, limit).await;
        Ok(Json(PersonPage::of(page.map_err(Problem::from)?)))
    }

    /// Starts, pauses, resumes or cancels a campaign
    ///
    /// What was taken before a pause or a cancel is still sent. To do it twice is as good as once; 409 where the state
    /// does not allow it.
    #[oai(path = "/campaigns/:id/:act", method = "post")]
    async fn act(
        &self,
        Data(app): Data<&App>,
        _operator: Operator,
        /// The owner for whom to act; `default` if absent.
        #[oai(name = "Recado-Owner")]
        owner: Header<Option<String>>,
        id: Path<String>,
        /// start, pause, resume or cancel.
        act: Path<String>,
    ) -> poem::Result<Json<CampaignItem>> {
        let act = Act::parse(&act.0).ok_or_else(|| Problem::not_found("act"))?;
        let (campaign, progress) = campaigns::act(app, &lists::owner(owner.0), &id.0, act).await?;
        Ok(Json(CampaignItem::of(campaign, progress)))
    }

    /// What became of each person, as a CSV file
    #[oai(path = "/campaigns/:id/result", method = "get")]
    async fn result(
        &self,
        Data(app): Data<&App>,
        _operator: Operator,
        /// The owner for whom to act; `default` if absent.
        #[oai(name = "Recado-Owner")]
        owner: Header<Option<String>>,
        id: Path<String>,
    ) -> poem::Result<FileAnswer> {
        let owner = lists::owner(owner.0);
        campaigns::find(app, &owner, &id.0).await?;
        let file = Attachment::new(campaigns::result(app, &owner, &id.0))
            .attachment_type(AttachmentType::Attachment)
            .filename(format!("{}.csv", id.0));
        Ok(FileAnswer::File(file))
    }
}

/// A campaign as it is asked for.
fn draft(body: NewCampaignBody, rows: Vec<Row>, key: Option<String>) -> Result<Draft, Problem> {
    let channel = body.channel.as_deref().unwrap_or("sms");
    let channel = Channel::parse(channel)
        .map_err(|_| Problem::unprocessable("channel", "channel is sms or whatsapp"))?;
    let template = body.template.map(serde_json::from_value::<Template>).transpose();
    let template = template.map_err(|_| {
        let told = "template must be {sid, variables}, with an object of texts, as in {\"1\": \"{name}\"}";
        Problem::unprocessable("template", told)
    })?;
    Ok(Draft {
        name: body.name,
        channel,
        from: body.from,
        message: CampaignMessage {
            body: body.body.unwrap_or_default(),
            media_urls: body.media_urls,
            template,
        },
        pace: body.pace,
        key,
        rows,
    })
}

/// A row of texts and numbers.
fn fields(row: &Value) -> Row {
    let not_texts = || "the row must be an object of texts, as in {\"to\": \"+5511987654321\"}".to_owned();
    let Value::Object(row) = row else {
        return Err(not_texts());
    };
    let texts = row.iter().map(|(name, value)| match value {
        Value::String(text) => Ok((name.clone(), text.clone())),
        Value::Number(number) => Ok((name.clone(), number.to_string())),
        Value::Null => Ok((name.clone(), String::new())),
        _ => Err(not_texts()),
    });
    texts.collect::<Result<Fields, _>>()
}
