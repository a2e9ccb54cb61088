//! A call that must not happen twice: intent, lease check, request, and the search for what became of it.
//!
//! Modelled on `context/once.rs`, in ticks of discrete time. A process and the network do what they please within their
//! limits; a tick cannot pass a limit (of a request on its way, of a listing that lags).
use super::checker::Model;

/// What is left out of the protocol, or of the world that it assumes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Flaw {
    #[default]
    None,
    /// Whoever finds an open intent sends again without looking.
    NotReconciled,
    /// A definite no does not wait for a request that may still be on its way.
    NoTooEarly,
    /// Neither lease nor age of the intent is looked at before the request.
    NotChecked,
    /// The residual window: a process freezes between that look and the first byte.
    FreezesAfterCheck,
    /// A request arrives after its sender has seen the connection fail.
    ArrivesAfterReset,
    /// A definite no after a time-out does not wait for a vendor that may still be at it.
    TimeOutForgotten,
    /// A process that knows itself alone counts from its own start, while a request of the dead is on its way.
    CountsFromStart,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Send {
    pub(crate) lease: u8,
    pub(crate) request: u8,
    pub(crate) listing: u8,
    /// Intents, before the run is parked.
    pub(crate) attempts: u8,
    /// Copies of the run that have lost it and do not know.
    pub(crate) stale: usize,
    pub(crate) flaw: Flaw,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Life {
    Up,
    Frozen,
    Dead,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Worker {
    life: Life,
    /// Ticks since its heartbeat.
    beat: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Hand {
    /// Nothing of its own is under way.
    Empty,
    Intended,
    Checked,
    Called,
    Accepted,
    /// It certainly did not happen.
    NotSent,
}

/// The run in the memory of a worker. Only the current one may commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Copy {
    worker: usize,
    current: bool,
    hand: Hand,
    /// The intent in its hand.
    attempt: u8,
    /// Ticks since that intent.
    age: u8,
}

/// The intent whose fate the journal does not tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Intent {
    age: u8,
    /// Ticks since the sender saw that it cannot know.
    unknown: Option<u8>,
    /// Whether it had ceased to wait, so that the request may still arrive.
    under_way: bool,
    /// Ticks since a later process took the run over.
    found: Option<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Request {
    attempt: u8,
    age: u8,
    /// Its sender has ceased to wait for the answer, and said so.
    given_up: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Delivery {
    attempt: u8,
    /// Ticks since then, until it is listed, which takes less than the listing's delay.
    unlisted: Option<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum End {
    Open,
    Done,
    Parked,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct State {
    workers: [Worker; 2],
    copies: Vec<Copy>,
    attempts: u8,
    intent: Option<Intent>,
    wire: Vec<Request>,
    delivered: Vec<Delivery>,
    end: End,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Intended,
    Unknown,
    /// No answer came in time.
    TimedOut,
    /// A definite no.
    Reconciled,
    /// The attempt failed for certain.
    Attempted,
    Completed,
    Failed,
    TakenOver,
    /// What no rule of the protocol allows: a definite no that came before its time.
    NoBeforeItsTime,
    // Hidden from here on.
    Checks(usize),
    Calls(usize),
    Accepted(usize),
    Refused(usize),
    LosesSight(usize),
    LosesRun(usize),
    Arrives(usize),
    Vanishes(usize),
    Listed(usize),
    Beats(usize),
    Freezes(usize),
    Thaws(usize),
    Dies(usize),
    Restarts(usize),
    Tick,
}

impl State {
    fn current(&self) -> Option<usize> {
        let up = |copy: &Copy| copy.current && self.workers[copy.worker].life == Life::Up;
        self.copies.iter().position(up).filter(|_| self.end == End::Open)
    }

    /// The copy of that number, if its process runs and it has `hand`.
    fn doing(&self, copy: usize, hand: Hand) -> Option<Copy> {
        let copy = *self.copies.get(copy)?;
        (copy.hand == hand && self.workers[copy.worker].life == Life::Up).then_some(copy)
    }

    fn on_the_wire(&self, attempt: u8) -> Option<usize> {
        self.wire.iter().position(|request| request.attempt == attempt)
    }

    fn arrived(&self, attempt: u8) -> bool {
        self.delivered.iter().any(|delivery| delivery.attempt == attempt)
    }
}

impl Send {
    fn no_after(&self) -> u8 {
        match self.flaw {
            Flaw::NoTooEarly => self.lease + self.listing,
            _ => self.lease + self.request + self.listing,
        }
    }

    /// How long after its sender saw that it cannot know nothing of it can appear any more.
    fn after_unknown(&self, intent: &Intent) -> u8 {
        match intent.under_way && self.flaw != Flaw::TimeOutForgotten {
            true => self.request + self.listing,
            false => self.listing,
        }
    }

    /// How old a request on its way can be: a time-out, and another where its sender has ceased to wait.
    fn oldest(&self, request: &Request) -> u8 {
        self.request * (1 + u8::from(request.given_up))
    }

    /// Whether "no trace" means that it did not happen.
    fn definite(&self, intent: &Intent) -> bool {
        match (intent.unknown, intent.found) {
            (Some(unknown), _) => unknown >= self.after_unknown(intent),
            (None, Some(found)) if self.flaw == Flaw::CountsFromStart => found >= self.listing,
            _ => intent.age >= self.no_after(),
        }
    }

    /// A tick passes, unless something must happen before.
    fn tick(&self, state: &mut State) -> Option<()> {
        let overdue = state
            .wire
            .iter()
            .any(|request| request.age >= self.oldest(request))
            || state
                .delivered
                .iter()
                .any(|delivery| delivery.unlisted.is_some_and(|age| age + 1 >= self.listing));
        // A process that is not frozen sends as soon as it has looked, and gives up when the time-out is over.
        let hurried = |copy: &Copy| {
            state.workers[copy.worker].life == Life::Up
                && (copy.hand == Hand::Checked
                    || copy.hand == Hand::Called && state.on_the_wire(copy.attempt).is_none())
        };
        if overdue || state.copies.iter().any(hurried) {
            return None;
        }
        let older = |age: &mut u8, most: u8| *age = (*age + 1).min(most);
        let longest = self.lease + self.request + self.listing;
        state
            .workers
            .iter_mut()
            .for_each(|worker| older(&mut worker.beat, self.lease));
        state.wire.iter_mut().for_each(|request| request.age += 1);
        state
            .copies
            .iter_mut()
            .for_each(|copy| older(&mut copy.age, self.lease));
        state
            .delivered
            .iter_mut()
            .filter_map(|one| one.unlisted.as_mut())
            .for_each(|age| *age += 1);
        if let Some(intent) = &mut state.intent {
            older(&mut intent.age, longest);
            let most = self.after_unknown(intent);
            intent.unknown.iter_mut().for_each(|age| older(age, most));
            intent.found.iter_mut().for_each(|age| older(age, self.listing));
        }
        Some(())
    }

    /// What the holder commits.
    fn commit(&self, state: &mut State, step: &Step) -> Option<()> {
        let number = state.current()?;
        let copy = state.copies[number];
        match (step, copy.hand) {
            (Step::Intended, Hand::Empty) => {
                let blind = self.flaw == Flaw::NotReconciled;
                if state.attempts == self.attempts || (state.intent.is_some() && !blind) {
                    return None;
                }
                state.attempts += 1;
                state.intent = Some(Intent {
                    age: 0,
                    unknown: None,
                    under_way: false,
                    found: None,
                });
                let attempt = state.attempts;
                state.copies[number] = Copy {
                    hand: Hand::Intended,
                    attempt,
                    age: 0,
                    ..copy
                };
            }
            (Step::Attempted, Hand::NotSent) => {
                state.intent = None;
                state.copies[number].hand = Hand::Empty;
            }
            (Step::Completed, Hand::Accepted) => state.end = End::Done,
            (Step::Completed, Hand::Empty) => {
                let listed = state.delivered.iter().any(|delivery| delivery.unlisted.is_none());
                state.end = (state.intent.is_some() && listed).then_some(End::Done)?;
            }
            (Step::Reconciled, Hand::Empty) => {
                // It asked, and nothing was listed.
                let nothing = state.delivered.iter().all(|delivery| delivery.unlisted.is_some());
                state.intent.filter(|intent| nothing && self.definite(intent))?;
                state.intent = None;
            }
            // Its attempts are exhausted, or nobody can tell: a person is asked.
            (Step::Failed, Hand::Empty) if state.intent.is_some() || state.attempts == self.attempts => {
                state.end = End::Parked;
            }
            (Step::Failed, Hand::NotSent) => state.end = End::Parked,
            _ => return None,
        }
        Some(())
    }

    /// The steps of one copy that nobody records.
    fn act(&self, state: &mut State, step: &Step) -> Option<()> {
        match *step {
            Step::Checks(number) => {
                let copy = state.doing(number, Hand::Intended)?;
                let fresh = state.workers[copy.worker].beat < self.lease && copy.age < self.lease;
                let go = fresh || self.flaw == Flaw::NotChecked;
                state.copies[number].hand = if go { Hand::Checked } else { Hand::NotSent };
            }
            Step::Calls(number) => {
                let copy = state.doing(number, Hand::Checked)?;
                state.copies[number].hand = Hand::Called;
                state.wire.push(Request {
                    attempt: copy.attempt,
                    age: 0,
                    given_up: false,
                });
                state.wire.sort();
            }
            Step::Accepted(number) => {
                let copy = state.doing(number, Hand::Called)?;
                state.arrived(copy.attempt).then_some(())?;
                state.copies[number].hand = Hand::Accepted;
            }
            Step::Refused(number) => {
                let copy = state.doing(number, Hand::Called)?;
                state.wire.remove(state.on_the_wire(copy.attempt)?);
                state.copies[number].hand = Hand::NotSent;
            }
            // A copy that is not current and commits, or looks whether it still holds the run.
            Step::LosesRun(number) => {
                let stale = |copy: &&Copy| !copy.current && state.workers[copy.worker].life == Life::Up;
                state.copies.get(number).filter(stale)?;
                state.copies.remove(number);
            }
            _ => return None,
        }
        Some(())
    }

    /// What can make no difference any more is made the same, so that there are fewer states.
    fn forget_what_does_not_matter(&self, state: &mut State) {
        let (wire, workers, open) = (&state.wire, &state.workers, state.end == End::Open);
        state.copies.retain(|copy| match copy.hand {
            // A copy that has lost its run can still send, and nothing else.
            Hand::Intended | Hand::Checked => workers[copy.worker].life != Life::Dead,
            Hand::Called => {
                copy.current && open || wire.iter().any(|request| request.attempt == copy.attempt)
            }
            Hand::Empty | Hand::Accepted | Hand::NotSent => copy.current && open,
        });
        for copy in &mut state.copies {
            copy.age = if copy.hand == Hand::Intended { copy.age } else { 0 };
        }
        state.copies.sort();
        state.intent = state.intent.filter(|_| state.end == End::Open);
        if let Some(intent) = &mut state.intent {
            intent.age = if intent.unknown.is_none() { intent.age } else { 0 };
            intent.found = intent.found.filter(|_| self.flaw == Flaw::CountsFromStart);
        }
        let active = |worker: usize| open || state.copies.iter().any(|copy| copy.worker == worker);
        for number in 0..2 {
            if !active(number) {
                state.workers[number] = Worker {
                    life: Life::Dead,
                    beat: self.lease,
                };
            }
        }
    }

    fn see_unknown(&self, state: &mut State, number: usize) -> Option<Copy> {
        let copy = state.doing(number, Hand::Called)?;
        // What has not arrived when the connection fails never will.
        if state.on_the_wire(copy.attempt).is_some() && self.flaw != Flaw::ArrivesAfterReset {
            return None;
        }
        state.copies[number].hand = Hand::Empty;
        Some(copy)
    }

    /// The holder ceases to wait, and writes that down: what it sent may still be on its way.
    fn time_out(&self, state: &mut State) -> Option<()> {
        let number = state.current()?;
        let copy = state.doing(number, Hand::Called)?;
        let place = state.on_the_wire(copy.attempt)?;
        let request = &mut state.wire[place];
        if request.age < self.request {
            return None;
        }
        request.given_up = true;
        state.copies[number].hand = Hand::Empty;
        let intent = state.intent.as_mut()?;
        (intent.unknown, intent.under_way) = (Some(0), true);
        Some(())
    }

    fn take_over(&self, state: &mut State) -> Option<()> {
        let holder = state.copies.iter().position(|copy| copy.current);
        let from = holder.map(|copy| state.copies[copy].worker);
        if state.end != End::Open || from.is_some_and(|worker| state.workers[worker].beat < self.lease) {
            return None;
        }
        let up = |worker: &&usize| {
            state.workers[**worker].life == Life::Up && state.workers[**worker].beat < self.lease
        };
        let worker = *[0, 1].iter().find(up)?;
        if let Some(number) = holder {
            state.copies[number].current = false;
        }
        let stale = |copy: &&Copy| !copy.current && copy.hand != Hand::Empty;
        if state.copies.iter().filter(stale).count() > self.stale {
            return None;
        }
        state.copies.push(Copy {
            worker,
            current: true,
            hand: Hand::Empty,
            attempt: 0,
            age: 0,
        });
        if let Some(intent) = &mut state.intent {
            intent.found = Some(0);
        }
        Some(())
    }
}

impl Model for Send {
    type State = State;
    type Step = Step;

    fn start(&self) -> State {
        let worker = || Worker {
            life: Life::Up,
            beat: 0,
        };
        let copy = Copy {
            worker: 0,
            current: true,
            hand: Hand::Empty,
            attempt: 0,
            age: 0,
        };
        State {
            workers: [worker(), worker()],
            copies: vec![copy],
            attempts: 0,
            intent: None,
            wire: Vec::new(),
            delivered: Vec::new(),
            end: End::Open,
        }
    }

    fn candidates(&self, state: &State) -> Vec<Step> {
        use Step::*;
        let mut steps = vec![
            Intended, Unknown, TimedOut, Reconciled, Attempted, Completed, Failed, TakenOver, Tick,
        ];
        for copy in 0..state.copies.len() {
            steps.extend([
                Checks(copy),
                Calls(copy),
                Accepted(copy),
                Refused(copy),
                LosesSight(copy),
                LosesRun(copy),
            ]);
        }
        for request in 0..state.wire.len() {
            steps.extend([Arrives(request), Vanishes(request)]);
        }
        steps.extend((0..state.delivered.len()).map(Listed));
        for worker in 0..2 {
            steps.extend([
                Beats(worker),
                Freezes(worker),
                Thaws(worker),
                Dies(worker),
                Restarts(worker),
            ]);
        }
        steps
    }

    fn accepts(&self, before: &State, step: &Step) -> Option<State> {
        let mut state = before.clone();
        let life = |worker: usize| before.workers[worker].life;
        let has = |worker: usize| before.copies.iter().any(|copy| copy.worker == worker);
        match *step {
            Step::Tick => self.tick(&mut state)?,
            Step::TakenOver => self.take_over(&mut state)?,
            Step::Unknown => {
                let number = before.current()?;
                self.see_unknown(&mut state, number)?;
                state.intent.as_mut()?.unknown = Some(0);
            }
            Step::TimedOut => self.time_out(&mut state)?,
            Step::LosesSight(number) => {
                let copy = self.see_unknown(&mut state, number)?;
                (!copy.current).then_some(())?;
            }
            Step::Arrives(number) => {
                let request = state.wire.remove(number);
                state.delivered.push(Delivery {
                    attempt: request.attempt,
                    unlisted: Some(0),
                });
                state.delivered.sort();
            }
            Step::Vanishes(number) => drop(state.wire.remove(number)),
            Step::Listed(number) => {
                state.delivered[number].unlisted.take()?;
            }
            Step::Beats(worker) if life(worker) == Life::Up => state.workers[worker].beat = 0,
            Step::Freezes(worker) if life(worker) == Life::Up && has(worker) => {
                let sending = |copy: &Copy| copy.worker == worker && copy.hand == Hand::Checked;
                if before.copies.iter().any(sending) && self.flaw != Flaw::FreezesAfterCheck {
                    return None;
                }
                state.workers[worker].life = Life::Frozen;
            }
            Step::Thaws(worker) if life(worker) == Life::Frozen => state.workers[worker].life = Life::Up,
            Step::Dies(worker) if life(worker) != Life::Dead && has(worker) => {
                state.workers[worker].life = Life::Dead;
                state.copies.retain(|copy| copy.worker != worker);
                // The lease is owed to its heartbeat, not to it.
                if before
                    .copies
                    .iter()
                    .any(|copy| copy.worker == worker && copy.current)
                {
                    state.copies.push(Copy {
                        worker,
                        current: true,
                        hand: Hand::Empty,
                        attempt: 0,
                        age: 0,
                    });
                }
            }
            Step::Restarts(worker)
                if life(worker) == Life::Dead && before.end == End::Open && !has(worker) =>
            {
                state.workers[worker] = Worker {
                    life: Life::Up,
                    beat: 0,
                };
            }
            Step::Intended | Step::Attempted | Step::Completed | Step::Reconciled | Step::Failed => {
                self.commit(&mut state, step)?;
            }
            Step::Checks(_) | Step::Calls(_) | Step::Accepted(_) | Step::Refused(_) | Step::LosesRun(_) => {
                self.act(&mut state, step)?;
            }
            _ => return None,
        }
        self.forget_what_does_not_matter(&mut state);
        Some(state)
    }

    fn broken(&self, state: &State) -> Option<&'static str> {
        if state.delivered.len() > 1 {
            return Some("delivered twice");
        }
        if state.end == End::Done && state.delivered.is_empty() {
            return Some("lost silently");
        }
        None
    }

    fn hidden(&self, step: &Step) -> bool {
        use Step::*;
        !matches!(
            step,
            Intended
                | Unknown
                | TimedOut
                | Reconciled
                | Attempted
                | Completed
                | Failed
                | TakenOver
                | NoBeforeItsTime
        )
    }

    fn settled(&self, state: &State) -> bool {
        state.end == End::Done || (state.end == End::Parked && state.attempts == self.attempts)
    }

    fn owes(&self, state: &State) -> bool {
        state.end == End::Open && state.workers.iter().any(|worker| worker.life == Life::Up)
    }

    fn kind(&self, _: &State, step: &Step) -> bool {
        use Step::*;
        !matches!(
            step,
            Freezes(_) | Thaws(_) | Dies(_) | Restarts(_) | Vanishes(_) | Refused(_)
        )
    }
}
