//! Who holds a run: claims, heartbeats, take-over, and the epoch that every checkpoint is compared by.
//!
//! Modelled on `storage/leases.rs` and `storage/fold.rs`; each step is one commit, or one misfortune.
use super::checker::Model;

/// What is left out of the protocol, to see that the checker finds out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Flaw {
    #[default]
    None,
    /// A checkpoint is accepted whatever its epoch.
    EpochNotCompared,
    /// A claim does not raise the epoch.
    EpochNotRaised,
    /// Nobody looks for the dead.
    NoTakeOver,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Lease {
    pub(crate) workers: usize,
    pub(crate) runs: usize,
    /// No run changes hands more often.
    pub(crate) epochs: u8,
    /// A run is finished with this many events.
    pub(crate) events: u8,
    pub(crate) flaw: Flaw,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Life {
    Up,
    Frozen,
    Dead,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Worker {
    life: Life,
    /// Whether its last heartbeat is younger than the lease.
    beats: bool,
}

/// What a checkpoint makes of the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum After {
    Running,
    Waiting,
    Parked,
    Done,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Held {
    Queued,
    /// By whom; nobody knows where a checkpoint came after the run had let go.
    Running(Option<usize>),
    Waiting,
    Parked,
    Done,
}

/// A run as the database has it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Row {
    held: Held,
    epoch: u8,
    /// Of each event, the epoch that wrote it.
    journal: Vec<u8>,
    /// A checkpoint of an old epoch was accepted.
    stale: bool,
    /// A run that was finished is not any more.
    undone: bool,
}

/// A run as a worker has it in memory.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Copy {
    run: usize,
    epoch: u8,
    worker: usize,
    /// Events that it knows to be on disk.
    seq: u8,
    /// What it will know when it hears that its checkpoint is on disk, which may be never.
    unheard: Option<Heard>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Heard {
    seq: u8,
    /// The run has left the memory with this checkpoint.
    left: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct State {
    workers: Vec<Worker>,
    rows: Vec<Row>,
    copies: Vec<Copy>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Claimed {
        worker: usize,
        run: usize,
        epoch: u8,
    },
    TakenOver {
        run: usize,
        epoch: u8,
    },
    GivenBack {
        run: usize,
        epoch: u8,
    },
    /// Accepted: `count` events from number `first` on.
    Checkpoint {
        run: usize,
        epoch: u8,
        first: u8,
        count: u8,
        after: After,
    },
    Refused {
        run: usize,
        epoch: u8,
    },
    // Hidden from here on.
    Heard {
        run: usize,
        epoch: u8,
    },
    Dropped {
        run: usize,
        epoch: u8,
    },
    Due(usize),
    Retried(usize),
    Beats(usize),
    /// A lease goes by without a heartbeat.
    Silent(usize),
    Freezes(usize),
    Thaws(usize),
    Dies(usize),
}

impl State {
    fn copy(&self, run: usize, epoch: u8) -> Option<usize> {
        self.copies
            .iter()
            .position(|copy| (copy.run, copy.epoch) == (run, epoch))
    }

    fn up(&self, worker: usize) -> bool {
        self.workers[worker].life == Life::Up
    }

    fn queue(&mut self, run: usize, epoch: u8) {
        self.rows[run].held = Held::Queued;
        self.rows[run].epoch = epoch;
    }
}

impl Lease {
    /// A checkpoint as the database takes it: locked, compared, written.
    fn write(&self, state: &mut State, step: (usize, u8), first: u8, count: u8, after: After) -> Option<()> {
        let (run, epoch) = step;
        let copy = state
            .copy(run, epoch)
            .filter(|copy| state.up(state.copies[*copy].worker))?;
        let row = &mut state.rows[run];
        if row.epoch != epoch {
            if self.flaw != Flaw::EpochNotCompared {
                return None;
            }
            row.stale = true;
        }
        for seq in first..first + count {
            match usize::from(seq).checked_sub(1)?.checked_sub(row.journal.len()) {
                // There already: the same one, whose commit was not heard of.
                None => {}
                Some(0) => row.journal.push(epoch),
                Some(_) => return None,
            }
        }
        row.undone |= row.held == Held::Done && after != After::Done;
        row.held = match (after, row.held) {
            (After::Running, Held::Running(worker)) => Held::Running(worker),
            (After::Running, _) => Held::Running(None),
            (After::Waiting, _) => Held::Waiting,
            (After::Parked, _) => Held::Parked,
            (After::Done, _) => Held::Done,
        };
        let copy = &mut state.copies[copy];
        let seq = copy.seq.max((first + count).saturating_sub(1));
        copy.unheard = Some(Heard {
            seq,
            left: after != After::Running,
        });
        Some(())
    }

    /// What the copies of the workers that are up may write next.
    fn writes(&self, state: &State) -> Vec<Step> {
        let mut steps = Vec::new();
        for copy in state.copies.iter().filter(|copy| state.up(copy.worker)) {
            let (run, epoch) = (copy.run, copy.epoch);
            let first = copy.seq + 1;
            let ends = if first < self.events {
                [After::Running, After::Waiting]
            } else {
                [After::Done; 2]
            };
            for after in ends {
                steps.push(Step::Checkpoint {
                    run,
                    epoch,
                    first,
                    count: 1,
                    after,
                });
            }
            steps.push(Step::Refused { run, epoch });
            steps.push(Step::Heard { run, epoch });
            steps.push(Step::Dropped { run, epoch });
        }
        steps
    }
}

impl Model for Lease {
    type State = State;
    type Step = Step;

    fn start(&self) -> State {
        let worker = Worker {
            life: Life::Up,
            beats: true,
        };
        let row = Row {
            held: Held::Queued,
            epoch: 0,
            journal: Vec::new(),
            stale: false,
            undone: false,
        };
        State {
            workers: vec![worker; self.workers],
            rows: vec![row; self.runs],
            copies: Vec::new(),
        }
    }

    fn candidates(&self, state: &State) -> Vec<Step> {
        let mut steps = self.writes(state);
        for run in 0..self.runs {
            let epoch = state.rows[run].epoch + 1;
            if epoch <= self.epochs {
                let raised = epoch - u8::from(self.flaw == Flaw::EpochNotRaised);
                steps.extend((0..self.workers).map(|worker| Step::Claimed {
                    worker,
                    run,
                    epoch: raised,
                }));
                steps.extend([
                    Step::TakenOver { run, epoch },
                    Step::GivenBack { run, epoch },
                    Step::Retried(run),
                ]);
            }
            steps.push(Step::Due(run));
        }
        for worker in 0..self.workers {
            use Step::*;
            steps.extend([
                Beats(worker),
                Silent(worker),
                Freezes(worker),
                Thaws(worker),
                Dies(worker),
            ]);
        }
        steps
    }

    fn accepts(&self, before: &State, step: &Step) -> Option<State> {
        let mut state = before.clone();
        match *step {
            Step::Claimed { worker, run, epoch } => {
                let row = &mut state.rows[run];
                let raised = row.epoch + u8::from(self.flaw != Flaw::EpochNotRaised);
                if before.workers[worker].life != Life::Up || row.held != Held::Queued || epoch != raised {
                    return None;
                }
                (row.epoch, row.held) = (epoch, Held::Running(Some(worker)));
                let seq = row.journal.len() as u8;
                state.copies.push(Copy {
                    run,
                    epoch,
                    worker,
                    seq,
                    unheard: None,
                });
                state.copies.sort();
            }
            Step::TakenOver { run, epoch } => {
                let Held::Running(holder) = before.rows[run].held else {
                    return None;
                };
                let silent = holder.is_none_or(|worker| !before.workers[worker].beats);
                let somebody = before
                    .workers
                    .iter()
                    .any(|worker| worker.life == Life::Up && worker.beats);
                let looked_for = self.flaw != Flaw::NoTakeOver;
                if !silent || !somebody || !looked_for || epoch != before.rows[run].epoch + 1 {
                    return None;
                }
                state.queue(run, epoch);
            }
            Step::GivenBack { run, epoch } => {
                let Held::Running(Some(worker)) = before.rows[run].held else {
                    return None;
                };
                if !before.up(worker) || epoch != before.rows[run].epoch + 1 {
                    return None;
                }
                state.queue(run, epoch);
            }
            Step::Checkpoint {
                run,
                epoch,
                first,
                count,
                after,
            } => {
                self.write(&mut state, (run, epoch), first, count, after)?;
            }
            // What is on its way behind it is refused as well, until the copy is dropped.
            Step::Refused { run, epoch } => {
                before
                    .copy(run, epoch)
                    .filter(|copy| before.up(before.copies[*copy].worker))?;
                if before.rows[run].epoch == epoch || self.flaw == Flaw::EpochNotCompared {
                    return None;
                }
            }
            Step::Heard { run, epoch } => {
                let number = before
                    .copy(run, epoch)
                    .filter(|copy| before.up(before.copies[*copy].worker))?;
                let copy = &mut state.copies[number];
                let heard = copy.unheard.take()?;
                copy.seq = heard.seq;
                if heard.left {
                    state.copies.remove(number);
                }
            }
            Step::Dropped { run, epoch } => {
                let copy = before
                    .copy(run, epoch)
                    .filter(|copy| before.up(before.copies[*copy].worker))?;
                state.copies.remove(copy);
            }
            Step::Due(run) if before.rows[run].held == Held::Waiting => state.rows[run].held = Held::Queued,
            Step::Retried(run) if before.rows[run].held == Held::Parked => {
                let epoch = before.rows[run].epoch + 1;
                // With an event of its own, written under the lock of the row.
                state.rows[run].journal.push(epoch);
                state.queue(run, epoch);
            }
            Step::Beats(worker) if before.up(worker) => state.workers[worker].beats = true,
            Step::Silent(worker) => state.workers[worker].beats = false,
            Step::Freezes(worker) if before.up(worker) => state.workers[worker].life = Life::Frozen,
            Step::Thaws(worker) if before.workers[worker].life == Life::Frozen => {
                state.workers[worker].life = Life::Up;
            }
            Step::Dies(worker) if before.workers[worker].life != Life::Dead => {
                state.workers[worker].life = Life::Dead;
                state.copies.retain(|copy| copy.worker != worker);
            }
            _ => return None,
        }
        Some(state)
    }

    fn broken(&self, state: &State) -> Option<&'static str> {
        let doubled = |copies: &[Copy]| (copies[0].run, copies[0].epoch) == (copies[1].run, copies[1].epoch);
        if state.rows.iter().any(|row| row.stale) {
            return Some("a checkpoint of an old epoch was accepted");
        }
        if state.rows.iter().any(|row| row.undone) {
            return Some("a finished run was begun again");
        }
        if state.rows.iter().any(|row| !row.journal.is_sorted()) {
            return Some("an event of an earlier holder follows one of a later");
        }
        if state.copies.windows(2).any(doubled) {
            return Some("two hold the same run in the same epoch");
        }
        None
    }

    fn hidden(&self, step: &Step) -> bool {
        use Step::*;
        !matches!(
            step,
            Claimed { .. } | TakenOver { .. } | GivenBack { .. } | Checkpoint { .. } | Refused { .. }
        )
    }

    fn settled(&self, state: &State) -> bool {
        state.rows.iter().all(|row| row.held == Held::Done)
    }

    /// As long as somebody lives; the bound of the model leaves room for one more take-over and claim.
    fn owes(&self, state: &State) -> bool {
        let lives = state.workers.iter().any(|worker| worker.life == Life::Up);
        lives && state.rows.iter().all(|row| row.epoch + 2 <= self.epochs)
    }

    fn kind(&self, state: &State, step: &Step) -> bool {
        match step {
            Step::Silent(worker) => !state.up(*worker),
            Step::Freezes(_) | Step::Thaws(_) | Step::Dies(_) | Step::Dropped { .. } => false,
            _ => true,
        }
    }
}
