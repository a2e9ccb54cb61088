//! `/communications`: what an owner says of its own accord, and what went between it and one person.
use askama::Template;
use chrono::{DateTime, NaiveDate, NaiveTime, TimeDelta, Utc};
use poem::{
    Response, handler,
    http::StatusCode,
    web::{Data, Form, Query},
};
use recado_domain::OwnerId;
use recado_store::{
    owners,
    prospects::{self, Filter, Medium},
    senders::Senders,
};
use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::{
    language::tell,
    layout::{Here, Layout, html},
    moment::Moment,
    problem::{not_found, problem_at},
    reveal,
    sight::Sight,
    text::masked,
};
use crate::{app::App, http::Problem};

pub(crate) mod batch;
pub(crate) mod call;
pub(crate) mod campaign;
pub(crate) mod campaigns;
pub(crate) mod compose;
mod form;
pub(crate) mod health;
mod history;
mod prices;
pub(crate) mod way_out;

use compose::Letter;
use form::Wrong;
use history::History;

/// Statuses by which a history can be filtered.
const STATUSES: [&str; 10] = [
    "queued",
    "sent",
    "delivered",
    "read",
    "undelivered",
    "failed",
    "received",
    "completed",
    "busy",
    "no-answer",
];

/// Whose, and which part of a history.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Asked {
    owner: String,
    prospect: String,
    #[serde(rename = "type")]
    channel: String,
    status: String,
    from: String,
    until: String,
    text: String,
    cursor: String,
    reveal: String,
    /// The run of what was sent a moment ago.
    sent: String,
}

#[derive(Template)]
#[template(path = "communications.html")]
struct Page<'a> {
    layout: Layout,
    letter: &'a Letter,
    wrong: Option<Wrong>,
    senders: Vec<String>,
    asked: &'a Asked,
    sight: Sight,
    history: Option<History>,
    month: prices::Month,
    statuses: [&'static str; 10],
}

/// Whose page it is.
pub(super) fn owner(given: &str) -> OwnerId {
    match given.trim() {
        "" => OwnerId::from(owners::DEFAULT),
        owner => OwnerId::from(owner.to_owned()),
    }
}

#[handler]
pub(crate) async fn show(Query(asked): Query<Asked>, Data(app): Data<&App>) -> Response {
    let letter = Letter::to(&asked.prospect);
    page(app, StatusCode::OK, &asked, &letter, None).await
}

/// The page, with what a person has written so far and what is wrong with it.
async fn page(
    app: &App,
    status: StatusCode,
    asked: &Asked,
    letter: &Letter,
    wrong: Option<Wrong>,
) -> Response {
    let owner = owner(&asked.owner);
    let read = async {
        let database = &app.environment.database;
        let known = owners::find(database, &owner).await?;
        if known.is_none() {
            return Err(Problem::not_found("owner"));
        }
        let sight = Sight::of(app, &asked.subject(&owner), &asked.reveal).await?;
        let senders = Senders::of(database, &owner).await?;
        Ok(Page {
            layout: Layout::new("Communications", Here::Communications, app.config.dev),
            letter,
            wrong,
            senders: form::senders(&senders),
            asked,
            history: History::read(app, &owner, asked, &sight).await?,
            sight,
            month: prices::Month::of(database, &owner, Utc::now()).await?,
            statuses: STATUSES,
        })
    };
    match read.await {
        Ok(page) => html(status, &page),
        Err(problem) => refused(&problem, "/communications"),
    }
}

/// A problem as a page that leads back.
fn refused(problem: &Problem, back: &'static str) -> Response {
    let title = crate::t("That cannot be done so");
    problem_at(
        problem.status(),
        title,
        &problem.to_string(),
        (back, crate::t("Back")),
    )
}

impl Asked {
    /// What cannot be understood is as if it were not there: the form offers nothing that cannot.
    fn filter(&self) -> Filter {
        let day = |text: &str| NaiveDate::parse_from_str(text, "%Y-%m-%d").ok();
        let midnight = |day: NaiveDate| day.and_time(NaiveTime::MIN).and_utc();
        Filter {
            medium: Medium::parse(&self.channel).ok(),
            status: Some(self.status.clone()).filter(|status| STATUSES.contains(&status.as_str())),
            since: day(&self.from).map(midnight),
            before: day(&self.until).map(|day| midnight(day) + TimeDelta::days(1)),
            text: Some(self.text.trim().to_owned()).filter(|text| !text.is_empty()),
        }
    }

    fn is_filtered(&self) -> bool {
        let given = [
            &self.channel,
            &self.status,
            &self.from,
            &self.until,
            &self.text,
            &self.cursor,
        ];
        given.iter().any(|text| !text.is_empty())
    }

    /// The address of a page of the same history.
    fn at(&self, cursor: &str) -> String {
        format!("/communications?{}#history", self.query(cursor, &self.reveal))
    }

    /// The address of this page, with all masked.
    fn masked(&self) -> String {
        format!("/communications?{}#history", self.query(&self.cursor, ""))
    }

    /// What the page shows, to come back to it.
    fn back(&self) -> String {
        self.query(&self.cursor, "")
    }

    /// What is revealed of this history, as the audit names it.
    fn subject(&self, owner: &OwnerId) -> String {
        let id = self.prospect.trim();
        let seen = masked(id);
        // One who was written to without an id goes by the number, which has no place in the audit.
        match seen == id {
            true => format!("prospect:{owner}/{id}"),
            false => {
                let digest = Sha256::digest(id);
                let short: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
                format!("prospect:{owner}/{seen} {short}")
            }
        }
    }

    fn query(&self, cursor: &str, reveal: &str) -> String {
        let query = [
            ("owner", self.owner.as_str()),
            ("prospect", &self.prospect),
            ("type", &self.channel),
            ("status", &self.status),
            ("from", &self.from),
            ("until", &self.until),
            ("text", &self.text),
            ("cursor", cursor),
            ("reveal", reveal),
        ];
        let given: Vec<_> = query.into_iter().filter(|(_, value)| !value.is_empty()).collect();
        serde_urlencoded::to_string(given).unwrap_or_default()
    }
}

/// Whose history is to be revealed.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct Revealed {
    owner: String,
    prospect: String,
    back: String,
}

/// Shows a history whole, and writes down that it was.
#[handler]
pub(crate) async fn show_whole(Form(given): Form<Revealed>, Data(app): Data<&App>) -> Response {
    let owner = owner(&given.owner);
    let asked = Asked {
        prospect: given.prospect,
        ..Asked::default()
    };
    match prospects::exists(&app.environment.database, &owner, asked.prospect.trim()).await {
        Ok(true) => {}
        Ok(false) => return not_found(),
        Err(error) => return refused(&error.into(), "/communications"),
    }
    let subject = asked.subject(&owner);
    reveal::reveal(app, Some(owner.as_str()), subject, "/communications", &given.back).await
}

/// A number of people, by what became of them.
fn counted(count: u64, word: &str) -> String {
    tell(word, &[("count", count.to_string())])
}

/// When something happened, if it did.
fn when(at: Option<DateTime<Utc>>) -> Option<Moment> {
    at.map(Moment::relative)
}

impl Problem {
    /// The status that it is answered with.
    fn status(&self) -> StatusCode {
        poem::error::ResponseError::status(self)
    }
}
