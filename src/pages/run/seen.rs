//! What the database says of a run, as far as its page shows it.
use recado_engine::{Before, Event, Link, Offspring, Run, RunId, RunState, StorageError};
use recado_store::audit;

use super::{WINDOW, asked::Asked, window::Window};
use crate::{app::App, pages::problem::of_store};

/// Children that are named; the time line has the others.
pub(super) const CHILDREN: u64 = 20;
/// Looks at what is masked that are named.
const REVEALS: u32 = 5;

/// What a look saw.
pub(crate) struct Seen {
    pub(super) run: Run,
    pub(super) window: Window,
    /// The last events, where it depends on them what can be done.
    pub(super) tail: Vec<Event>,
    pub(super) links: Vec<Link>,
    pub(super) children: Vec<Offspring>,
    /// Who stands before it in its lane.
    pub(super) before: Option<Before>,
    /// Who looked at what is masked, the last first.
    pub(super) reveals: Vec<audit::Entry>,
}

impl Seen {
    pub(super) async fn look(app: &App, id: &RunId, asked: &Asked) -> Result<Option<Self>, StorageError> {
        let storage = app.engine.storage();
        // The run first: its journal may then be ahead of it, which the next look mends, and never behind its end.
        let Some(run) = storage.run(id).await? else {
            return Ok(None);
        };
        let window = Window::read(storage, &run, asked).await?;
        let asks = run
            .waiting_for
            .as_deref()
            .is_some_and(|what| what.starts_with("reconcile:"));
        let tail = if run.state != RunState::Parked && !asks {
            Vec::new()
        } else if window.later().is_none() && window.earlier().is_none() {
            window.events.clone()
        } else {
            storage.events_after(id, window.end(), WINDOW as u64).await?
        };
        let before = match (&run.lane, run.place) {
            (Some(lane), Some(place)) if !run.state.is_final() => storage.before_in_lane(lane, place).await?,
            _ => None,
        };
        let reveals = audit::list(&app.environment.database, &format!("run:{id}"), REVEALS).await;
        Ok(Some(Self {
            tail,
            links: storage.links(id).await?,
            children: storage.first_children(id, CHILDREN + 1).await?,
            before,
            reveals: reveals.map_err(of_store)?,
            window,
            run,
        }))
    }

    /// The conversation in which it is, as far as these events name it.
    pub(super) fn conversation(&self) -> Option<&str> {
        let documents = self
            .window
            .events
            .iter()
            .flat_map(|event| [&event.data, &event.input]);
        documents
            .flatten()
            .find_map(|document| document.get("conversation")?.as_str())
    }
}
