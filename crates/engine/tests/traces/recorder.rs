//! Hears what the engine tells of its protocols, and says it in the words of the models.
use std::{
    collections::HashMap,
    fmt::Debug,
    sync::{Mutex, OnceLock, PoisonError},
};

use recado_engine::RunId;
use tracing::{
    Event, Metadata, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    Layer,
    layer::{Context, SubscriberExt},
    util::SubscriberInitExt,
};

use super::{lane, lease};

const TARGET: &str = "recado_engine::protocol";

/// All that was told in this process, by every test; each asks for its own runs and lanes.
static TOLD: Mutex<Vec<Told>> = Mutex::new(Vec::new());

/// One step as it was told: its fields by name.
#[derive(Clone, Debug, Default)]
struct Told(HashMap<&'static str, String>);

impl Told {
    fn word(&self, field: &str) -> &str {
        self.0.get(field).map_or("", String::as_str)
    }

    fn number(&self, field: &str) -> u8 {
        self.word(field).parse().unwrap()
    }
}

impl Visit for Told {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0.insert(field.name(), format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name(), value.to_owned());
    }
}

struct Ear;

impl<S: Subscriber> Layer<S> for Ear {
    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        metadata.target() == TARGET
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut told = Told::default();
        event.record(&mut told);
        TOLD.lock().unwrap_or_else(PoisonError::into_inner).push(told);
    }
}

/// What has been told so far.
pub(crate) struct Recorder;

impl Recorder {
    /// Hears everything from now on.
    pub(crate) fn start() -> Self {
        static EAR: OnceLock<()> = OnceLock::new();
        EAR.get_or_init(|| tracing_subscriber::registry().with(Ear).init());
        Self
    }

    fn told(&self, field: &str, value: &str) -> Vec<Told> {
        let told = TOLD.lock().unwrap_or_else(PoisonError::into_inner);
        told.iter()
            .filter(|told| told.word(field) == value)
            .cloned()
            .collect()
    }

    /// The steps of one run in the words of the lease's model, and the number of workers in them.
    pub(crate) fn leases(&self, run: &RunId) -> (Vec<lease::Step>, usize) {
        let mut workers = Numbers::default();
        let mut trace = Vec::new();
        for told in self.told("run", run.as_str()) {
            let (run, epoch) = (0, || told.number("epoch"));
            trace.push(match told.word("step") {
                "claimed" => {
                    let worker = workers.of(told.word("worker"));
                    lease::Step::Claimed {
                        worker,
                        run,
                        epoch: epoch(),
                    }
                }
                "taken_over" => lease::Step::TakenOver { run, epoch: epoch() },
                "given_back" => lease::Step::GivenBack { run, epoch: epoch() },
                "refused" => lease::Step::Refused { run, epoch: epoch() },
                "checkpoint" => {
                    let (first, count) = (told.number("first"), told.number("count"));
                    let after = after(told.word("state"));
                    lease::Step::Checkpoint {
                        run,
                        epoch: epoch(),
                        first,
                        count,
                        after,
                    }
                }
                "place_given" => continue,
                other => panic!("the lease's model does not know {other}"),
            });
        }
        // One more, that only sees that others are silent.
        (trace, workers.0.len() + 1)
    }

    /// The steps of one lane in the words of its model, and the number of runs in them.
    pub(crate) fn lane(&self, lane: &str) -> (Vec<lane::Step>, usize) {
        let mut runs = Numbers::default();
        let mut trace = Vec::new();
        for told in self.told("lane", lane) {
            trace.push(match told.word("step") {
                "place_given" => lane::Step::Given {
                    run: runs.of(told.word("run")),
                    place: told.number("place"),
                },
                "entered" => lane::Step::Entered {
                    place: told.number("place"),
                },
                "waits" => lane::Step::Waits {
                    place: told.number("place"),
                },
                "gathered" => lane::Step::Gathered {
                    place: told.number("place"),
                    places: places(&told),
                },
                "left" => {
                    let places = places(&told);
                    let wakes = Some(told.word("woken")).filter(|run| !run.is_empty());
                    lane::Step::Left {
                        places,
                        wakes: wakes.map(|run| runs.of(run)),
                    }
                }
                other => panic!("the lane's model does not know {other}"),
            });
        }
        (trace, runs.0.len())
    }
}

fn places(told: &Told) -> Vec<u8> {
    let places = told.word("places").trim_matches(['[', ']']).split(", ");
    places.map(|place| place.parse().unwrap()).collect()
}

fn after(state: &str) -> lease::After {
    match state {
        "running" => lease::After::Running,
        "waiting" => lease::After::Waiting,
        "parked" => lease::After::Parked,
        "completed" | "failed" => lease::After::Done,
        other => panic!("the lease's model does not know {other}"),
    }
}

/// Names in the order in which they were first heard.
#[derive(Default)]
struct Numbers(Vec<String>);

impl Numbers {
    fn of(&mut self, name: &str) -> usize {
        let known = self.0.iter().position(|known| known == name);
        known.unwrap_or_else(|| {
            self.0.push(name.to_owned());
            self.0.len() - 1
        })
    }
}
