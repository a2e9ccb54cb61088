//! Starting a run of any workflow, as JSON.
use std::time::Duration;

use poem::{http::StatusCode, web::Data};
use poem_openapi::{ApiResponse, Object, OpenApi, param::Header, payload::Json};
use recado_engine::{Run, Start};
use serde_json::Value;

use super::{Operator, Tag, runs::RunItem};
use crate::{app::App, http::Problem};

/// Starts of runs.
pub(super) struct Starts;

/// The longest that an answer waits for the end of a run.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// A run to be started.
#[derive(Object)]
pub(super) struct StartBody {
    /// The durable name of its workflow.
    #[oai(validator(min_length = 1, max_length = 200))]
    workflow: String,
    /// The workflow's input.
    input: Value,
    /// The lane in whose order it takes its turn, if its workflow enters one.
    #[oai(validator(min_length = 1, max_length = 500))]
    lane: Option<String>,
}

/// A run that has ended, and its result.
#[derive(Object)]
pub(super) struct EndedRun {
    #[oai(flatten)]
    run: RunItem,
    /// The workflow's result.
    output: Option<Value>,
}

/// A run that was started, now or before under the same key.
#[derive(ApiResponse)]
pub(super) enum StartAnswer {
    /// It has ended in the time that the caller would wait.
    #[oai(status = 200)]
    Ended(Json<EndedRun>),
    /// It is on the disk and will be worked on.
    #[oai(status = 202)]
    Started(Json<RunItem>),
}

#[OpenApi(tag = "Tag::Runs")]
impl Starts {
    /// Starts a run
    ///
    /// The same `Idempotency-Key` finds the same run of the workflow, for ever. With `Prefer: wait=N` the answer waits up
    /// to N seconds, 60 at most, for its end.
    #[oai(path = "/runs", method = "post")]
    async fn start(
        &self,
        Data(app): Data<&App>,
        _operator: Operator,
        #[oai(name = "Recado-Owner")] owner: Header<Option<String>>,
        #[oai(name = "Idempotency-Key", validator(max_length = 500))] key: Header<Option<String>>,
        #[oai(name = "Prefer")] prefer: Header<Option<String>>,
        body: Json<StartBody>,
    ) -> poem::Result<StartAnswer> {
        let patience = patience(prefer.0.as_deref())?;
        let StartBody {
            workflow,
            input,
            lane,
        } = body.0;
        let start = Start {
            key: key.0.filter(|key| !key.is_empty()),
            owner: owner.0.filter(|owner| !owner.is_empty()),
            lane,
            width: None,
        };
        let begun = begin(app, &workflow, input.clone(), start, patience).await?;
        let run = begun.unless_other(|known| *known == input)?;
        Ok(match run.state.is_final() {
            true => StartAnswer::Ended(Json(EndedRun::from(run))),
            false => StartAnswer::Started(Json(run.into())),
        })
    }
}

/// A run that was asked for.
pub(super) struct Begun {
    run: Run,
    is_new: bool,
}

impl Begun {
    /// The run, if it is new or was started with the same input, as `is_same` says.
    ///
    /// # Errors
    /// When its key started it with another input.
    pub(super) fn unless_other(self, is_same: impl Fn(&Value) -> bool) -> Result<Run, Problem> {
        if self.is_new || is_same(&self.run.input) {
            return Ok(self.run);
        }
        let told = format!(
            "this Idempotency-Key started {} with another input; nothing was started",
            self.run.id
        );
        Err(Problem::new(StatusCode::CONFLICT, told))
    }
}

/// Starts a run, or finds the one that its key started, and waits for its end, `patience` at most.
///
/// # Errors
/// When the workflow cannot read the input, or the database refuses.
pub(super) async fn begin(
    app: &App,
    workflow: &str,
    input: Value,
    start: Start,
    patience: Duration,
) -> Result<Begun, Problem> {
    let engine = &app.engine;
    let (started, ended) = engine.run_named(workflow, input, start, patience).await?;
    let run = match ended {
        Some(run) => Some(run),
        None => engine.storage().run(&started.run).await?,
    };
    Ok(Begun {
        run: run.ok_or_else(|| Problem::not_found("run"))?,
        is_new: started.new,
    })
}

/// How long the caller would wait for the end of a run; not at all, if it says nothing.
///
/// # Errors
/// When it says something else than a number of seconds.
pub(super) fn patience(prefer: Option<&str>) -> Result<Duration, Problem> {
    Ok(prefer.map(wait).transpose()?.flatten().unwrap_or_default())
}

impl From<Run> for EndedRun {
    fn from(run: Run) -> Self {
        Self {
            output: run.output.clone(),
            run: run.into(),
        }
    }
}

/// How long the caller would wait, of the preferences of RFC 7240 that a request may bring.
fn wait(prefer: &str) -> Result<Option<Duration>, Problem> {
    let wait = prefer
        .split([',', ';'])
        .find_map(|preference| preference.trim().strip_prefix("wait="));
    let Some(seconds) = wait else { return Ok(None) };
    let seconds = seconds
        .trim_matches('"')
        .parse()
        .map_err(|_| Problem::bad_request("Prefer: wait is a number of whole seconds, 60 at most"))?;
    Ok(Some(Duration::from_secs(seconds).min(LONGEST_WAIT)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_found_among_other_preferences_and_bounded() {
        let seconds = |text| wait(text).ok().map(|wait| wait.map(|wait| wait.as_secs()));
        assert_eq!(seconds("respond-async, wait=5"), Some(Some(5)));
        assert_eq!(seconds("wait=\"7\""), Some(Some(7)));
        assert_eq!(seconds("wait=3600"), Some(Some(60)));
        assert_eq!(seconds("return=minimal"), Some(None));
        assert_eq!(seconds("wait=soon"), None);
        assert_eq!(seconds("wait=-1"), None);
    }
}
