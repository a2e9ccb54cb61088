//! Campaigns, as the API and the pages make them, look at them and act on them.
use std::time::Duration;

use chrono::Utc;
use poem::http::StatusCode;
use recado_domain::{CampaignState, OwnerId};
use recado_engine::{ControlError, RunId, Start, StartError, Started, StorageError, Workflow};
use recado_store::{
    StoreError,
    campaigns::{self, Campaign, Progress},
};
use recado_workflows::{Campaign as CampaignRun, CampaignChanged};

use crate::{app::App, http::Problem};

mod draft;
mod forget;
mod result;
mod table;

pub(crate) use draft::{Draft, make};
pub(crate) use forget::forget;
pub(crate) use result::result;
pub(crate) use table::{Row, read as read_csv};

/// What takes long enough to hold up whoever shares the thread: some 100,000 rows are read.
async fn aside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Problem> {
    tokio::task::spawn_blocking(work).await.map_err(|error| {
        tracing::error!(%error, "the rows of a campaign could not be looked at");
        Problem::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "the rows could not be looked at; the log has more",
        )
    })
}

/// What a person can do with a campaign.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Act {
    Start,
    Pause,
    Resume,
    Cancel,
}

impl Act {
    pub(crate) fn parse(word: &str) -> Option<Self> {
        match word {
            "start" => Some(Self::Start),
            "pause" => Some(Self::Pause),
            "resume" => Some(Self::Resume),
            "cancel" => Some(Self::Cancel),
            _ => None,
        }
    }

    /// From which states it leads to which, and the word for the rest.
    fn way(self) -> (&'static [CampaignState], CampaignState, &'static str) {
        use CampaignState::{Cancelled, Draft, Paused, Running};
        match self {
            Self::Start => (&[Draft], Running, "started"),
            Self::Pause => (&[Running], Paused, "paused"),
            Self::Resume => (&[Paused], Running, "resumed"),
            Self::Cancel => (&[Draft, Running, Paused], Cancelled, "cancelled"),
        }
    }
}

/// Why a transaction came to nothing.
enum Refused {
    Store(StoreError),
    Storage(StorageError),
}

impl From<StoreError> for Refused {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<StorageError> for Refused {
    fn from(error: StorageError) -> Self {
        Self::Storage(error)
    }
}

impl From<Refused> for Problem {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Store(error) => error.into(),
            Refused::Storage(error) => error.into(),
        }
    }
}

/// A campaign of an owner, and how far it is.
///
/// # Errors
/// 404 where there is none.
pub(crate) async fn find(app: &App, owner: &OwnerId, id: &str) -> Result<(Campaign, Progress), Problem> {
    let database = &app.environment.database;
    let campaign = campaigns::find(database, owner, id).await?;
    let campaign = campaign.ok_or_else(|| Problem::not_found("campaign"))?;
    let progress = campaigns::progress(database, owner, id).await?;
    Ok((campaign, progress))
}

/// Starts, pauses, resumes or cancels a campaign. To do it twice is as good as once.
///
/// # Errors
/// 404 where there is none, 409 where its state does not allow it, or nobody in it can be written to.
pub(crate) async fn act(
    app: &App,
    owner: &OwnerId,
    id: &str,
    act: Act,
) -> Result<(Campaign, Progress), Problem> {
    let (campaign, progress) = find(app, owner, id).await?;
    let (from, to, word) = act.way();
    let conflict =
        |told: String| Problem::new(StatusCode::CONFLICT, told).with("state", campaign.state.as_str());
    if act == Act::Start && campaign.state == CampaignState::Draft && progress.ready == 0 {
        return Err(conflict(
            "nobody in this campaign can be written to; make another with other rows".to_owned(),
        ));
    }
    let is_there = match act {
        Act::Start => !matches!(campaign.state, CampaignState::Draft) && campaign.started_at.is_some(),
        _ => campaign.state == to,
    };
    let is_done = match (to, campaign.state) {
        // Also where it goes already: its run may have been ended by somebody, and goes on as another.
        (CampaignState::Running, CampaignState::Running) => go(app, owner, id, from).await?,
        (CampaignState::Running, _) if !is_there => go(app, owner, id, from).await?,
        _ => is_there || change(app, owner, id, from, to).await?,
    };
    if !is_done {
        let now = find(app, owner, id).await?.0.state;
        return Err(conflict(format!("the campaign is {now} and cannot be {word}")));
    }
    if to != CampaignState::Running
        && let (_, Some(run)) = going(app, id).await?
    {
        tell(app, &run).await?;
    }
    find(app, owner, id).await
}

/// The key under which a campaign goes on, and the run that does it; none where it was not begun, or where whoever began
/// it has ended before the campaign.
async fn going(app: &App, id: &str) -> Result<(String, Option<RunId>), Problem> {
    let (storage, mut n) = (app.engine.storage(), 1);
    loop {
        let key = match n {
            1 => id.to_owned(),
            n => format!("{id}/{n}"),
        };
        let Some(run) = storage.run_by_key(CampaignRun::NAME, &key).await? else {
            return Ok((key, None));
        };
        let found = storage.run(&run).await?;
        if found.is_some_and(|run| !run.state.is_final()) {
            return Ok((key, Some(run)));
        }
        // Unless it goes on as another run since it was looked up.
        if storage.run_by_key(CampaignRun::NAME, &key).await? == Some(run) {
            n += 1;
        }
    }
}

/// Has a campaign run, in one commit with its state. Returns whether its state allows it.
async fn go(app: &App, owner: &OwnerId, id: &str, from: &'static [CampaignState]) -> Result<bool, Problem> {
    let (key, known) = going(app, id).await?;
    let run = match known {
        Some(run) => run,
        None => {
            let begun = begin(app, owner, id, key, from).await;
            match begun {
                Ok(started) if started.new => return Ok(true),
                Ok(started) => started.run,
                Err(NotBegun::State) => return Ok(false),
                Err(NotBegun::Else(problem)) => return Err(problem),
            }
        }
    };
    let changed = change(app, owner, id, from, CampaignState::Running).await?;
    let runs = changed || find(app, owner, id).await?.0.state == CampaignState::Running;
    if runs {
        tell(app, &run).await?;
    }
    Ok(runs)
}

/// Starts the run of a campaign, in one commit with its state.
async fn begin(
    app: &App,
    owner: &OwnerId,
    id: &str,
    key: String,
    from: &'static [CampaignState],
) -> Result<Started, NotBegun> {
    let start = Start {
        key: Some(key),
        owner: Some(owner.to_string()),
        ..Start::default()
    };
    let run = CampaignRun {
        owner: owner.clone(),
        campaign: id.to_owned(),
    };
    let begun =
        app.engine
            .run_named_after::<NotBegun, _>(CampaignRun::NAME, start, Duration::ZERO, move |tx| {
                Box::pin(async move {
                    let (owner, id) = (&run.owner, &run.campaign);
                    let state = CampaignState::Running;
                    let changed = campaigns::change(tx, owner, id, from, state, Utc::now()).await?;
                    match changed || campaigns::lock(tx, owner, id).await?.state == state {
                        true => Ok(serde_json::to_value(&run).map_err(StoreError::from)?),
                        false => Err(NotBegun::State),
                    }
                })
            });
    Ok(begun.await?.0)
}

/// Why a campaign was not begun.
enum NotBegun {
    State,
    Else(Problem),
}

impl From<StoreError> for NotBegun {
    fn from(error: StoreError) -> Self {
        Self::Else(error.into())
    }
}

impl From<StorageError> for NotBegun {
    fn from(error: StorageError) -> Self {
        Self::Else(error.into())
    }
}

impl From<StartError> for NotBegun {
    fn from(error: StartError) -> Self {
        Self::Else(error.into())
    }
}

async fn change(
    app: &App,
    owner: &OwnerId,
    id: &str,
    from: &'static [CampaignState],
    to: CampaignState,
) -> Result<bool, Problem> {
    let (owner, id) = (owner.clone(), id.to_owned());
    let changed = app.engine.storage().transaction(move |tx| {
        Box::pin(async move {
            let now = Utc::now();
            let changed = campaigns::change(tx, &owner, &id, from, to, now).await?;
            if changed && to == CampaignState::Cancelled {
                campaigns::cancel_ready(tx, &owner, &id, now).await?;
            }
            Ok::<_, Refused>(changed)
        })
    });
    Ok(changed.await?)
}

/// Has the run of a campaign look at its state.
async fn tell(app: &App, run: &RunId) -> Result<(), Problem> {
    match app
        .engine
        .signal(run, "campaign_changed", &CampaignChanged, None)
        .await
    {
        // It goes on as another run, and looks by itself; or it has ended.
        Ok(_) | Err(ControlError::WrongState(..) | ControlError::NoSuchRun(_)) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
