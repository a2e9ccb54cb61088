//! What a person can do with a run, and the doing of it.
use std::collections::BTreeMap;

use askama::{Template, filters::HtmlSafe};
use poem::{
    IntoResponse, Response, handler,
    http::StatusCode,
    web::{Data, Form, Path, Redirect},
};
use recado_activities::Sent;
use recado_engine::{Act, Activity, ControlError, Decision, Event, EventKind, Run, RunId, RunState};
use serde_json::{Value, json};

use crate::{
    app::App,
    pages::{
        language::tell,
        problem::{no_database, not_found, problem_at},
        sight::Sight,
        text::pretty,
    },
    t,
};

/// The acts that fit a run now, each behind words that say what it does.
#[derive(Template)]
#[template(path = "acts.html")]
pub(super) struct Acts<'a> {
    run: &'a Run,
    undecided: Option<Undecided>,
    offers: Vec<Offer>,
}

impl HtmlSafe for Acts<'_> {}

/// A call of which nobody can tell whether it happened.
struct Undecided {
    name: String,
    /// Whether it is a message at Twilio, whose result is known by its id there.
    is_message: bool,
}

/// An act that fits.
struct Offer {
    word: &'static str,
    title: &'static str,
    /// What it does, and what it does not.
    told: &'static str,
    /// Whether it can never be taken back.
    danger: bool,
    fields: Vec<Field>,
}

/// What an act needs more.
struct Field {
    name: &'static str,
    label: &'static str,
    /// A document has several lines.
    document: bool,
    required: bool,
    value: String,
}

impl<'a> Acts<'a> {
    pub(super) fn of(run: &'a Run, events: &[Event], sight: &Sight) -> Self {
        Self {
            run,
            undecided: undecided(run, events),
            offers: offers(run, sight),
        }
    }
}

fn nobody_can_tell(name: &str) -> String {
    tell(
        "Nobody can tell whether {name} happened",
        &[("name", name.to_owned())],
    )
}

/// A document to be edited; nothing, where it is too long for a person.
fn whole(value: &Value) -> String {
    let text = pretty(value);
    if serde_json::from_str::<Value>(&text).is_ok() {
        text
    } else {
        String::new()
    }
}

fn is_paused(run: &Run) -> bool {
    run.waiting_for.as_deref() == Some("resume")
}

fn offers(run: &Run, sight: &Sight) -> Vec<Offer> {
    let offer = |word, title, told| Offer {
        word,
        title,
        told,
        danger: false,
        fields: Vec::new(),
    };
    let field = |name, label| Field {
        name,
        label,
        document: false,
        required: true,
        value: String::new(),
    };
    let document = |name, label, value: &Value| Field {
        document: true,
        value: pretty(value),
        ..field(name, label)
    };
    let mut offers = Vec::new();
    if run.state == RunState::Parked {
        let told = t(
            "The step that failed is not tried again: it is taken to have returned this, and the run goes on.",
        );
        offers.push(Offer {
            fields: vec![document("result", t("Result, as JSON"), &Value::Null)],
            ..offer("skip", t("Skip the step"), told)
        });
    }
    if is_paused(run) {
        offers.push(offer(
            "resume",
            t("Resume"),
            t("The run goes on where it stands."),
        ));
    } else if Act::Pause.fits(run).is_ok() {
        let told = t(
            "The run stops before its next step and keeps its place: messages of the same contact wait behind it until it is resumed.",
        );
        offers.push(offer("pause", t("Pause"), told));
    }
    if !run.state.is_final() {
        let told = t(
            "The run hears this where its workflow listens for it; one that it never listens for changes nothing.",
        );
        offers.push(Offer {
            fields: vec![
                field("name", t("Name")),
                document("data", t("What it says, as JSON"), &Value::Null),
            ],
            ..offer("signal", t("Signal"), told)
        });
    }
    let told = t(
        "A new run begins with the same first events, 0 for none, and does the rest anew: what comes after is sent \
         again. This one, if it has not ended, is terminated. Where a changed input does not fit the events that it \
         shares, the new run is parked, and its error names the step.",
    );
    let input = Field {
        required: false,
        // What is masked cannot be edited.
        value: if sight.is_whole() {
            whole(&run.input)
        } else {
            String::new()
        },
        ..document(
            "input",
            t("Input, as JSON; empty for the same. To edit the present one, reveal it first."),
            &Value::Null,
        )
    };
    offers.push(Offer {
        danger: true,
        fields: vec![
            Field {
                value: "0".to_owned(),
                ..field("from", t("Last event that it shares"))
            },
            input,
        ],
        ..offer("fork", t("Fork"), told)
    });
    if !run.state.is_final() {
        let told = t(
            "The workflow learns of it at its next step, and may make good what it did. What was sent stays sent.",
        );
        offers.push(Offer {
            danger: true,
            ..offer("cancel", t("Cancel"), told)
        });
        let told = t(
            "The run ends at once, without its workflow's knowledge: nothing is made good. Cancel asks it first.",
        );
        offers.push(Offer {
            danger: true,
            ..offer("terminate", t("Terminate"), told)
        });
    }
    offers
}

/// The last call that was intended, if the run asks, or was parked, because nobody can tell its fate.
fn undecided(run: &Run, events: &[Event]) -> Option<Undecided> {
    let asks = run
        .waiting_for
        .as_deref()
        .is_some_and(|what| what.starts_with("reconcile:"));
    if run.state != RunState::Parked && !asks {
        return None;
    }
    let of_activity = |event: &&Event| event.kind.as_str().starts_with("activity_");
    let intended = events
        .iter()
        .rev()
        .find(|event| event.kind == EventKind::ActivityIntended)?;
    let last = events
        .iter()
        .rev()
        .filter(|event| event.op == intended.op)
        .find(of_activity)?;
    let unknown = match last.kind {
        EventKind::ActivityIntended | EventKind::ActivityUnknown => true,
        EventKind::ActivityFailed => last
            .data
            .as_ref()
            .is_some_and(|data| data["fault"] == json!("unknown")),
        _ => false,
    };
    let name = intended.name.clone().unwrap_or_default();
    unknown.then(|| Undecided {
        is_message: name == <recado_activities::Reply as Activity<recado_activities::Environment>>::NAME,
        name,
    })
}

/// Does what a person asked for, and shows the run that goes on.
#[handler]
pub(crate) async fn act(
    Path(id): Path<String>,
    Form(given): Form<BTreeMap<String, String>>,
    Data(app): Data<&App>,
) -> Response {
    let id = RunId::from(id);
    let back = format!("/runs/{id}");
    let act = match Asked(&given).act() {
        Ok(act) => act,
        Err(told) => {
            let (title, link) = (t("That cannot be done so"), (back.as_str(), t("Back to the run")));
            return problem_at(StatusCode::UNPROCESSABLE_ENTITY, title, &told, link);
        }
    };
    let done = match &act {
        // The engine knows what the call can have returned; the storage alone would take anything.
        Act::Decide(decision) => app
            .engine
            .decide(&id, decision.clone())
            .await
            .map(|()| id.clone()),
        act => app.engine.storage().act(&id, act).await,
    };
    match done {
        Ok(goes_on) => {
            tracing::info!(run.id = %id, act = act.as_str(), "acted on by a person");
            Redirect::see_other(format!("/runs/{goes_on}")).into_response()
        }
        Err(ControlError::NoSuchRun(_)) => not_found(),
        Err(ControlError::Storage(error)) => no_database(&error),
        Err(error @ (ControlError::WrongState(..) | ControlError::Unfit(_))) => {
            let told = tell(
                "{error}. Nothing was changed; somebody may have been quicker.",
                &[("error", error.to_string())],
            );
            problem_at(
                StatusCode::CONFLICT,
                t("That does not fit any more"),
                &told,
                (&back, t("To the run")),
            )
        }
    }
}

/// The fields of a form.
struct Asked<'a>(&'a BTreeMap<String, String>);

impl Asked<'_> {
    fn act(&self) -> Result<Act, String> {
        Ok(match self.text("act")? {
            "retry" => Act::Retry,
            "skip" => Act::Skip {
                result: self.document("result")?,
            },
            "pause" => Act::Pause,
            "resume" => Act::Resume,
            "cancel" => Act::Cancel,
            "terminate" => Act::Terminate,
            "signal" => Act::Signal {
                name: self.text("name")?.to_owned(),
                data: self.document("data")?,
                key: None,
            },
            "fork" => self.fork()?,
            "happened" => Act::Decide(Decision::Happened(self.happened()?)),
            "resend" => Act::Decide(Decision::Resend),
            "give_up" => Act::Decide(Decision::GiveUp),
            other => {
                return Err(tell("There is no act `{name}`.", &[("name", other.to_owned())]));
            }
        })
    }

    fn fork(&self) -> Result<Act, String> {
        let from = self.text("from")?.parse();
        let from = from
            .map_err(|_| t("The last event that the new run shares is a number; 0 for none.").to_owned())?;
        let is_same = self.0.get("input").is_none_or(|input| input.trim().is_empty());
        let input = if is_same {
            None
        } else {
            Some(self.document("input")?)
        };
        Ok(Act::Fork { from, input })
    }

    /// What a call that happened returned: a message by its id at Twilio, anything else as its activity would tell it.
    fn happened(&self) -> Result<Value, String> {
        let Some(sid) = self.0.get("sid").map(|sid| sid.trim()) else {
            return self.document("result");
        };
        let is_sid = sid.len() == 34 && (sid.starts_with("SM") || sid.starts_with("MM"));
        if !is_sid || !sid[2..].bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(t(
                "Twilio's id of a message is SM or MM and 32 digits from 0 to f; its console shows it.",
            )
            .to_owned());
        }
        let sent = Sent::Accepted {
            sid: sid.to_owned(),
            status: "sent".to_owned(),
        };
        Ok(json!(sent))
    }

    fn text(&self, name: &str) -> Result<&str, String> {
        let text = self.0.get(name).map(|text| text.trim()).unwrap_or_default();
        if text.is_empty() {
            return Err(tell("The field `{name}` is empty.", &[("name", name.to_owned())]));
        }
        Ok(text)
    }

    fn document(&self, name: &str) -> Result<Value, String> {
        serde_json::from_str(self.text(name)?).map_err(|error| {
            tell(
                "The field `{name}` is not JSON: {error}.",
                &[("name", name.to_owned()), ("error", error.to_string())],
            )
        })
    }
}
