//! `/communications/batch`: up to a hundred messages that a person pastes, looks at and sends.
use askama::Template;
use poem::{
    IntoResponse, Response, handler,
    http::StatusCode,
    web::{Data, Multipart, Query, Redirect},
};
use recado_store::senders::Senders;
use serde_json::{Value, json};

use super::{
    Asked, Wrong,
    form::{self, after, fresh, given, named, senders},
    owner, refused,
};
use crate::{
    app::App,
    http::{
        Problem,
        api::messages::from_page::{check_batch, send_batch_from_page},
    },
    pages::{
        language::tell,
        layout::{Here, Layout, html},
        moment::Moment,
    },
};

mod lines;
pub(crate) mod result;

use lines::Line;

/// The largest file, in bytes: a hundred of the longest texts fit.
const LARGEST: usize = 1024 * 1024;

/// The form as a person filled it in.
#[derive(Clone, Debug, Default)]
struct Batch {
    owner: String,
    /// Names this form for ever: sent twice it sends once.
    key: String,
    channel: String,
    from: String,
    rows: String,
}

/// What would go.
struct Preview {
    rows: Vec<Row>,
    quiet_until: Option<Moment>,
}

struct Row {
    n: usize,
    line: Line,
    /// What is wrong with it.
    wrong: Option<String>,
}

#[derive(Template)]
#[template(path = "communications_batch.html")]
struct Page<'a> {
    layout: Layout,
    batch: &'a Batch,
    wrong: Option<Wrong>,
    senders: Vec<String>,
    preview: Option<Preview>,
}

impl Preview {
    fn good(&self) -> usize {
        self.rows.iter().filter(|row| row.wrong.is_none()).count()
    }

    /// What the button says.
    fn send(&self) -> String {
        let given = [
            ("good", self.good().to_string()),
            ("all", self.rows.len().to_string()),
        ];
        tell("Send {good} of {all}", &given)
    }
}

impl Batch {
    fn rows(&self, lines: &[Line]) -> Vec<Value> {
        let row = |line: &Line| {
            json!({
                "channel": self.channel,
                "from": given(&self.from),
                "to": given(&line.to),
                "body": given(&line.body),
                "prospect": given(&line.prospect).or_else(|| given(&line.to)),
            })
        };
        lines.iter().map(row).collect()
    }

    async fn preview(&self, app: &App, lines: Vec<Line>) -> Result<Preview, Problem> {
        let checked = check_batch(app, &owner(&self.owner), self.rows(&lines)).await?;
        let rows = (1..).zip(lines.into_iter().zip(checked.rows));
        let row = |(n, (line, error)): (usize, (Line, Option<recado_workflows::RowError>))| Row {
            n,
            line,
            wrong: error.map(|error| error.message),
        };
        Ok(Preview {
            rows: rows.map(row).collect(),
            quiet_until: checked.quiet_until.map(Moment::relative),
        })
    }
}

#[handler]
pub(crate) async fn ask(Query(asked): Query<Asked>, Data(app): Data<&App>) -> Response {
    let batch = Batch {
        owner: asked.owner,
        key: fresh(),
        ..Batch::default()
    };
    page(app, StatusCode::OK, &batch, None, None).await
}

async fn page(
    app: &App,
    status: StatusCode,
    batch: &Batch,
    wrong: Option<Wrong>,
    preview: Option<Preview>,
) -> Response {
    match Senders::of(&app.environment.database, &owner(&batch.owner)).await {
        Ok(found) => html(
            status,
            &Page {
                layout: Layout::new("Write to several", Here::Communications, app.config.dev),
                batch,
                wrong,
                senders: senders(&found),
                preview,
            },
        ),
        Err(error) => refused(&error.into(), "/communications"),
    }
}

/// Shows what would go, or sends what was shown.
#[handler]
pub(crate) async fn send(form: Multipart, Data(app): Data<&App>) -> Response {
    let (batch, is_looked_at) = match read(form).await {
        Ok(read) => read,
        Err(problem) => return refused(&problem, "/communications/batch"),
    };
    match act(app, &batch, is_looked_at).await {
        Ok(Done::Looked(preview)) => page(app, StatusCode::OK, &batch, None, Some(preview)).await,
        Ok(Done::Sent(run)) => {
            let query = serde_urlencoded::to_string([("owner", &batch.owner)]).unwrap_or_default();
            Redirect::see_other(format!("/communications/batch/{run}?{query}")).into_response()
        }
        Err(problem) => {
            let key = after(batch.key.clone(), &problem);
            let again = Batch { key, ..batch };
            page(app, problem.status(), &again, Some(Wrong::of(&problem)), None).await
        }
    }
}

enum Done {
    Looked(Preview),
    Sent(String),
}

async fn act(app: &App, batch: &Batch, is_looked_at: bool) -> Result<Done, Problem> {
    let lines = lines::read(&batch.rows).await?;
    if lines.is_empty() {
        let told = crate::t("Choose a file or paste lines, one for each person");
        return Err(Problem::unprocessable("rows", told));
    }
    if !is_looked_at {
        return Ok(Done::Looked(batch.preview(app, lines).await?));
    }
    let rows = batch.rows(&lines);
    let run = send_batch_from_page(app, &owner(&batch.owner), &batch.key, rows).await?;
    Ok(Done::Sent(run))
}

async fn read(form: Multipart) -> Result<(Batch, bool), Problem> {
    let mut fields = form::fields(form, LARGEST).await?;
    let rows = form::rows(&mut fields).replace("\r\n", "\n");
    let mut of = |name| fields.remove(name).unwrap_or_default();
    let batch = Batch {
        owner: of("owner"),
        key: named(&of("key")),
        channel: of("channel"),
        from: of("from"),
        rows,
    };
    Ok((batch, of("step") == "send"))
}
