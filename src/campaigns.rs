//! Campaigns, as the API and the pages make them, look at them and act on them.
use chrono::Utc;
use poem::http::StatusCode;
use recado_domain::{CampaignState, OwnerId};
use recado_engine::{ControlError, Start, StorageError};
use recado_store::{
    StoreError,
    campaigns::{self, Campaign, Progress},
};
use recado_workflows::{Campaign as CampaignRun, CampaignChanged};

use crate::{app::App, http::Problem};

mod draft;
mod result;
mod table;

pub(crate) use draft::{Draft, make};
pub(crate) use result::result;
pub(crate) use table::{Row, read as read_csv};

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
    if !is_there && !change(app, owner, id, from, to).await? {
        let now = find(app, owner, id).await?.0.state;
        return Err(conflict(format!("the campaign is {now} and cannot be {word}")));
    }
    // Also where somebody did it before, who may have died in between.
    tell(app, owner, id).await?;
    find(app, owner, id).await
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

/// Starts the run of a campaign that was started, or has it look at the state. A draft that was cancelled never has one.
async fn tell(app: &App, owner: &OwnerId, id: &str) -> Result<(), Problem> {
    let campaign = campaigns::find(&app.environment.database, owner, id).await?;
    if campaign.is_none_or(|campaign| campaign.started_at.is_none()) {
        return Ok(());
    }
    let run = CampaignRun {
        owner: owner.clone(),
        campaign: id.to_owned(),
    };
    let start = Start {
        key: Some(id.to_owned()),
        owner: Some(owner.to_string()),
        ..Start::default()
    };
    let started = app.engine.start(&run, start).await?;
    if started.new {
        return Ok(());
    }
    match app
        .engine
        .signal(&started.run, "campaign_changed", &CampaignChanged, None)
        .await
    {
        // It goes on as another run, and looks by itself; or it has ended.
        Ok(_) | Err(ControlError::WrongState(..) | ControlError::NoSuchRun(_)) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
