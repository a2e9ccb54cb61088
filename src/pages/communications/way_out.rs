//! `/communications/way-out`: what goes where WhatsApp takes no text of an owner's.
use askama::Template;
use poem::{
    IntoResponse, Response, handler,
    http::StatusCode,
    web::{Data, Form, Query, Redirect},
};
use recado_domain::{OwnerId, Template as ContentTemplate};
use recado_store::{
    owners::{SmsSender, WayOut},
    senders::Senders,
};
use serde::Deserialize;

use super::{
    Wrong,
    compose::variables,
    form::{given, senders},
    owner, refused,
};
use crate::{
    app::App,
    http::{Problem, api::way_out},
    pages::layout::{Here, Layout, html},
};

/// Whose, and whether it was set a moment ago.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct Asked {
    owner: String,
    saved: bool,
}

/// The form as a person filled it in.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Wanted {
    owner: String,
    template_sid: String,
    /// `1={text}`, one a line.
    variables: String,
    /// Not empty where the box is ticked.
    sms: String,
    sms_from: String,
}

#[derive(Template)]
#[template(path = "communications_way_out.html")]
struct Page<'a> {
    layout: Layout,
    wanted: &'a Wanted,
    saved: bool,
    wrong: Option<Wrong>,
    senders: Vec<String>,
    /// The sender that is set is not the owner's any more.
    is_gone: bool,
}

impl Wanted {
    /// What is set now.
    fn of(owner: &str, way_out: WayOut) -> Self {
        let (sid, variables) = way_out
            .template
            .map(|template| (template.sid, template.variables))
            .unwrap_or_default();
        let lines: Vec<_> = variables
            .into_iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let sms = way_out.sms;
        Self {
            owner: owner.to_owned(),
            template_sid: sid,
            variables: lines.join("\n"),
            sms: sms.as_ref().map_or("", |_| "yes").to_owned(),
            sms_from: sms.and_then(|sms| sms.from).unwrap_or_default(),
        }
    }

    fn way_out(&self) -> Result<WayOut, Problem> {
        let variables = variables(&self.variables)?;
        if given(&self.template_sid).is_none() && !variables.is_empty() {
            let told = crate::t("Variables need a template");
            return Err(Problem::unprocessable("template.sid", told));
        }
        Ok(WayOut {
            template: given(&self.template_sid).map(|sid| ContentTemplate { sid, variables }),
            sms: given(&self.sms).map(|_| SmsSender {
                from: given(&self.sms_from),
            }),
        })
    }
}

#[handler]
pub(crate) async fn show(Query(asked): Query<Asked>, Data(app): Data<&App>) -> Response {
    match way_out::read(app, &owner(&asked.owner)).await {
        Ok(found) => {
            let outcome = if asked.saved {
                Outcome::Saved
            } else {
                Outcome::None
            };
            page(app, StatusCode::OK, &Wanted::of(&asked.owner, found), outcome).await
        }
        Err(problem) => refused(&problem, "/communications"),
    }
}

/// What came of setting it.
enum Outcome {
    /// Nobody has.
    None,
    Saved,
    Wrong(Wrong),
}

async fn page(app: &App, status: StatusCode, wanted: &Wanted, outcome: Outcome) -> Response {
    let senders: Vec<_> = match Senders::of(&app.environment.database, &owner(&wanted.owner)).await {
        Ok(known) => senders(&known)
            .into_iter()
            .filter(|sender| !sender.starts_with("whatsapp:"))
            .collect(),
        Err(error) => return refused(&error.into(), "/communications"),
    };
    let from = wanted.sms_from.as_str();
    let page = Page {
        layout: Layout::new(
            "When WhatsApp takes no text",
            Here::Communications,
            app.config.dev,
        ),
        wanted,
        saved: matches!(outcome, Outcome::Saved),
        wrong: match outcome {
            Outcome::Wrong(wrong) => Some(wrong),
            Outcome::None | Outcome::Saved => None,
        },
        is_gone: !matches!(from, "" | "pool") && !senders.iter().any(|sender| sender == from),
        senders,
    };
    html(status, &page)
}

/// Sets it, or shows the form again with what is wrong.
#[handler]
pub(crate) async fn set(Form(wanted): Form<Wanted>, Data(app): Data<&App>) -> Response {
    match try_set(app, &owner(&wanted.owner), &wanted).await {
        Ok(()) => {
            let query = [("owner", wanted.owner.as_str()), ("saved", "true")];
            let query = serde_urlencoded::to_string(query).unwrap_or_default();
            Redirect::see_other(format!("/communications/way-out?{query}")).into_response()
        }
        Err(problem) => {
            let wrong = Outcome::Wrong(Wrong::of(&problem));
            page(app, problem.status(), &wanted, wrong).await
        }
    }
}

async fn try_set(app: &App, owner: &OwnerId, wanted: &Wanted) -> Result<(), Problem> {
    way_out::set(app, owner, wanted.way_out()?).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_set_is_shown_as_it_is_written() {
        let wanted = Wanted {
            template_sid: "HX00000000000000000000000000000001".to_owned(),
            variables: "1={text}\n2=Acme".to_owned(),
            sms: "yes".to_owned(),
            sms_from: "+14155238886".to_owned(),
            ..Wanted::default()
        };
        let way_out = wanted.way_out().expect("a way out");
        let shown = Wanted::of("", way_out);
        assert_eq!(shown.variables, wanted.variables);
        assert_eq!((shown.sms, shown.sms_from), (wanted.sms, wanted.sms_from));
        let lonely = Wanted {
            variables: "1=a".to_owned(),
            ..Wanted::default()
        };
        assert!(
            lonely
                .way_out()
                .is_err_and(|problem| problem.field() == Some("template.sid"))
        );
        let none = Wanted::default().way_out().expect("no way out");
        assert!(none.template.is_none() && none.sms.is_none());
    }
}
