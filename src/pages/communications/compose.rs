//! A message that a person writes to one other.
use std::collections::BTreeMap;

use poem::{
    IntoResponse, Response, handler,
    web::{Data, Form, Redirect},
};
use recado_domain::Channel;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Asked, Wrong,
    form::{after, fresh, given, moment, named},
    owner, page,
};
use crate::{
    app::App,
    http::{Problem, api::messages::from_page::send_from_page},
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

    /// The body of `/messages/sms`.
    fn json(&self) -> Result<Value, Problem> {
        let variables = variables(&self.variables)?;
        Ok(json!({
            "to": given(&self.to),
            "prospect": given(&self.prospect).or_else(|| given(&self.to)),
            "from": given(&self.from),
            "body": given(&self.body),
            "media_urls": given(&self.media_url).into_iter().collect::<Vec<_>>(),
            "template": given(&self.template_sid).map(|sid| json!({ "sid": sid, "variables": variables })),
            "send_at": moment(&self.send_at),
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

/// Sends it, or shows the form again with what is wrong.
#[handler]
pub(crate) async fn send(Form(letter): Form<Letter>, Data(app): Data<&App>) -> Response {
    match try_send(app, &letter).await {
        Ok(run) => {
            let prospect = match letter.prospect.trim() {
                "" => letter.to.trim(),
                prospect => prospect,
            };
            sent(&letter.owner, prospect, &run)
        }
        Err(problem) => {
            let asked = Asked {
                owner: letter.owner.clone(),
                prospect: letter.prospect.clone(),
                ..Asked::default()
            };
            let status = problem.status();
            let key = after(letter.key.clone(), &problem);
            let again = Letter { key, ..letter };
            page(app, status, &asked, &again, Some(Wrong::of(&problem))).await
        }
    }
}

/// The history that a person looks at next, of whom it went to by this run.
pub(super) fn sent(owner: &str, prospect: &str, run: &str) -> Response {
    let query = [("owner", owner), ("prospect", prospect), ("sent", run)];
    let query = serde_urlencoded::to_string(query).unwrap_or_default();
    Redirect::see_other(format!("/communications?{query}")).into_response()
}

async fn try_send(app: &App, letter: &Letter) -> Result<String, Problem> {
    let channel = Channel::parse(&letter.channel)
        .map_err(|_| Problem::unprocessable("channel", "channel is sms or whatsapp"))?;
    let key = named(&letter.key);
    send_from_page(app, &owner(&letter.owner), &key, channel, letter.json()?).await
}
