//! Who acts next in a lane: places, the question for the head, the sleep, and the wake-up that comes with a leave.
//!
//! Modelled on `storage/lanes.rs`, `storage/gather.rs` and `context/lane.rs`. A transaction is two steps, its beginning (which takes the
//! lane's lock and reads) and its commit (which writes and unlocks), so that others come between.
use super::checker::Model;

/// What is left out of the protocol, to see that the checker finds out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Flaw {
    #[default]
    None,
    /// A place is given up without the lane's lock.
    LeaveUnlocked,
    /// A place is given without the lane's lock.
    StartUnlocked,
    /// The next is not woken in the commit that gives the place up.
    NoWakeUp,
    /// Whoever is ready is gathered, also behind one that is not.
    GatherAnybody,
    /// What is gathered is not looked at again when its row is locked.
    GatherUnguarded,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Lane {
    pub(crate) runs: usize,
    /// No more places are given.
    pub(crate) places: u8,
    /// Whether those that have lost their run are remembered; they can commit nothing, and only show in traces.
    pub(crate) ghosts: bool,
    /// Whether those that sleep may be told something meanwhile.
    pub(crate) told: bool,
    pub(crate) flaw: Flaw,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum End {
    Parked,
    Done,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Phase {
    Unstarted,
    /// A transaction gives it this place; a retry, if it was parked before.
    Starting {
        place: u8,
        parked: bool,
    },
    Queued,
    /// In a worker's memory, and not past the lane.
    Working,
    /// A transaction asks for the head.
    Asking {
        head: bool,
    },
    Sleeping,
    /// Past the lane.
    Inside,
    /// Past the lane; a transaction takes those behind it along, of whom these places were ready.
    Gathering {
        ready: Vec<u8>,
    },
    /// A transaction gives the place up.
    Leaving {
        end: End,
        wakes: Option<usize>,
    },
    Parked,
    Done,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Run {
    phase: Phase,
    /// Its place, or the last one that it had.
    place: u8,
    /// A worker that lost the run may still have it in memory, with this place.
    ghost: Option<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Place {
    number: u8,
    run: usize,
    waiting: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct State {
    next: u8,
    lock: Option<usize>,
    /// What is committed, in order.
    places: Vec<Place>,
    runs: Vec<Run>,
    admitted: u8,
    /// Somebody went in before one who was admitted after.
    disorder: bool,
    /// The place that last took others along, and the last of those.
    gathered: (u8, u8),
    /// Somebody who had been told something was ended before it could hear of it.
    unheard: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// A start or a retry commits.
    Given {
        run: usize,
        place: u8,
    },
    Entered {
        place: u8,
    },
    Waits {
        place: u8,
    },
    /// One commit gives these places up and wakes that run.
    Left {
        places: Vec<u8>,
        wakes: Option<usize>,
    },
    /// One commit ends the runs of these places, for whom that of `place` goes on.
    Gathered {
        place: u8,
        places: Vec<u8>,
    },
    // Hidden from here on.
    Gathers(usize),
    /// It is told something, and queued to hear of it.
    Told(usize),
    Starts(usize),
    Claimed(usize),
    Asks(usize),
    Leaves(usize, End),
    /// The worker dies or freezes; its transaction is rolled back and the run is queued for another.
    Lost(usize),
}

impl State {
    fn is_head(&self, place: u8) -> bool {
        self.places.first().is_none_or(|head| head.number >= place)
    }

    /// Who is to be woken once `gone` has left.
    fn wakes(&self, gone: &[u8]) -> Option<usize> {
        let head = self.places.iter().find(|place| !gone.contains(&place.number))?;
        (head.waiting && self.runs[head.run].phase == Phase::Sleeping).then_some(head.run)
    }

    fn lock(&mut self, run: usize) -> Option<()> {
        self.lock.is_none().then(|| self.lock = Some(run))
    }

    fn unlock(&mut self, run: usize) {
        self.lock = self.lock.filter(|holder| *holder != run);
    }

    /// The places behind `place` that may be taken along, up to the first that may not.
    fn ready_behind(&self, place: u8, flaw: Flaw) -> Vec<u8> {
        let behind = self.places.iter().filter(|other| other.number > place);
        let ready = |other: &&Place| self.runs[other.run].phase == Phase::Sleeping;
        let number = |other: &Place| other.number;
        if flaw == Flaw::GatherAnybody {
            return behind.filter(ready).map(number).collect();
        }
        behind.take_while(ready).map(number).collect()
    }

    fn of(&self, place: u8) -> Option<usize> {
        self.places
            .iter()
            .find(|other| other.number == place)
            .map(|place| place.run)
    }

    fn enter(&mut self, run: usize) {
        let place = self.runs[run].place;
        // Who was passed by is behind the one that gathered, and before one that it took.
        self.disorder |= place < self.admitted || (self.gathered.0 < place && place < self.gathered.1);
        self.admitted = self.admitted.max(place);
        self.runs[run].phase = Phase::Inside;
        self.unlock(run);
    }

    /// The run is in nobody's hands any more.
    fn lose(&mut self, run: usize) -> Option<()> {
        // A place that was never committed is free again, and nobody else took one under the lock.
        if let (Phase::Starting { place, .. }, true) = (self.runs[run].phase.clone(), self.lock == Some(run))
        {
            self.next = place;
        }
        let lost = &mut self.runs[run];
        lost.phase = match lost.phase {
            Phase::Starting { parked: false, .. } => Phase::Unstarted,
            Phase::Starting { parked: true, .. } => Phase::Parked,
            Phase::Working
            | Phase::Asking { .. }
            | Phase::Inside
            | Phase::Gathering { .. }
            | Phase::Leaving { .. } => {
                lost.ghost = Some(lost.place);
                Phase::Queued
            }
            _ => return None,
        };
        self.unlock(run);
        Some(())
    }
}

impl Lane {
    /// The places that are taken along, of those that were ready when it began.
    fn taken(&self, state: &State, place: u8, ready: &[u8]) -> Vec<u8> {
        if self.flaw == Flaw::GatherUnguarded {
            return ready.to_vec();
        }
        state.ready_behind(place, self.flaw)
    }

    fn gather(&self, state: &mut State, place: u8, places: &[u8]) -> Option<()> {
        let run = state.of(place)?;
        let Phase::Gathering { ready } = state.runs[run].phase.clone() else {
            return None;
        };
        // The runs are locked now, and those that were told something meanwhile are not taken.
        let still = self.taken(state, place, &ready);
        if places != still {
            return None;
        }
        for place in places {
            let taken = state.of(*place)?;
            state.unheard |= state.runs[taken].phase != Phase::Sleeping;
            state.runs[taken].phase = Phase::Done;
        }
        state.gathered = (place, places.last().copied().unwrap_or(place));
        state.places.retain(|own| !places.contains(&own.number));
        state.runs[run].phase = Phase::Inside;
        state.unlock(run);
        Some(())
    }

    fn leave(&self, state: &mut State, places: &[u8], wakes: Option<usize>) -> Option<()> {
        let (first, others) = places.split_first()?;
        let run = state.of(*first)?;
        let Phase::Leaving { end, wakes: seen } = state.runs[run].phase.clone() else {
            return None;
        };
        state.runs[run].phase = match end {
            End::Parked => Phase::Parked,
            End::Done => Phase::Done,
        };
        // Only a recorded commit gives up several at once.
        for other in others {
            let run = state.of(*other)?;
            if !matches!(state.runs[run].phase, Phase::Working | Phase::Inside) {
                return None;
            }
            state.runs[run].phase = Phase::Parked;
        }
        let woken = if others.is_empty() {
            seen
        } else {
            state.wakes(places)
        };
        let woken = woken.filter(|_| self.flaw != Flaw::NoWakeUp);
        if woken != wakes {
            return None;
        }
        state.places.retain(|place| !places.contains(&place.number));
        if let Some(woken) = woken {
            state.runs[woken].phase = Phase::Queued;
        }
        state.unlock(run);
        Some(())
    }
}

impl Model for Lane {
    type State = State;
    type Step = Step;

    fn start(&self) -> State {
        let run = Run {
            phase: Phase::Unstarted,
            place: 0,
            ghost: None,
        };
        let runs = vec![run; self.runs];
        State {
            next: 0,
            lock: None,
            places: Vec::new(),
            runs,
            admitted: 0,
            disorder: false,
            gathered: (0, 0),
            unheard: false,
        }
    }

    fn candidates(&self, state: &State) -> Vec<Step> {
        let mut steps = Vec::new();
        for (number, run) in state.runs.iter().enumerate() {
            let place = run.place;
            match run.phase.clone() {
                Phase::Unstarted | Phase::Parked if state.next < self.places => {
                    steps.push(Step::Starts(number))
                }
                Phase::Starting { place, .. } => steps.push(Step::Given { run: number, place }),
                Phase::Queued => steps.push(Step::Claimed(number)),
                Phase::Working => steps.extend([Step::Entered { place }, Step::Asks(number)]),
                Phase::Asking { .. } => steps.extend([Step::Entered { place }, Step::Waits { place }]),
                Phase::Leaving { wakes, .. } => {
                    let wakes = wakes.filter(|_| self.flaw != Flaw::NoWakeUp);
                    steps.push(Step::Left {
                        places: vec![place],
                        wakes,
                    });
                }
                _ => {}
            }
            match &run.phase {
                Phase::Inside => steps.push(Step::Gathers(number)),
                Phase::Gathering { ready } => {
                    let places = self.taken(state, place, ready);
                    steps.push(Step::Gathered { place, places });
                }
                Phase::Sleeping => steps.push(Step::Told(number)),
                _ => {}
            }
            if matches!(run.phase, Phase::Working | Phase::Inside) {
                steps.extend([Step::Leaves(number, End::Parked), Step::Leaves(number, End::Done)]);
            }
            steps.push(Step::Lost(number));
        }
        steps
    }

    fn accepts(&self, before: &State, step: &Step) -> Option<State> {
        let mut state = before.clone();
        match *step {
            Step::Starts(run) => {
                let parked = before.runs[run].phase == Phase::Parked;
                if !parked && before.runs[run].phase != Phase::Unstarted {
                    return None;
                }
                if self.flaw != Flaw::StartUnlocked {
                    state.lock(run)?;
                }
                state.runs[run].phase = Phase::Starting {
                    place: before.next,
                    parked,
                };
                state.next += 1;
            }
            Step::Given { run, place } => {
                if !matches!(before.runs[run].phase, Phase::Starting { place: own, .. } if own == place) {
                    return None;
                }
                state.places.push(Place {
                    number: place,
                    run,
                    waiting: false,
                });
                state.places.sort();
                (state.runs[run].phase, state.runs[run].place) = (Phase::Queued, place);
                state.unlock(run);
            }
            Step::Claimed(run) if before.runs[run].phase == Phase::Queued => {
                state.runs[run].phase = Phase::Working
            }
            Step::Asks(run) if before.runs[run].phase == Phase::Working => {
                state.lock(run)?;
                state.runs[run].phase = Phase::Asking {
                    head: before.is_head(before.runs[run].place),
                };
            }
            Step::Entered { place } => {
                let run = before.of(place).filter(|run| match before.runs[*run].phase {
                    Phase::Working => before.is_head(place),
                    Phase::Asking { head } => head,
                    _ => false,
                });
                match run {
                    Some(run) => state.enter(run),
                    // One that has lost its run may believe so too, and can commit nothing.
                    None => before
                        .runs
                        .iter()
                        .any(|run| run.ghost == Some(place) && before.is_head(place))
                        .then_some(())?,
                }
            }
            Step::Waits { place } => {
                let run = before.of(place)?;
                if before.runs[run].phase != (Phase::Asking { head: false }) {
                    return None;
                }
                state.runs[run].phase = Phase::Sleeping;
                state
                    .places
                    .iter_mut()
                    .filter(|own| own.number == place)
                    .for_each(|own| own.waiting = true);
                state.unlock(run);
            }
            Step::Leaves(run, end) => {
                if !matches!(before.runs[run].phase, Phase::Working | Phase::Inside) {
                    return None;
                }
                if self.flaw != Flaw::LeaveUnlocked {
                    state.lock(run)?;
                }
                let wakes = before.wakes(&[before.runs[run].place]);
                state.runs[run].phase = Phase::Leaving { end, wakes };
            }
            Step::Gathers(run) if before.runs[run].phase == Phase::Inside => {
                let ready = before.ready_behind(before.runs[run].place, self.flaw);
                if ready.is_empty() {
                    return None;
                }
                state.lock(run)?;
                state.runs[run].phase = Phase::Gathering { ready };
            }
            Step::Gathered { place, ref places } => self.gather(&mut state, place, places)?,
            Step::Told(run) if self.told && before.runs[run].phase == Phase::Sleeping => {
                state.runs[run].phase = Phase::Queued
            }
            Step::Left { ref places, wakes } => self.leave(&mut state, places, wakes)?,
            Step::Lost(run) => {
                state.lose(run)?;
                state.runs[run].ghost = state.runs[run].ghost.filter(|_| self.ghosts);
            }
            _ => return None,
        }
        Some(state)
    }

    fn broken(&self, state: &State) -> Option<&'static str> {
        let past = |run: &&Run| matches!(run.phase, Phase::Inside | Phase::Gathering { .. });
        if state.runs.iter().filter(past).count() > 1 {
            return Some("two runs are past the lane");
        }
        if state.disorder {
            return Some("a run was admitted before one of a lower place");
        }
        if state.unheard {
            return Some("a run was taken along that had been told something");
        }
        let head = state.places.first().map(|head| &state.runs[head.run].phase);
        if head == Some(&Phase::Sleeping) {
            return Some("the head of the lane sleeps");
        }
        None
    }

    fn hidden(&self, step: &Step) -> bool {
        !matches!(
            step,
            Step::Given { .. }
                | Step::Entered { .. }
                | Step::Waits { .. }
                | Step::Left { .. }
                | Step::Gathered { .. }
        )
    }

    fn settled(&self, state: &State) -> bool {
        let rests = |run: &Run| matches!(run.phase, Phase::Unstarted | Phase::Parked | Phase::Done);
        state.runs.iter().all(rests)
    }

    fn owes(&self, _: &State) -> bool {
        true
    }

    fn kind(&self, _: &State, step: &Step) -> bool {
        !matches!(step, Step::Lost(_) | Step::Told(_) | Step::Leaves(_, End::Parked))
    }
}
