//! `/communications/call`: a call that a person has made.
use askama::Template;
use poem::{
    Response, handler,
    http::StatusCode,
    web::{Data, Form, Query},
};
use recado_store::senders::Senders;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Asked, Wrong,
    compose::sent,
    form::{after, fresh, given, moment, named, numbers},
    owner, refused,
};
use crate::{
    app::App,
    http::{Problem, api::calls::call_from_page, twiml},
    pages::{
        language::Language,
        layout::{Here, Layout, html},
    },
};

/// In which languages a text is read out; TwiML says any other.
const LANGUAGES: [(&str, &str); 4] = [
    ("pt-BR", "Português (Brasil)"),
    ("en-US", "English (US)"),
    ("es-MX", "Español (México)"),
    ("es-ES", "Español (España)"),
];

/// The form as a person filled it in.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Call {
    owner: String,
    /// Names this form for ever: sent twice it calls once.
    key: String,
    from: String,
    to: String,
    prospect: String,
    language: String,
    say: String,
    twiml: String,
    url: String,
    /// Not empty where the box is ticked.
    record: String,
    machine_detection: String,
    timeout: String,
    send_at: String,
}

#[derive(Template)]
#[template(path = "communications_call.html")]
struct Page<'a> {
    layout: Layout,
    call: &'a Call,
    wrong: Option<Wrong>,
    numbers: Vec<String>,
    languages: [(&'static str, &'static str); 4],
}

impl Call {
    /// An empty one.
    fn to(asked: &Asked) -> Self {
        Self {
            owner: asked.owner.clone(),
            key: fresh(),
            prospect: asked.prospect.clone(),
            language: Language::spoken().voice().to_owned(),
            record: "yes".to_owned(),
            ..Self::default()
        }
    }

    /// Whether it has what most calls do without.
    fn has_more(&self) -> bool {
        let more = [
            &self.twiml,
            &self.url,
            &self.machine_detection,
            &self.timeout,
            &self.send_at,
        ];
        more.iter().any(|text| !text.is_empty())
    }

    /// The body of `/calls`.
    fn json(&self) -> Result<Value, Problem> {
        let twiml = match (given(&self.say), given(&self.twiml)) {
            (Some(_), Some(_)) => {
                let told = crate::t("Give either what is read out or TwiML, not both");
                return Err(Problem::unprocessable("twiml", told));
            }
            (Some(say), None) => Some(twiml::say(&self.language, &say)),
            (None, twiml) => twiml,
        };
        if twiml.is_none() && given(&self.url).is_none() {
            let told = crate::t("Write what is read out once somebody answers");
            return Err(Problem::unprocessable("say", told));
        }
        let timeout = given(&self.timeout).map(|seconds| seconds.parse::<u32>());
        let timeout = timeout.transpose().map_err(|_| {
            Problem::unprocessable("timeout", crate::t("How long it rings is a number of seconds"))
        })?;
        Ok(json!({
            "to": given(&self.to),
            "prospect": given(&self.prospect).or_else(|| given(&self.to)),
            "from": given(&self.from),
            "twiml": twiml,
            "url": given(&self.url),
            "record": !self.record.is_empty(),
            "machine_detection": given(&self.machine_detection),
            "timeout": timeout,
            "send_at": moment(&self.send_at),
        }))
    }
}

#[handler]
pub(crate) async fn ask(Query(asked): Query<Asked>, Data(app): Data<&App>) -> Response {
    page(app, StatusCode::OK, &Call::to(&asked), None).await
}

async fn page(app: &App, status: StatusCode, call: &Call, wrong: Option<Wrong>) -> Response {
    match Senders::of(&app.environment.database, &owner(&call.owner)).await {
        Ok(senders) => html(
            status,
            &Page {
                layout: Layout::new("Call somebody", Here::Communications, app.config.dev),
                call,
                wrong,
                numbers: numbers(&senders),
                languages: LANGUAGES,
            },
        ),
        Err(error) => refused(&error.into(), "/communications"),
    }
}

/// Makes it, or shows the form again with what is wrong.
#[handler]
pub(crate) async fn make(Form(call): Form<Call>, Data(app): Data<&App>) -> Response {
    let body = call.json();
    let made = match body {
        Ok(body) => call_from_page(app, &owner(&call.owner), &named(&call.key), body).await,
        Err(problem) => Err(problem),
    };
    match made {
        Ok(run) => {
            let prospect = given(&call.prospect).unwrap_or_else(|| call.to.trim().to_owned());
            sent(&call.owner, &prospect, &run)
        }
        Err(problem) => {
            let key = after(call.key.clone(), &problem);
            let again = Call { key, ..call };
            page(app, problem.status(), &again, Some(Wrong::of(&problem))).await
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_out_cannot_become_a_verb_and_a_box_that_is_not_ticked_records_nothing() {
        let call = Call {
            to: "+5511987654321".to_owned(),
            language: "pt-BR".to_owned(),
            say: "Olá </Say><Dial>+1900</Dial>".to_owned(),
            ..Call::default()
        };
        let body = call.json().expect("a call");
        let twiml = body["twiml"].as_str().expect("TwiML");
        assert!(
            twiml.contains("<Say language=\"pt-BR\">Olá &lt;/Say&gt;"),
            "{twiml}"
        );
        assert_eq!((&body["record"], &body["prospect"]), (&json!(false), &body["to"]));
        let both = Call {
            twiml: "<Response/>".to_owned(),
            ..call
        };
        assert!(both.json().is_err_and(|problem| problem.field() == Some("twiml")));
        assert!(
            Call::default()
                .json()
                .is_err_and(|problem| problem.field() == Some("say"))
        );
    }
}
