//! Messages that answer nobody, as JSON; a hundred at once are in [`batch`].
use std::collections::BTreeMap;

use chrono::Utc;
use poem::web::Data;
use poem_openapi::{ApiResponse, Object, OpenApi, param::Header, payload::Json};
use recado_domain::{Channel, OwnerId};
use recado_engine::{Run, RunState, Start, Workflow};
use recado_store::{
    accounts, owners,
    prospects::{self, Admitted},
};
use recado_workflows::{Delivery, SendMessage};
use serde_json::Value;

use super::{
    Operator, Tag,
    conversations::Refused,
    lists,
    runs::RunItem,
    send_error,
    starts::{begin, patience},
};
use crate::{app::App, http::Problem};

mod batch;
pub(super) mod new_message;

use batch::{BatchAnswer, NewMessages, send_batch};
use new_message::{NewMessage, Times};

/// Messages.
pub(super) struct Messages;

/// A message or call that Twilio took.
#[derive(Object)]
pub(super) struct SentMessage {
    /// The run that sent or made it.
    run: String,
    /// Twilio's id of it, or of its first part.
    sid: Option<String>,
    /// Twilio's ids of the other parts of a long text, in order.
    more_sids: Vec<String>,
    /// Twilio's word on it, such as `queued`; what becomes of it later is in the history.
    status: String,
    /// To whom, as Twilio writes it.
    to: String,
}

/// A message or call that was asked for.
#[derive(ApiResponse)]
pub(super) enum SendAnswer {
    /// Twilio took it in the time that the caller would wait.
    #[oai(status = 200)]
    Sent(Json<SentMessage>),
    /// Its run is on the disk, and sends it.
    #[oai(status = 202)]
    Started(Json<RunItem>),
}

#[OpenApi(tag = "Tag::Messages")]
impl Messages {
    /// Sends an SMS
    ///
    /// A run of `send_message` sends it, once. The same `Idempotency-Key` finds the same run, for ever. With `Prefer:
    /// wait=N` the answer waits up to N seconds, 60 at most, for Twilio's answer; a message that is not sent is a problem
    /// then, with Twilio's `code`, its `meaning` and a `remedy`; 409 where nobody can tell. More than 10 messages a minute
    /// to one prospect are answered 429.
    #[oai(path = "/messages/sms", method = "post")]
    async fn sms(
        &self,
        Data(app): Data<&App>,
        _operator: Operator,
        /// The owner for whom to act; `default` if absent.
        #[oai(name = "Recado-Owner")]
        owner: Header<Option<String>>,
        #[oai(name = "Idempotency-Key", validator(max_length = 500))] key: Header<Option<String>>,
        #[oai(name = "Prefer")] prefer: Header<Option<String>>,
        message: Json<NewMessage>,
    ) -> poem::Result<SendAnswer> {
        let request = Request::of(owner.0, key.0, prefer.0.as_deref())?;
        Ok(send(app, request, Channel::Sms, message.0).await?)
    }

    /// Sends a WhatsApp message
    ///
    /// As an SMS. Whether the person wants messages, and wrote within the last 24 hours, is looked at in the moment of
    /// sending; outside of these 24 hours only a template is sent (63016).
    #[oai(path = "/messages/whatsapp", method = "post")]
    async fn whatsapp(
        &self,
        Data(app): Data<&App>,
        _operator: Operator,
        /// The owner for whom to act; `default` if absent.
        #[oai(name = "Recado-Owner")]
        owner: Header<Option<String>>,
        #[oai(name = "Idempotency-Key", validator(max_length = 500))] key: Header<Option<String>>,
        #[oai(name = "Prefer")] prefer: Header<Option<String>>,
        message: Json<NewMessage>,
    ) -> poem::Result<SendAnswer> {
        let request = Request::of(owner.0, key.0, prefer.0.as_deref())?;
        Ok(send(app, request, Channel::Whatsapp, message.0).await?)
    }

    /// Sends up to 100 messages
    ///
    /// Rows that cannot be sent are reported, and the others are sent, each by a run of its own; 429 where the limit of
    /// their prospects lets none of them go now. `Idempotency-Key` and `Prefer: wait=N` as for one.
    #[oai(path = "/messages/batch", method = "post")]
    async fn batch(
        &self,
        Data(app): Data<&App>,
        _operator: Operator,
        /// The owner for whom to act; `default` if absent.
        #[oai(name = "Recado-Owner")]
        owner: Header<Option<String>>,
        #[oai(name = "Idempotency-Key", validator(max_length = 500))] key: Header<Option<String>>,
        #[oai(name = "Prefer")] prefer: Header<Option<String>>,
        batch: Json<NewMessages>,
    ) -> poem::Result<BatchAnswer> {
        let request = Request::of(owner.0, key.0, prefer.0.as_deref())?;
        Ok(send_batch(app, request, batch.0.messages).await?)
    }
}

/// Who asks, by which key, and how long for.
pub(super) struct Request {
    pub(super) owner: OwnerId,
    key: Option<String>,
    pub(super) patience: std::time::Duration,
}

impl Request {
    pub(super) fn of(
        owner: Option<String>,
        key: Option<String>,
        prefer: Option<&str>,
    ) -> Result<Self, Problem> {
        let owner = lists::owner(owner);
        // A key is its owner's own: the engine's name a run among those of all owners.
        let key = key
            .filter(|key| !key.is_empty())
            .map(|key| format!("{owner}:{key}"));
        Ok(Self {
            owner,
            key,
            patience: patience(prefer)?,
        })
    }

    /// What the owner has to send with.
    pub(super) async fn means(&self, app: &App) -> Result<Means, Problem> {
        let database = &app.environment.database;
        let known = owners::find(database, &self.owner).await?;
        let settings = known.ok_or_else(|| Problem::not_found("owner"))?.settings()?;
        Ok(Means {
            senders: accounts::senders(database, &self.owner).await?,
            per_minute: settings.prospect_limit.unwrap_or(prospects::PER_MINUTE),
        })
    }

    /// Whether the key has started a run of this workflow before.
    pub(super) async fn is_repeated(&self, app: &App, workflow: &str) -> Result<bool, Problem> {
        match &self.key {
            None => Ok(false),
            Some(key) => Ok(app.engine.storage().run_by_key(workflow, key).await?.is_some()),
        }
    }

    pub(super) fn start(&self, lane: Option<String>) -> Start {
        Start {
            key: self.key.clone(),
            owner: Some(self.owner.to_string()),
            lane,
            width: None,
        }
    }
}

/// What an owner has to send with.
pub(super) struct Means {
    pub(super) senders: Vec<accounts::Sender>,
    /// How many messages may go to one prospect within a minute.
    pub(super) per_minute: u32,
}

pub(super) fn times(is_repeated: bool) -> Times {
    match is_repeated {
        true => Times::Known,
        false => Times::Ahead(Utc::now()),
    }
}

async fn send(
    app: &App,
    request: Request,
    channel: Channel,
    message: NewMessage,
) -> Result<SendAnswer, Problem> {
    let Means { senders, per_minute } = request.means(app).await?;
    let is_repeated = request.is_repeated(app, SendMessage::NAME).await?;
    let message = message.read(channel, &request.owner, &senders, times(is_repeated))?;
    if !is_repeated {
        admit_one(app, &request.owner, &message.prospect, per_minute).await?;
    }
    let lane = message.send_at.is_none().then(|| message.lane());
    let input = json(&message)?;
    let start = request.start(lane);
    let begun = begin(app, SendMessage::NAME, input.clone(), start, request.patience).await?;
    answer(begun.unless_other(|known| *known == input)?)
}

pub(super) fn answer(run: Run) -> Result<SendAnswer, Problem> {
    if !run.state.is_final() {
        return Ok(SendAnswer::Started(Json(run.into())));
    }
    let delivery: Delivery = output(&run)?;
    if let Some(error) = &delivery.error {
        return Err(send_error::problem(run.id.as_str(), &delivery, error));
    }
    let Delivery {
        sid,
        more_sids,
        status,
        to,
        ..
    } = delivery;
    Ok(SendAnswer::Sent(Json(SentMessage {
        run: run.id.to_string(),
        sid,
        more_sids,
        status,
        to: to.to_twilio(),
    })))
}

/// Counts a message or call to a prospect.
///
/// # Errors
/// 429 when it may not go now.
pub(super) async fn admit_one(
    app: &App,
    owner: &OwnerId,
    prospect: &str,
    per_minute: u32,
) -> Result<(), Problem> {
    let wanted = BTreeMap::from([(prospect.to_owned(), 1)]);
    let admitted = admit(app, owner, wanted, per_minute).await?;
    match admitted.get(prospect).and_then(seconds) {
        Some(seconds) => {
            Err(Problem::too_many(limited(per_minute, seconds), seconds).with("prospect", prospect))
        }
        None => Ok(()),
    }
}

async fn admit(
    app: &App,
    owner: &OwnerId,
    wanted: BTreeMap<String, usize>,
    per_minute: u32,
) -> Result<std::collections::HashMap<String, Admitted>, Problem> {
    let owner = owner.clone();
    let admitted = app.engine.storage().transaction(move |tx| {
        let counting = async move { prospects::admit(tx, &owner, &wanted, per_minute, Utc::now()).await };
        Box::pin(async move { Ok::<_, Refused>(counting.await?) })
    });
    Ok(admitted.await?)
}

/// After how many seconds one more may go, if not all may now.
fn seconds(admitted: &Admitted) -> Option<u64> {
    let after = admitted.retry_after?;
    Some(
        after
            .as_millis()
            .div_ceil(1000)
            .try_into()
            .unwrap_or(u64::MAX)
            .max(1),
    )
}

fn limited(per_minute: u32, seconds: u64) -> String {
    format!("{per_minute} messages a minute may go to one prospect; this one may go in {seconds} s")
}

pub(super) fn json(value: &impl serde::Serialize) -> Result<Value, Problem> {
    serde_json::to_value(value).map_err(|error| Problem::bad_request(error.to_string()))
}

/// What a run that has ended brought.
fn output<T: serde::de::DeserializeOwned>(run: &Run) -> Result<T, Problem> {
    let conflict = |told| Problem::new(poem::http::StatusCode::CONFLICT, told).with("run", run.id.as_str());
    if matches!(run.state, RunState::Cancelled | RunState::Terminated) {
        let told = format!(
            "the run {} was {}; send it anew under another key",
            run.id, run.state
        );
        return Err(conflict(told));
    }
    let output = run.output.clone().unwrap_or_default();
    serde_json::from_value(output)
        .map_err(|_| conflict(format!("the run {} ended without a result; look at it", run.id)))
}
