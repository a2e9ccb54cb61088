//! A message that a person writes to one other.
use std::collections::BTreeMap;

use poem::{
    IntoResponse, Response, handler,
    web::{Data, Form, Redirect},
};
use recado_domain::Channel;
use serde::Deserialize;
use serde_json::{Value, json};
use ulid::Ulid;

use super::{Asked, Wrong, owner, page};
use crate::{
    app::App,
    http::{Problem, api::messages::send_from_page},
};

/// The form as a person filled it in.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Letter {
    owner: String,
    /// Names this form for ever: sent twice it sends once.
    pub(super) key: String,
    pub(super) channel: String,
    pub(super) from: String,
    pub(super) to: String,
    pub(super) prospect: String,
    pub(super) body: String,
    pub(super) media_url: String,
    pub(super) template_sid: String,
    /// `1=Ana`, one a line.
    pub(super) variables: String,
    pub(super) send_at: String,
}

impl Letter {
    /// An empty one.
    pub(super) fn to(prospect: &str) -> Self {
        Self {
            key: fresh(),
            channel: "sms".to_owned(),
            prospect: prospect.to_owned(),
            ..Self::default()
        }
    }

    /// What the form holds after it was answered so. Only what certainly did not go is another message when it is sent
    /// next: under the key that it had, anything else goes once at most, however often it is sent.
    fn after(self, problem: &Problem) -> Self {
        let key = match problem.is_unsent() {
            true => fresh(),
            false => self.key,
        };
        Self { key, ..self }
    }

    /// The body of `/messages/sms`.
    fn json(&self) -> Result<Value, Problem> {
        let given = |text: &str| Some(text.trim().to_owned()).filter(|text| !text.is_empty());
        let variables = variables(&self.variables)?;
        // A time without a zone is one of the clocks of UTC, as the form says.
        let send_at = given(&self.send_at).map(|at| format!("{at}:00Z"));
        Ok(json!({
            "to": given(&self.to),
            "prospect": given(&self.prospect).or_else(|| given(&self.to)),
            "from": given(&self.from),
            "body": given(&self.body),
            "media_urls": given(&self.media_url).into_iter().collect::<Vec<_>>(),
            "template": given(&self.template_sid).map(|sid| json!({ "sid": sid, "variables": variables })),
            "send_at": send_at,
        }))
    }
}

/// The variables of a template: `1=Ana`, one a line.
pub(super) fn variables(text: &str) -> Result<BTreeMap<String, String>, Problem> {
    let lines = text.lines().filter(|line| !line.trim().is_empty());
    let read = lines.map(|line| {
        let told = || {
            Problem::unprocessable(
                "variables",
                crate::t("Write each variable on a line of its own, as in 1=Ana"),
            )
        };
        let (name, value) = line.split_once('=').ok_or_else(told)?;
        Ok((name.trim().to_owned(), value.trim().to_owned()))
    });
    read.collect()
}

fn fresh() -> String {
    format!("page-{}", Ulid::generate())
}

/// Sends it, or shows the form again with what is wrong.
#[handler]
pub(crate) async fn send(Form(letter): Form<Letter>, Data(app): Data<&App>) -> Response {
    match try_send(app, &letter).await {
        Ok(run) => {
            let prospect = match letter.prospect.trim() {
                "" => letter.to.trim(),
                prospect => prospect,
            };
            let query = [
                ("owner", letter.owner.as_str()),
                ("prospect", prospect),
                ("sent", &run),
            ];
            let query = serde_urlencoded::to_string(query).unwrap_or_default();
            Redirect::see_other(format!("/communications?{query}")).into_response()
        }
        Err(problem) => {
            let asked = Asked {
                owner: letter.owner.clone(),
                prospect: letter.prospect.clone(),
                ..Asked::default()
            };
            let status = problem.status();
            let again = letter.after(&problem);
            page(app, status, &asked, &again, Some(Wrong::of(&problem))).await
        }
    }
}

async fn try_send(app: &App, letter: &Letter) -> Result<String, Problem> {
    let channel = Channel::parse(&letter.channel)
        .map_err(|_| Problem::unprocessable("channel", "channel is sms or whatsapp"))?;
    let key = match letter.key.as_str() {
        "" => fresh(),
        key => key.chars().take(100).collect(),
    };
    send_from_page(app, &owner(&letter.owner), &key, channel, letter.json()?).await
}

#[cfg(test)]
mod tests {
    use poem::http::StatusCode;

    use super::*;

    #[test]
    fn a_form_keeps_its_key_unless_nothing_of_it_went() {
        let keeps = |problem: &Problem| {
            let letter = Letter::to("ana");
            let key = letter.key.clone();
            letter.after(problem).key == key
        };
        let problem = |status| Problem::new(status, "no");
        for unclear in [
            Problem::away(),
            problem(StatusCode::INTERNAL_SERVER_ERROR),
            problem(StatusCode::BAD_GATEWAY),
            problem(StatusCode::CONFLICT).with("run", "01R"),
            problem(StatusCode::UNPROCESSABLE_ENTITY)
                .with("run", "01R")
                .with("sids", vec!["SM1"]),
            problem(StatusCode::BAD_GATEWAY)
                .with("run", "01R")
                .with("sids", vec!["SM1"]),
        ] {
            assert!(keeps(&unclear), "{unclear:?}");
            assert!(Wrong::of(&unclear).unclear);
        }
        for unsent in [
            Problem::unprocessable("to", "no"),
            Problem::too_many("no", 3),
            problem(StatusCode::PAYMENT_REQUIRED).with("run", "01R"),
            problem(StatusCode::UNPROCESSABLE_ENTITY)
                .with("run", "01R")
                .with("code", 21_211),
            problem(StatusCode::BAD_GATEWAY).with("run", "01R"),
        ] {
            assert!(!keeps(&unsent), "{unsent:?}");
        }
    }
}
