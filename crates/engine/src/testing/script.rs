//! What activities answer in a test, and what they were asked.
use std::{
    any::type_name,
    collections::{BTreeSet, HashMap, VecDeque},
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use super::{scripted::Scripted, simulation::Simulation};
use crate::{Activity, Fault, erased::AnyActivity};

/// Answers for activities, by their type. Neither the activities' code nor their environment is needed: the script takes
/// their name, effect, retries and time-outs from the type.
///
/// What is said `once` is used up first, in the order in which it was said; then what was said for good. Clones are the
/// same script, so that a test can keep one and ask it what happened.
#[derive(Clone, Default)]
pub struct Script {
    book: Arc<Mutex<Book>>,
}

#[derive(Default)]
struct Book {
    parts: HashMap<&'static str, Part>,
    unscripted: BTreeSet<String>,
    simulation: Option<Simulation>,
}

struct Part {
    activity: Arc<dyn AnyActivity>,
    once: VecDeque<Answer>,
    always: Option<Answer>,
    calls: Vec<Value>,
    /// What has happened outside, by the key of the step.
    happened: HashMap<String, Value>,
}

type Compute = Arc<dyn Fn(&Value) -> Result<Value, Fault> + Send + Sync>;

/// What one attempt comes to.
#[derive(Clone)]
pub(super) enum Answer {
    Returns(Value),
    Fails(Fault),
    Computes(Compute),
    Takes(Duration, Value),
    /// `Once`: there is nothing to call for.
    Settles(Value),
    /// `Once`: it happens, and nobody hears of it.
    HappensUnseen(Value),
    /// `Once`: it does not happen, and nobody hears of it.
    IsLostUnseen,
    /// It happens, and the process dies.
    Crashes(Value),
}

impl fmt::Debug for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.book().parts.keys()).finish()
    }
}

impl Script {
    /// A script that has nothing for anybody.
    pub fn new() -> Self {
        Self::default()
    }

    /// Every attempt succeeds with `output`.
    #[must_use]
    pub fn returns<A: Activity<E>, E>(self, output: A::Output) -> Self {
        self.always::<A, E>(Answer::Returns(json(&output)))
    }

    /// The next attempt succeeds with `output`.
    #[must_use]
    pub fn returns_once<A: Activity<E>, E>(self, output: A::Output) -> Self {
        self.once::<A, E>(Answer::Returns(json(&output)))
    }

    /// Every attempt fails.
    #[must_use]
    pub fn fails<A: Activity<E>, E>(self, fault: Fault) -> Self {
        self.always::<A, E>(Answer::Fails(fault))
    }

    /// The next attempt fails.
    #[must_use]
    pub fn fails_once<A: Activity<E>, E>(self, fault: Fault) -> Self {
        self.once::<A, E>(Answer::Fails(fault))
    }

    /// Every attempt comes to what `answer` makes of the call.
    #[must_use]
    pub fn answers<A: Activity<E>, E>(
        self,
        answer: impl Fn(A) -> Result<A::Output, Fault> + Send + Sync + 'static,
    ) -> Self {
        let compute: Compute = Arc::new(move |input| answer(read(input)).map(|output| json(&output)));
        self.always::<A, E>(Answer::Computes(compute))
    }

    /// The next attempt takes `duration` and then succeeds, unless it is given up before. A `Once` call that is given up
    /// has happened nevertheless.
    #[must_use]
    pub fn takes_once<A: Activity<E>, E>(self, duration: Duration, output: A::Output) -> Self {
        self.once::<A, E>(Answer::Takes(duration, json(&output)))
    }

    /// `Once` only: the next attempt is settled by [`Activity::prepare`], without a call.
    #[must_use]
    pub fn settles_once<A: Activity<E>, E>(self, output: A::Output) -> Self {
        self.once::<A, E>(Answer::Settles(json(&output)))
    }

    /// `Once` only: the next attempt happens, and its answer is lost. Whoever looks for it finds `output`.
    #[must_use]
    pub fn happens_unseen_once<A: Activity<E>, E>(self, output: A::Output) -> Self {
        self.once::<A, E>(Answer::HappensUnseen(json(&output)))
    }

    /// `Once` only: the next attempt does not happen, and nobody hears of that.
    #[must_use]
    pub fn is_lost_unseen_once<A: Activity<E>, E>(self) -> Self {
        self.once::<A, E>(Answer::IsLostUnseen)
    }

    /// The next attempt happens, and the process dies before any of it is written down. A `Once` call is found to have
    /// brought `output`; of any other kind the repeated attempt brings it.
    #[must_use]
    pub fn crashes_once<A: Activity<E>, E>(self, output: A::Output) -> Self {
        self.once::<A, E>(Answer::Crashes(json(&output)))
    }

    /// The calls that were made, in order, one for each attempt.
    pub fn calls<A: Activity<E>, E>(&self) -> Vec<A> {
        let book = self.book();
        let calls = book.parts.get(A::NAME).map(|part| part.calls.iter());
        calls.into_iter().flatten().map(read).collect()
    }

    fn once<A: Activity<E>, E>(self, answer: Answer) -> Self {
        self.part::<A, E>(|part| part.once.push_back(answer));
        self
    }

    fn always<A: Activity<E>, E>(self, answer: Answer) -> Self {
        self.part::<A, E>(|part| part.always = Some(answer));
        self
    }

    fn part<A: Activity<E>, E>(&self, change: impl FnOnce(&mut Part)) {
        let activity = || Arc::new(Scripted::of::<A, E>(self.clone()));
        change(self.book().parts.entry(A::NAME).or_insert_with(|| Part {
            activity: activity(),
            once: VecDeque::new(),
            always: None,
            calls: Vec::new(),
            happened: HashMap::new(),
        }));
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// For the activities and the engine of the test.
impl Script {
    /// The script's part for the activity of that name, or the activity itself if the test has it.
    pub(super) fn find(
        &self,
        name: &str,
        real: Option<Arc<dyn AnyActivity>>,
    ) -> Option<Arc<dyn AnyActivity>> {
        if let Some(part) = self.book().parts.get(name) {
            return Some(part.activity.clone());
        }
        Some(real.unwrap_or_else(|| Arc::new(Scripted::stranger(name, self.clone()))))
    }

    pub(super) fn perform_in(&self, simulation: Simulation) {
        self.book().simulation = Some(simulation);
    }

    pub(super) fn simulation(&self) -> Option<Simulation> {
        self.book().simulation.clone()
    }

    /// Notes a call and tells what it comes to.
    pub(super) fn call(&self, name: &str, input: &Value) -> Option<Answer> {
        let mut book = self.book();
        let part = book.parts.get_mut(name)?;
        part.calls.push(input.clone());
        part.once.pop_front().or_else(|| part.always.clone())
    }

    /// What the next attempt is settled with, if it is.
    pub(super) fn settled(&self, name: &str) -> Option<Value> {
        let mut book = self.book();
        let once = &mut book.parts.get_mut(name)?.once;
        match once.front() {
            Some(Answer::Settles(output)) => {
                let output = output.clone();
                once.pop_front();
                Some(output)
            }
            _ => None,
        }
    }

    pub(super) fn next(&self, name: &str, answer: Answer) {
        if let Some(part) = self.book().parts.get_mut(name) {
            part.once.push_front(answer);
        }
    }

    pub(super) fn happen(&self, name: &str, key: String, output: &Value) {
        if let Some(part) = self.book().parts.get_mut(name) {
            part.happened.insert(key, output.clone());
        }
    }

    pub(super) fn happened(&self, name: &str, key: &str) -> Option<Value> {
        self.book().parts.get(name)?.happened.get(key).cloned()
    }

    pub(super) fn note_unscripted(&self, name: &str) {
        self.book().unscripted.insert(name.to_owned());
    }

    /// What was asked for and is neither in the script nor in the engine.
    pub(super) fn unscripted(&self) -> Vec<String> {
        self.book().unscripted.iter().cloned().collect()
    }
}

fn json<T: Serialize>(value: &T) -> Value {
    serde_json::to_value(value)
        .unwrap_or_else(|error| panic!("{} cannot be written as JSON: {error}", type_name::<T>()))
}

fn read<T: DeserializeOwned>(value: &Value) -> T {
    T::deserialize(value).unwrap_or_else(|error| panic!("{value} is no {}: {error}", type_name::<T>()))
}
