//! Calls that an owner makes, as JSON.
use chrono::{DateTime, Utc};
use poem::web::Data;
use poem_openapi::{
    Object, OpenApi,
    param::Header,
    payload::Json,
    types::{ParseFromJSON, ToJSON},
};
use recado_activities::{CallScript, PlaceCall};
use recado_domain::{Channel, MachineDetection, OwnerId};
use recado_engine::Workflow;
use recado_store::senders::Senders;
use recado_workflows::MakeCall;
use serde_json::Value;
use url::Url;

use super::{
    Operator, Tag,
    messages::{
        Going, Means, Request, SendAnswer, answer, hash, json,
        new_message::{prospect, recipient, send_at, unfit},
    },
};
use crate::{app::App, http::Problem};

/// The longest TwiML that Twilio takes with a call, in characters.
const LONGEST_TWIML: usize = 4000;
/// The longest address of TwiML, in characters.
const LONGEST_URL: usize = 2048;
/// The longest that Twilio lets a telephone ring, in seconds.
const LONGEST_RING: u32 = 600;

/// Calls.
pub(super) struct Calls;

/// A call to be made.
#[derive(Object)]
struct NewCall {
    /// Whom to call: an E.164 number, as in `+5511987654321`. Required.
    to: Option<String>,
    /// The caller's own id of the person, at most 200 characters; created on first use. Required.
    prospect: Option<String>,
    /// What becomes of the call once it is answered, as TwiML of at most 4000 characters:
    /// `<Response><Say language="pt-BR">Olá</Say></Response>`. This or `url` is required.
    twiml: Option<String>,
    /// Where Twilio fetches TwiML once the call is answered, http or https.
    url: Option<String>,
    /// One of the owner's numbers; `pool` for any of them, the same for a person every time; the oldest if absent.
    from: Option<String>,
    /// Whether it is recorded.
    #[oai(default = "yes")]
    record: bool,
    /// Whether Twilio finds out who answers: enable, or detect_message_end to speak after an answering machine's greeting.
    machine_detection: Option<String>,
    /// When to call, as in `2026-12-24T09:00:00-03:00`, at most a year ahead; at once if absent. Cancel its run to cancel
    /// it.
    send_at: Option<String>,
    /// How long it rings, in seconds, from 1 to 600; 60 if absent.
    timeout: Option<u32>,
}

fn yes() -> bool {
    true
}

#[OpenApi(tag = "Tag::Calls")]
impl Calls {
    /// Makes a call
    ///
    /// A run of `make_call` makes it, once. The same `Idempotency-Key` finds the same run, for ever. With `Prefer: wait=N`
    /// the answer waits up to N seconds, 60 at most, for Twilio's answer; how the call went is in the prospect's history.
    /// Calls count against the same limits as messages, and nobody is called in the owner's quiet hours. A number that does not want messages is not called
    /// either (21610).
    #[oai(path = "/calls", method = "post")]
    async fn call(
        &self,
        Data(app): Data<&App>,
        _operator: Operator,
        /// The owner for whom to act; `default` if absent.
        #[oai(name = "Recado-Owner")]
        owner: Header<Option<String>>,
        #[oai(name = "Idempotency-Key", validator(max_length = 500))] key: Header<Option<String>>,
        #[oai(name = "Prefer")] prefer: Header<Option<String>>,
        call: Json<NewCall>,
    ) -> poem::Result<SendAnswer> {
        let request = Request::of(owner.0, key.0, prefer.0.as_deref())?;
        Ok(make(app, request, call.0).await?)
    }
}

/// Makes a call that a page asks for, given as the body of `/calls`, and waits a little for Twilio's answer. Returns the
/// run.
///
/// # Errors
/// As of the API.
pub(crate) async fn call_from_page(
    app: &App,
    owner: &OwnerId,
    key: &str,
    body: Value,
) -> Result<String, Problem> {
    let read = NewCall::parse_from_json(Some(body));
    let call = read.map_err(|error| Problem::bad_request(error.into_message()))?;
    let made = make(app, Request::of_page(owner, key), call).await?;
    Ok(made.into_run())
}

async fn make(app: &App, request: Request, call: NewCall) -> Result<SendAnswer, Problem> {
    let asked = hash("call", &call.to_json())?;
    if let Some(run) = request.before(app, MakeCall::NAME, &asked).await? {
        return answer(run);
    }
    let means = Means::of(app, &request.owner).await?;
    let mut call = call.read(&request.owner, &means.senders, means.now)?;
    call.asked = Some(asked.clone());
    let going = Going {
        workflow: MakeCall::NAME,
        lane: call.lane(),
        send_at: call.send_at,
        prospect: call.call.prospect.clone(),
        sender: call.call.from.clone(),
        input: json(&call)?,
    };
    going.start(app, &request, &means, &asked).await
}

impl NewCall {
    /// The call, from one of `senders`.
    ///
    /// # Errors
    /// A problem that names the field that cannot be taken.
    fn read(self, owner: &OwnerId, senders: &Senders, now: DateTime<Utc>) -> Result<MakeCall, Problem> {
        let to = recipient(Channel::Sms, self.to.as_deref())?;
        let sender = senders.choose(self.from.as_deref(), &to);
        let sender = sender.map_err(|error| unfit("from", error))?;
        if sender.service.is_some() {
            return Err(unfit(
                "from",
                "is a messaging service, which makes no calls; give a number",
            ));
        }
        if *sender.address == to {
            return Err(unfit("to", "is the number that the call comes from"));
        }
        if self
            .timeout
            .is_some_and(|seconds| !(1..=LONGEST_RING).contains(&seconds))
        {
            return Err(unfit(
                "timeout",
                format!("must be from 1 to {LONGEST_RING} seconds"),
            ));
        }
        let detect = |word: String| {
            MachineDetection::parse(&word)
                .map_err(|_| unfit("machine_detection", "is enable or detect_message_end"))
        };
        Ok(MakeCall {
            call: PlaceCall {
                owner: owner.clone(),
                account: sender.account_sid.to_owned(),
                from: sender.address.clone(),
                to,
                prospect: prospect(self.prospect)?,
                script: script(self.twiml, self.url)?,
                timeout: self.timeout,
                record: self.record,
                machine_detection: self.machine_detection.map(detect).transpose()?,
            },
            send_at: self.send_at.map(|at| send_at(&at, now)).transpose()?,
            asked: None,
        })
    }
}

fn script(twiml: Option<String>, url: Option<String>) -> Result<CallScript, Problem> {
    let given = |text: Option<String>| text.filter(|text| !text.trim().is_empty());
    match (given(twiml), given(url)) {
        (None, None) => Err(unfit(
            "twiml",
            "is missing: give twiml, or the url that answers with it",
        )),
        (Some(_), Some(_)) => Err(unfit("url", "goes without twiml: give one of them")),
        (Some(twiml), None) => {
            let characters = twiml.chars().count();
            if characters > LONGEST_TWIML {
                let why =
                    format!("has {characters} characters, at most {LONGEST_TWIML} are allowed; give a url");
                return Err(unfit("twiml", why));
            }
            if !(twiml.trim_start().starts_with('<') && twiml.contains("<Response")) {
                let why = "must be XML, as in <Response><Say>Hello</Say></Response>";
                return Err(unfit("twiml", why));
            }
            Ok(CallScript::Twiml(twiml))
        }
        (None, Some(url)) => {
            let is_fit = url.len() <= LONGEST_URL
                && Url::parse(&url)
                    .is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
            match is_fit {
                true => Ok(CallScript::Url(url)),
                false => Err(unfit(
                    "url",
                    "must be an http or https address of at most 2048 characters",
                )),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_says_what_it_is_to_say_in_one_way() {
        let twiml = || Some("<Response><Say>oi</Say></Response>".to_owned());
        let url = || Some("https://a.example/twiml".to_owned());
        let field = |twiml, url| {
            script(twiml, url)
                .err()
                .map(|problem| format!("{problem:?}"))
                .unwrap_or_default()
        };
        assert_eq!(field(twiml(), None), "");
        assert_eq!(field(None, url()), "");
        assert!(field(twiml(), url()).contains("url"));
        assert!(field(None, Some(" ".to_owned())).contains("twiml"));
        assert!(field(Some("say hello".to_owned()), None).contains("twiml"));
        assert!(field(Some(format!("<Response>{}", "é".repeat(4000))), None).contains("at most 4000"));
        assert!(field(None, Some("ftp://a.example/".to_owned())).contains("url"));
    }
}
