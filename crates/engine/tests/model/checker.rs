//! A small explicit-state model checker: every state that the protocol can reach is visited, breadth first, so that a
//! counterexample is a shortest one; and a recorded trace is accepted if it is a path of the same model.
use std::{
    collections::{HashMap, HashSet, VecDeque},
    fmt::Debug,
    hash::Hash,
    rc::Rc,
};

/// A protocol as states and steps between them.
pub(crate) trait Model {
    type State: Clone + Debug + Eq + Hash;
    type Step: Clone + Debug;

    /// The state in which everything begins.
    fn start(&self) -> Self::State;

    /// The steps that are worth trying in `state`; all that [`Model::accepts`] may accept.
    fn candidates(&self, state: &Self::State) -> Vec<Self::Step>;

    /// The state after `step`, if the protocol allows it in `state`.
    fn accepts(&self, state: &Self::State, step: &Self::Step) -> Option<Self::State>;

    /// The invariant that does not hold in `state`.
    fn broken(&self, state: &Self::State) -> Option<&'static str>;

    /// Whether recorded traces do not show `step`.
    fn hidden(&self, step: &Self::Step) -> bool;

    /// Whether everything has come to a good end.
    fn settled(&self, state: &Self::State) -> bool;

    /// Whether from `state` a good end must be reachable without any further misfortune.
    fn owes(&self, state: &Self::State) -> bool;

    /// Whether `step` is somebody's work, or time going by, and no misfortune.
    fn kind(&self, state: &Self::State, step: &Self::Step) -> bool;
}

/// What is broken in a state where something owed can no longer be had.
pub(crate) const STUCK: &str = "from here there is no way to a good end";

/// How much was looked at.
#[derive(Debug)]
pub(crate) struct Checked {
    pub(crate) states: usize,
    pub(crate) steps: usize,
}

/// A shortest way to a state that must not be.
#[derive(Debug)]
pub(crate) struct Counterexample<S> {
    pub(crate) broken: &'static str,
    pub(crate) path: Vec<S>,
}

/// Visits every state of `model`.
///
/// # Panics
/// When there are more than `most` states: the model has lost its bounds.
pub(crate) fn check<M: Model>(model: &M, most: usize) -> Result<Checked, Counterexample<M::Step>> {
    let start = Rc::new(model.start());
    let mut numbers = HashMap::from([(start.clone(), 0)]);
    let mut states = vec![start];
    let mut came: Vec<Option<(usize, M::Step)>> = vec![None];
    // Who leads to a state by kind steps alone.
    let mut leads: Vec<Vec<usize>> = vec![Vec::new()];
    let (mut next, mut steps) = (0, 0);
    while let Some(state) = states.get(next).cloned() {
        if let Some(broken) = model.broken(&state) {
            let path = path(&came, next);
            return Err(Counterexample { broken, path });
        }
        for step in model.candidates(&state) {
            let Some(after) = model.accepts(&state, &step) else {
                continue;
            };
            steps += 1;
            let kind = model.kind(&state, &step);
            let number = *numbers.entry(Rc::new(after)).or_insert_with_key(|after| {
                states.push(after.clone());
                came.push(Some((next, step)));
                leads.push(Vec::new());
                states.len() - 1
            });
            if kind && number != next {
                leads[number].push(next);
            }
        }
        assert!(states.len() <= most, "more than {most} states");
        next += 1;
    }
    match stuck(model, &states, &leads) {
        Some(number) => Err(Counterexample {
            broken: STUCK,
            path: path(&came, number),
        }),
        None => Ok(Checked {
            states: states.len(),
            steps,
        }),
    }
}

/// The first state that owes a good end and has no way to one.
fn stuck<M: Model>(model: &M, states: &[Rc<M::State>], leads: &[Vec<usize>]) -> Option<usize> {
    let mut good: Vec<bool> = states.iter().map(|state| model.settled(state)).collect();
    let mut queue: VecDeque<usize> = (0..states.len()).filter(|number| good[*number]).collect();
    while let Some(number) = queue.pop_front() {
        for before in &leads[number] {
            if !std::mem::replace(&mut good[*before], true) {
                queue.push_back(*before);
            }
        }
    }
    (0..states.len()).find(|number| !good[*number] && model.owes(&states[*number]))
}

fn path<S: Clone>(came: &[Option<(usize, S)>], mut number: usize) -> Vec<S> {
    let mut path = Vec::new();
    while let Some((before, step)) = &came[number] {
        path.push(step.clone());
        number = *before;
    }
    path.reverse();
    path
}

/// Where a trace leaves the model.
#[derive(Debug)]
pub(crate) struct Refused<S> {
    pub(crate) number: usize,
    pub(crate) step: S,
}

/// Whether `trace` is a path of `model`, with any hidden steps between those that it shows.
pub(crate) fn follows<M: Model>(model: &M, trace: &[M::Step]) -> Result<(), Refused<M::Step>> {
    let mut here = HashSet::from([model.start()]);
    for (number, step) in trace.iter().enumerate() {
        here = with_hidden_steps(model, here)
            .iter()
            .filter_map(|state| model.accepts(state, step))
            .filter(|state| model.broken(state).is_none())
            .collect();
        if here.is_empty() {
            let step = step.clone();
            return Err(Refused { number, step });
        }
    }
    Ok(())
}

fn with_hidden_steps<M: Model>(model: &M, from: HashSet<M::State>) -> HashSet<M::State> {
    let mut queue: VecDeque<_> = from.iter().cloned().collect();
    let mut reached = from;
    while let Some(state) = queue.pop_front() {
        for step in model.candidates(&state) {
            if !model.hidden(&step) {
                continue;
            }
            if let Some(after) = model
                .accepts(&state, &step)
                .filter(|after| !reached.contains(after))
            {
                reached.insert(after.clone());
                queue.push_back(after);
            }
        }
        assert!(reached.len() <= 1_000_000, "a trace with too many hidden ways");
    }
    reached
}
