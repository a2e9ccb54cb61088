//! `/communications/campaigns/{id}`: how far a campaign is, what is wrong with its rows, and what can be done with it.
use askama::{Template, filters::HtmlSafe};
use poem::{
    IntoResponse, Response, handler,
    http::{StatusCode, header},
    web::{Data, Form, Path, Query, Redirect},
};
use recado_domain::{CampaignState, OwnerId};
use recado_engine::StorageError;
use recado_store::{
    StoreError,
    campaigns::{self as store, Campaign, Person, PersonState, Progress},
};
use serde::Deserialize;

use super::{counted, owner, refused, when};
use crate::{
    app::App,
    campaigns::{self, Act},
    http::Problem,
    pages::{
        layout::{Here, Layout, html},
        live::{Followed, Sections, cursor, follow},
        moment::Moment,
        problem::not_found,
        reveal::write_down,
        text::masked,
    },
};

/// How many people are shown at once.
const PAGE: u64 = 50;
/// The act, as it stands in the audit.
const EXPORT: &str = "export";
/// How many messages are shown as they will be.
const EXAMPLES: u64 = 3;

/// Which of the people.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Asked {
    owner: String,
    state: String,
    cursor: String,
}

/// What a person does with it.
#[derive(Deserialize)]
pub(crate) struct Given {
    act: String,
    #[serde(default)]
    owner: String,
}

#[derive(Template)]
#[template(path = "campaign.html")]
struct Page<'a> {
    layout: Layout,
    owner: &'a OwnerId,
    campaign: &'a Campaign,
    examples: Vec<String>,
    source: String,
    asked: &'a Asked,
    state: State,
}

/// What changes while one looks.
#[derive(Template)]
#[template(path = "campaign_state.html")]
struct State {
    id: String,
    owner: String,
    state: CampaignState,
    progress: Progress,
    started: Option<Moment>,
    finished: Option<Moment>,
    rows: Vec<Row>,
    next: Option<String>,
    /// The only ones that are shown, if not all are.
    only: String,
}

impl HtmlSafe for State {}

/// A person as a line.
struct Row {
    n: i64,
    to: String,
    prospect: String,
    state: &'static str,
    is_bad: bool,
    delivery: Option<String>,
    told: Option<String>,
    run: Option<String>,
}

impl State {
    /// Word, number and filter of each part of the progress that is not empty.
    fn parts(&self) -> Vec<(&'static str, u64, &'static str)> {
        let Progress {
            ready,
            invalid,
            taken,
            sent,
            failed,
            held,
            cancelled,
            ..
        } = self.progress;
        let parts = [
            ("sent", sent, "sent"),
            ("on the way", taken, "taken"),
            ("waiting", ready, "ready"),
            ("failed", failed, "failed"),
            ("held", held, "held"),
            ("cannot be sent", invalid, "invalid"),
            ("not sent any more", cancelled, "cancelled"),
        ];
        parts.into_iter().filter(|(_, count, _)| *count > 0).collect()
    }

    /// Of a hundred of those who can be written to, how many are done with.
    fn percent(&self) -> u64 {
        let Progress {
            total,
            ready,
            invalid,
            taken,
            ..
        } = self.progress;
        let all = total.saturating_sub(invalid);
        all.saturating_sub(ready + taken) * 100 / all.max(1)
    }

    fn summary(&self) -> String {
        counted(self.progress.total, "{count} people")
    }

    fn filtered(&self, state: &str) -> String {
        let query = serde_urlencoded::to_string([("owner", self.owner.as_str()), ("state", state)]);
        format!(
            "/communications/campaigns/{}?{}",
            self.id,
            query.unwrap_or_default()
        )
    }
}

#[handler]
pub(crate) async fn show(
    Path(id): Path<String>,
    Query(asked): Query<Asked>,
    Data(app): Data<&App>,
) -> Response {
    let following = Following {
        app: app.clone(),
        owner: owner(&asked.owner),
        id,
        asked,
    };
    let seen = match following.read().await {
        Ok(seen) => seen,
        Err(problem) if problem.status() == StatusCode::NOT_FOUND => return not_found(),
        Err(problem) => return refused(&problem, "/communications/campaigns"),
    };
    let examples = following.examples(&seen.0).await.unwrap_or_default();
    let query = [
        ("owner", following.asked.owner.as_str()),
        ("state", &following.asked.state),
        ("cursor", &following.asked.cursor),
    ];
    let query = serde_urlencoded::to_string(query).unwrap_or_default();
    let page = Page {
        layout: Layout::new(seen.0.name.clone(), Here::Communications, app.config.dev),
        owner: &following.owner,
        campaign: &seen.0,
        examples,
        source: format!("/communications/campaigns/{}/live?{query}", following.id),
        asked: &following.asked,
        state: following.state(&seen),
    };
    html(StatusCode::OK, &page)
}

#[handler]
pub(crate) async fn live(
    Path(id): Path<String>,
    Query(asked): Query<Asked>,
    Data(app): Data<&App>,
) -> Response {
    follow(Following {
        app: app.clone(),
        owner: owner(&asked.owner),
        id,
        asked,
    })
}

#[handler]
pub(crate) async fn act(Path(id): Path<String>, Form(given): Form<Given>, Data(app): Data<&App>) -> Response {
    let Some(act) = Act::parse(&given.act) else {
        return not_found();
    };
    match campaigns::act(app, &owner(&given.owner), &id, act).await {
        Ok(_) => {
            tracing::info!(campaign = %id, act = %given.act, "acted on by a person");
            let query = serde_urlencoded::to_string([("owner", &given.owner)]).unwrap_or_default();
            Redirect::see_other(format!("/communications/campaigns/{id}?{query}")).into_response()
        }
        Err(problem) => refused(&problem, "/communications/campaigns"),
    }
}

/// What became of each person, as a file.
#[handler]
pub(crate) async fn result(
    Path(id): Path<String>,
    Query(asked): Query<Asked>,
    Data(app): Data<&App>,
) -> Response {
    let owner = owner(&asked.owner);
    let read = async {
        let (campaign, _) = campaigns::find(app, &owner, &id).await?;
        // It has every number whole.
        let subject = format!("campaign:{}", campaign.id);
        write_down(app, Some(owner.as_str()), EXPORT, subject).await?;
        Ok::<_, Problem>(campaign)
    };
    match read.await {
        Ok(campaign) => Response::builder()
            .content_type("text/csv; charset=utf-8")
            .header(
                header::CONTENT_DISPOSITION,
                format!("attachment; filename=\"{}.csv\"", campaign.id),
            )
            .body(campaigns::result(app, &owner, &campaign.id)),
        Err(problem) => refused(&problem, "/communications/campaigns"),
    }
}

struct Following {
    app: App,
    owner: OwnerId,
    id: String,
    asked: Asked,
}

type Seen = (Campaign, Progress, Vec<Person>, Option<String>);

impl Following {
    async fn read(&self) -> Result<Seen, Problem> {
        let (campaign, progress) = campaigns::find(&self.app, &self.owner, &self.id).await?;
        let page = self.people(PersonState::parse(&self.asked.state).ok()).await?;
        Ok((campaign, progress, page.items, page.next))
    }

    async fn people(&self, state: Option<PersonState>) -> Result<recado_store::Page<Person>, StoreError> {
        let database = &self.app.environment.database;
        let after = self.asked.cursor.parse().ok();
        store::people(database, &self.owner, &self.id, state, after, PAGE).await
    }

    /// The first messages, as they will be.
    async fn examples(&self, campaign: &Campaign) -> Result<Vec<String>, StoreError> {
        let (database, ready) = (&self.app.environment.database, Some(PersonState::Ready));
        let page = store::people(database, &self.owner, &self.id, ready, None, EXAMPLES).await?;
        let written = |person: Person| {
            let message = campaign.message.fill(&person.fields).ok()?;
            let told = match message.template {
                Some(template) => format!(
                    "{}: {}",
                    template.sid,
                    template.variables.into_values().collect::<Vec<_>>().join(" · ")
                ),
                None => message.body,
            };
            Some(told).filter(|told| !told.is_empty())
        };
        Ok(page.items.into_iter().filter_map(written).collect())
    }

    fn state(&self, (campaign, progress, people, next): &Seen) -> State {
        let next = next.as_ref().map(|next| {
            let query = [
                ("owner", self.asked.owner.as_str()),
                ("state", &self.asked.state),
                ("cursor", next),
            ];
            let query = serde_urlencoded::to_string(query).unwrap_or_default();
            format!("/communications/campaigns/{}?{query}", self.id)
        });
        State {
            id: campaign.id.clone(),
            owner: self.asked.owner.clone(),
            state: campaign.state,
            progress: *progress,
            started: when(campaign.started_at),
            finished: when(campaign.finished_at),
            rows: people.iter().map(Row::from).collect(),
            next,
            only: self.asked.state.clone(),
        }
    }
}

impl Followed for Following {
    type Seen = Seen;

    async fn look(&self) -> Result<Seen, StorageError> {
        let told = |problem: Problem| StorageError::Database(sea_orm::DbErr::Custom(problem.to_string()));
        self.read().await.map_err(told)
    }

    fn cursor(&self, seen: &Seen) -> u64 {
        let rows: Vec<_> = seen
            .2
            .iter()
            .map(|person| (person.n, person.state, &person.delivery))
            .collect();
        cursor(&(seen.0.state, seen.1, rows))
    }

    fn sections(&self, seen: &Seen) -> Sections {
        Sections::from([("state", self.state(seen).render().unwrap_or_default())])
    }
}

impl From<&Person> for Row {
    fn from(person: &Person) -> Self {
        let code = person.error_code.map(|code| format!("{code}: "));
        let told = person.problem.clone().or_else(|| person.error_message.clone());
        let known = person
            .error_code
            .and_then(|code| recado_clients::twilio::known(u32::try_from(code).ok()?));
        let told = told.or_else(|| known.map(|known| known.told()));
        Self {
            n: person.n,
            to: recado_domain::Address::parse(&person.address)
                .map_or_else(|_| masked(&person.address), |address| address.masked()),
            prospect: masked(&person.prospect),
            state: person.state.as_str(),
            is_bad: matches!(
                person.state,
                PersonState::Invalid | PersonState::Failed | PersonState::Held
            ),
            delivery: person.delivery.clone(),
            told: told.map(|told| format!("{}{told}", code.unwrap_or_default())),
            run: person.run.clone(),
        }
    }
}
