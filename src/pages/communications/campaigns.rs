//! `/communications/campaigns`: all of an owner's, and a new one.
use askama::Template;
use poem::{
    IntoResponse, Response, handler,
    http::StatusCode,
    web::{Data, Multipart, Query, Redirect},
};
use recado_domain::{CampaignMessage, CampaignState, Channel, OwnerId, Template as Written};
use recado_store::{
    campaigns::{self as store, Campaign, Progress, Which},
    senders::Senders,
};
use serde::Deserialize;

use super::{
    form::{self, given},
    owner, refused,
};
use crate::{
    app::App,
    campaigns::{self, Draft},
    http::Problem,
    pages::{
        layout::{Here, Layout, html},
        moment::Moment,
    },
};

/// How many campaigns are shown at once.
const PAGE: u64 = 25;
/// The largest file, in bytes.
const LARGEST: usize = 32 * 1024 * 1024;

/// Which campaigns.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Asked {
    owner: String,
    state: String,
    name: String,
    cursor: String,
}

/// A new campaign as a person filled it in.
#[derive(Clone, Debug, Default)]
struct Filled {
    owner: String,
    name: String,
    channel: String,
    from: String,
    body: String,
    media_url: String,
    template_sid: String,
    variables: String,
    pace: String,
    rows: String,
}

#[derive(Template)]
#[template(path = "campaigns.html")]
struct Page<'a> {
    layout: Layout,
    owner: &'a OwnerId,
    asked: &'a Asked,
    filled: &'a Filled,
    wrong: Option<(String, String)>,
    senders: Vec<String>,
    rows: Vec<Row>,
    next: Option<String>,
    states: [&'static str; 5],
}

/// A campaign as a line of the list.
struct Row {
    id: String,
    name: String,
    state: CampaignState,
    channel: String,
    made: Moment,
    progress: Progress,
}

impl Row {
    fn summary(&self) -> String {
        let Progress { total, sent, .. } = self.progress;
        super::tell(
            "{sent} of {total} sent",
            &[("sent", sent.to_string()), ("total", total.to_string())],
        )
    }
}

#[handler]
pub(crate) async fn list(Query(asked): Query<Asked>, Data(app): Data<&App>) -> Response {
    page(app, StatusCode::OK, &asked, &Filled::default(), None).await
}

async fn page(
    app: &App,
    status: StatusCode,
    asked: &Asked,
    filled: &Filled,
    wrong: Option<(String, String)>,
) -> Response {
    let owner = owner(&asked.owner);
    let read = async {
        let database = &app.environment.database;
        let which = Which {
            state: CampaignState::parse(&asked.state).ok(),
            name: Some(asked.name.trim().to_owned()).filter(|name| !name.is_empty()),
        };
        let cursor = Some(asked.cursor.as_str()).filter(|cursor| !cursor.is_empty());
        let found = store::list(database, &owner, &which, cursor, PAGE).await?;
        let ids: Vec<&str> = found.items.iter().map(|campaign| campaign.id.as_str()).collect();
        let progress = store::progress_of(database, &owner, &ids).await?;
        let row = |campaign: Campaign| {
            let progress = progress.get(&campaign.id).copied().unwrap_or_default();
            row(campaign, progress)
        };
        let rows = found.items.into_iter().map(row).collect();
        let senders = Senders::of(database, &owner).await?;
        Ok::<_, Problem>(Page {
            layout: Layout::new("Campaigns", Here::Communications, app.config.dev),
            owner: &owner,
            asked,
            filled,
            wrong,
            senders: form::senders(&senders),
            rows,
            next: found.next.map(|next| asked.at(&next)),
            states: ["draft", "running", "paused", "completed", "cancelled"],
        })
    };
    match read.await {
        Ok(page) => html(status, &page),
        Err(problem) => refused(&problem, "/communications"),
    }
}

fn row(campaign: Campaign, progress: Progress) -> Row {
    Row {
        id: campaign.id,
        name: campaign.name,
        state: campaign.state,
        channel: campaign.channel.to_string(),
        made: Moment::relative(campaign.created_at),
        progress,
    }
}

impl Asked {
    fn is_filtered(&self) -> bool {
        [&self.state, &self.name, &self.cursor]
            .iter()
            .any(|text| !text.is_empty())
    }

    fn at(&self, cursor: &str) -> String {
        let query = [
            ("owner", self.owner.as_str()),
            ("state", &self.state),
            ("name", &self.name),
            ("cursor", cursor),
        ];
        let given: Vec<_> = query.into_iter().filter(|(_, value)| !value.is_empty()).collect();
        let query = serde_urlencoded::to_string(given).unwrap_or_default();
        format!("/communications/campaigns?{query}")
    }
}

/// Makes a draft of what a person filled in, and leads to it; nothing goes yet.
#[handler]
pub(crate) async fn make(form: Multipart, Data(app): Data<&App>) -> Response {
    let filled = match read(form).await {
        Ok(filled) => filled,
        Err(problem) => return refused(&problem, "/communications/campaigns"),
    };
    match try_make(app, &filled).await {
        Ok(campaign) => {
            let query = serde_urlencoded::to_string([("owner", &filled.owner)]).unwrap_or_default();
            Redirect::see_other(format!("/communications/campaigns/{}?{query}", campaign.id)).into_response()
        }
        Err(problem) => {
            let asked = Asked {
                owner: filled.owner.clone(),
                ..Asked::default()
            };
            let wrong = Some((
                problem.field().unwrap_or_default().to_owned(),
                problem.to_string(),
            ));
            page(app, problem.status(), &asked, &filled, wrong).await
        }
    }
}

async fn read(form: Multipart) -> Result<Filled, Problem> {
    let mut fields = form::fields(form, LARGEST).await?;
    let rows = form::rows(&mut fields);
    let mut of = |name| fields.remove(name).unwrap_or_default();
    Ok(Filled {
        owner: of("owner"),
        name: of("name"),
        channel: of("channel"),
        from: of("from"),
        body: of("body").replace("\r\n", "\n"),
        media_url: of("media_url"),
        template_sid: of("template_sid"),
        variables: of("variables"),
        pace: of("pace"),
        rows,
    })
}

async fn try_make(app: &App, filled: &Filled) -> Result<Campaign, Problem> {
    let channel = Channel::parse(&filled.channel)
        .map_err(|_| Problem::unprocessable("channel", "channel is sms or whatsapp"))?;
    let pace = given(&filled.pace).map(|pace| pace.parse());
    let pace = pace
        .transpose()
        .map_err(|_| Problem::unprocessable("pace", crate::t("The pace is a number of people a minute")))?;
    if filled.rows.is_empty() {
        let told = crate::t("Choose a CSV file, or paste its lines; the first line names the columns");
        return Err(Problem::unprocessable("rows", told));
    }
    let template = match given(&filled.template_sid) {
        None => None,
        Some(sid) => Some(Written {
            sid,
            variables: super::compose::variables(&filled.variables)?,
        }),
    };
    let draft = Draft {
        name: filled.name.clone(),
        channel,
        from: given(&filled.from),
        message: CampaignMessage {
            body: given(&filled.body).unwrap_or_default(),
            media_urls: given(&filled.media_url).into_iter().collect(),
            template,
        },
        pace,
        key: None,
        rows: campaigns::read_csv(filled.rows.clone()).await?,
    };
    campaigns::make(app, &owner(&filled.owner), draft).await
}
