//! Messages that answer nobody, as JSON; a hundred at once are in [`batch`].
use chrono::{DateTime, SecondsFormat, Utc};
use poem::{http::StatusCode, web::Data};
use poem_openapi::{ApiResponse, Object, OpenApi, param::Header, payload::Json, types::ToJSON};
use recado_domain::{Address, CampaignMessage, Channel, OwnerId};
use recado_engine::{Run, RunId, RunState, Start, Workflow};
use recado_store::{
    QuietHours,
    limits::{self, Admission, Limit, Limits, Wish},
    owners,
    senders::Senders,
};
use recado_workflows::{Delivery, SendMessage};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{Operator, Tag, lists, runs::RunItem, send_error, starts::patience};
use crate::{app::App, http::Problem};

mod batch;
pub(crate) mod from_page;
pub(super) mod new_message;

use batch::{BatchAnswer, NewMessages, send_batch};
pub(super) use new_message::NewMessage;

/// Messages.
pub(super) struct Messages;

/// A message or call that Twilio took.
#[derive(Object)]
pub(super) struct SentMessage {
    /// The run that sent it.
    run: String,
    /// Twilio's id of it, or of its first part.
    sid: Option<String>,
    /// Twilio's ids of the other parts of a long text, in order.
    more_sids: Vec<String>,
    /// Twilio's word on it, such as `queued`; what becomes of it later is in the history.
    status: String,
    /// To whom, as Twilio writes it.
    to: String,
    /// What went instead, where WhatsApp did not take it and the owner has a way out: `template` or `sms`.
    instead: Option<String>,
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
    /// to one prospect, more than the owner's limits let through, and what comes in its quiet hours is answered 429, with
    /// `Retry-After`. 402 where the plan has no message left.
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
    /// sending; outside of these 24 hours only a template is sent (63016), or what the owner's `way-out` says.
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
    patience: std::time::Duration,
}

impl Request {
    pub(super) fn of(
        owner: Option<String>,
        key: Option<String>,
        prefer: Option<&str>,
    ) -> Result<Self, Problem> {
        let owner = lists::owner(owner);
        Ok(Self {
            key: key
                .filter(|key| !key.is_empty())
                .map(|key| lists::key(&owner, &key)),
            owner,
            patience: patience(prefer)?,
        })
    }

    /// The run that the key has started before, at its end if that comes in time.
    ///
    /// # Errors
    /// When it was started by another request than `asked`.
    pub(super) async fn before(
        &self,
        app: &App,
        workflow: &str,
        asked: &str,
    ) -> Result<Option<Run>, Problem> {
        let Some(key) = &self.key else { return Ok(None) };
        match app.engine.storage().run_by_key(workflow, key).await? {
            None => Ok(None),
            Some(id) => {
                let run = found(app, &id, self.patience).await?;
                same(run, asked).map(Some)
            }
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

async fn found(app: &App, id: &RunId, patience: std::time::Duration) -> Result<Run, Problem> {
    let run = match app.engine.ended(id, patience).await? {
        Some(run) => Some(run),
        None => app.engine.storage().run(id).await?,
    };
    run.ok_or_else(|| Problem::not_found("run"))
}

/// The run, if the same request started it. What is asked for is compared, not what becomes of it: that changes with the
/// time, and with what the owner has to send with.
fn same(run: Run, asked: &str) -> Result<Run, Problem> {
    match run.input.get("asked").and_then(Value::as_str) {
        Some(known) if known != asked => Err(Problem::new(
            StatusCode::CONFLICT,
            format!(
                "this Idempotency-Key started {} with another input; nothing was started",
                run.id
            ),
        )),
        _ => Ok(run),
    }
}

/// What a request asks for, in short.
pub(super) fn hash(kind: &str, asked: &impl serde::Serialize) -> Result<String, Problem> {
    let mut text = json(&(kind, asked))?;
    text.sort_all_objects();
    let digest = Sha256::digest(text.to_string());
    Ok(digest.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// What an owner has to send with, and when it may.
pub(super) struct Means {
    pub(super) senders: Senders,
    limits: Limits,
    quiet: Option<QuietHours>,
    pub(super) now: DateTime<Utc>,
}

impl Means {
    pub(super) async fn of(app: &App, owner: &OwnerId) -> Result<Self, Problem> {
        let database = &app.environment.database;
        let known = owners::find(database, owner).await?;
        let settings = known.ok_or_else(|| Problem::not_found("owner"))?.settings()?;
        Ok(Self {
            senders: Senders::of(database, owner).await?,
            limits: Limits::of(&settings),
            quiet: settings.quiet_hours,
            now: Utc::now(),
        })
    }

    /// When the quiet hours end in which a message would go.
    fn quiet_until(&self, send_at: Option<DateTime<Utc>>) -> Result<Option<DateTime<Utc>>, Problem> {
        let end = self
            .quiet
            .as_ref()
            .map(|hours| hours.end(send_at.unwrap_or(self.now)));
        let end = end.transpose().map_err(|error| {
            tracing::error!(%error, "an owner's quiet hours");
            Problem::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "the owner's quiet hours cannot be read; set them anew",
            )
        });
        Ok(end?.flatten())
    }

    /// A time at which nothing may go cannot be asked for.
    fn check_time(&self, send_at: Option<DateTime<Utc>>) -> Result<(), Problem> {
        if send_at.is_none() {
            return Ok(());
        }
        match self.quiet_until(send_at)? {
            Some(end) => Err(Problem::unprocessable(
                "send_at",
                format!(
                    "send_at is in the owner's quiet hours, which end at {}",
                    written(end)
                ),
            )
            .with("retry_at", written(end))),
            None => Ok(()),
        }
    }
}

fn written(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// Sends a message, or finds the one that its key has sent.
async fn send(
    app: &App,
    request: Request,
    channel: Channel,
    message: NewMessage,
) -> Result<SendAnswer, Problem> {
    let asked = hash(channel.as_str(), &message.to_json())?;
    if let Some(run) = request.before(app, SendMessage::NAME, &asked).await? {
        return answer(run);
    }
    let means = Means::of(app, &request.owner).await?;
    let mut message = message.read(channel, &request.owner, &means.senders, means.now)?;
    message.asked = Some(asked.clone());
    let going = Going {
        workflow: SendMessage::NAME,
        lane: message.lane(),
        send_at: message.send_at,
        prospect: message.prospect.clone(),
        sender: message.from.clone(),
        input: json(&message)?,
    };
    going.start(app, &request, &means, &asked).await
}

/// A message or call that is to go.
pub(super) struct Going {
    pub(super) workflow: &'static str,
    /// In whose order, where it goes at once.
    pub(super) lane: String,
    pub(super) send_at: Option<DateTime<Utc>>,
    /// Whom it is counted against.
    pub(super) prospect: String,
    pub(super) sender: Address,
    pub(super) input: Value,
}

impl Going {
    /// Starts its run, if quiet hours and limits let it go; what counts it commits with the start.
    ///
    /// # Errors
    /// 429 where it may not go now.
    pub(super) async fn start(
        self,
        app: &App,
        request: &Request,
        means: &Means,
        asked: &str,
    ) -> Result<SendAnswer, Problem> {
        means.check_time(self.send_at)?;
        if self.send_at.is_none()
            && let Some(end) = means.quiet_until(None)?
        {
            let told = format!("the owner's quiet hours last until {}", written(end));
            let seconds = (end - means.now).num_seconds().max(0).unsigned_abs() + 1;
            return Err(Problem::too_many(told, seconds).with("retry_at", written(end)));
        }
        // One that waits for its time takes its place when that has come.
        let start = request.start(self.send_at.is_none().then_some(self.lane));
        let (owner, limits, now) = (request.owner.clone(), means.limits, means.now);
        let (prospect, sender, input) = (self.prospect, self.sender, self.input);
        let begun =
            app.engine
                .run_named_after::<Problem, _>(self.workflow, start, request.patience, move |tx| {
                    Box::pin(async move {
                        let wish = Wish {
                            prospect: &prospect,
                            sender: &sender,
                        };
                        let admitted = limits::admit(tx, &owner, limits, &[wish], now).await?;
                        match admitted.first().and_then(Kept::by) {
                            Some(kept) => {
                                let told = Problem::too_many(kept.told(), kept.seconds);
                                Err(told.with("prospect", prospect))
                            }
                            None => Ok(input),
                        }
                    })
                });
        let (started, ended) = begun.await?;
        let run = match ended {
            Some(run) => run,
            None => found(app, &started.run, std::time::Duration::ZERO).await?,
        };
        answer(same(run, asked)?)
    }
}

/// The address of a person of a campaign, who gets `message`.
///
/// # Errors
/// A problem that names the field that cannot be taken.
pub(crate) fn check_person(
    owner: &OwnerId,
    senders: &Senders,
    channel: Channel,
    from: Option<String>,
    to: &str,
    prospect: String,
    message: CampaignMessage,
) -> Result<Address, Problem> {
    let message = NewMessage::of_campaign(Some(to.to_owned()), prospect, from, message);
    Ok(message.read(channel, owner, senders, Utc::now())?.to)
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
        instead,
        ..
    } = delivery;
    Ok(SendAnswer::Sent(Json(SentMessage {
        run: run.id.to_string(),
        sid,
        more_sids,
        status,
        to: to.to_twilio(),
        instead: instead.map(|instead| instead.as_str().to_owned()),
    })))
}

/// What keeps a message back.
struct Kept {
    limit: Limit,
    per_minute: u32,
    /// For how long.
    seconds: u64,
}

impl Kept {
    /// `None` where it may go.
    fn by(admission: &Admission) -> Option<Self> {
        match *admission {
            Admission::Go => None,
            Admission::Later {
                limit,
                per_minute,
                after,
            } => Some(Self {
                limit,
                per_minute,
                seconds: u64::try_from(after.as_millis().div_ceil(1000))
                    .unwrap_or(u64::MAX)
                    .max(1),
            }),
        }
    }

    fn told(&self) -> String {
        let Self {
            per_minute, seconds, ..
        } = self;
        let how = match self.limit {
            Limit::Prospect => "to one prospect",
            Limit::Sender => "from one sender",
            Limit::Owner => "from this owner",
        };
        format!("{per_minute} messages a minute may go {how}; this one may go in {seconds} s")
    }
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
