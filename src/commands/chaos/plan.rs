//! What goes wrong and when: the same for the same seed.
use std::{fmt, time::Duration};

use recado_simulator::{CallbackFaults, CreateFault, Faults, TwilioFaults};

/// How many front ends and workers there are.
pub(super) const FRONTS: usize = 2;
/// See [`FRONTS`].
pub(super) const WORKERS: usize = 3;

/// Chance that can be repeated: xorshift64* (Vigna, 2016).
pub(super) struct Chance(u64);

impl Chance {
    pub(super) fn new(seed: u64) -> Self {
        // Neighbouring seeds begin alike without this.
        let mut chance = Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).max(1));
        chance.between(0, 1);
        chance
    }

    /// A number from `low` to `high`.
    pub(super) fn between(&mut self, low: u64, high: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        low + (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16) % (high - low + 1)
    }

    /// An index below `count`.
    pub(super) fn below(&mut self, count: usize) -> usize {
        self.between(0, count as u64 - 1) as usize
    }

    fn millis(&mut self, low: u64, high: u64) -> Duration {
        Duration::from_millis(self.between(low, high))
    }
}

/// A process that is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Victim {
    Front(usize),
    Worker(usize),
    Postgres,
    Redis,
    Twilio,
}

impl fmt::Display for Victim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Front(which) => write!(f, "front end {}", which + 1),
            Self::Worker(which) => write!(f, "worker {}", which + 1),
            Self::Postgres => f.write_str("Postgres"),
            Self::Redis => f.write_str("Redis"),
            Self::Twilio => f.write_str("Twilio"),
        }
    }
}

/// What connections lead to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Link {
    Postgres,
    Redis,
    Twilio,
}

/// One thing that goes wrong.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Act {
    /// SIGKILL (Postgres: an immediate shutdown), and a new start after a while.
    Kill { victim: Victim, away: Duration },
    /// SIGTERM, and a new start.
    Replace { victim: Victim },
    /// SIGSTOP past the lease, then SIGCONT.
    Freeze { worker: usize, lasts: Duration },
    /// Redis forgets everything.
    Flush,
    /// So many of a hundred connections end.
    Cut { link: Link, percent: u64 },
    /// Twilio misbehaves for a while.
    Misbehave { faults: Box<Faults>, lasts: Duration },
}

impl fmt::Display for Act {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kill { victim, away } => write!(f, "{victim} is killed, back after {away:?}"),
            Self::Replace { victim } => write!(f, "{victim} is asked to go home, and replaced"),
            Self::Freeze { worker, lasts } => {
                write!(f, "{} is frozen for {lasts:?}", Victim::Worker(*worker))
            }
            Self::Flush => f.write_str("Redis forgets everything"),
            Self::Cut { link, percent } => write!(f, "{percent} % of the connections to {link:?} are cut"),
            Self::Misbehave { faults, lasts } => {
                write!(f, "Twilio misbehaves for {lasts:?}: ")?;
                match (&faults.twilio.create, faults.twilio.reads) {
                    (CreateFault::None, None) => write!(
                        f,
                        "latency {} ms, lists {} ms late, callbacks doubled {}, shuffled {}",
                        faults.twilio.latency_ms,
                        faults.listing_lag_ms,
                        faults.callbacks.doubled,
                        faults.callbacks.shuffled
                    ),
                    (create, reads) => write!(f, "create {create:?}, reads {reads:?}"),
                }
            }
        }
    }
}

/// Acts and when they begin, in order of time.
#[derive(Debug, PartialEq)]
pub(super) struct Plan(pub(super) Vec<(Duration, Act)>);

impl Plan {
    /// Every kind comes up once in each round, in an order that changes; however short the time, there is one round.
    pub(super) fn new(seed: u64, lasts: Duration) -> Self {
        let (mut chance, mut acts, mut at) = (Chance::new(seed), Vec::new(), Duration::ZERO);
        let mut deck = Vec::new();
        let kinds = KINDS.len() as u64;
        let gap = (lasts.as_millis() as u64 * 9 / 10 / kinds).clamp(10, 1500);
        loop {
            if deck.is_empty() {
                deck = KINDS.to_vec();
            }
            at += chance.millis(gap / 2, gap * 3 / 2);
            if at >= lasts && acts.len() >= KINDS.len() {
                return Self(acts);
            }
            let kind = deck.swap_remove(chance.below(deck.len()));
            acts.push((at.min(lasts), kind(&mut chance)));
        }
    }
}

type Kind = fn(&mut Chance) -> Act;

const KINDS: [Kind; 18] = [
    front,
    front,
    worker,
    worker,
    worker,
    |chance| Act::Replace {
        victim: Victim::Worker(chance.below(WORKERS)),
    },
    // Past the lease of 5 s, but shorter than lease, time-out and listing's delay together: beyond that lies the
    // residual window of a send, which is named in the architecture and which no engine can close.
    |chance| Act::Freeze {
        worker: chance.below(WORKERS),
        lasts: chance.millis(5_500, 7_000),
    },
    |chance| kill(Victim::Postgres, chance),
    |chance| kill(Victim::Redis, chance),
    |chance| kill(Victim::Twilio, chance),
    |_| Act::Flush,
    |chance| cut(Link::Postgres, chance),
    |chance| cut(Link::Redis, chance),
    |chance| cut(Link::Twilio, chance),
    |chance| cut(Link::Twilio, chance),
    lost_answers,
    refusals,
    sluggish,
];

fn front(chance: &mut Chance) -> Act {
    kill(Victim::Front(chance.below(FRONTS)), chance)
}

fn worker(chance: &mut Chance) -> Act {
    kill(Victim::Worker(chance.below(WORKERS)), chance)
}

fn kill(victim: Victim, chance: &mut Chance) -> Act {
    let away = chance.millis(0, 2_500);
    Act::Kill { victim, away }
}

fn cut(link: Link, chance: &mut Chance) -> Act {
    let percent = chance.between(20, 100);
    Act::Cut { link, percent }
}

/// The message exists, and nobody is told.
fn lost_answers(chance: &mut Chance) -> Act {
    let create = match chance.below(3) {
        0 => CreateFault::AcceptAndDrop,
        1 => CreateFault::AcceptAndNeverAnswer,
        _ => CreateFault::AcceptAndStatus(503),
    };
    hits(create, chance)
}

/// The message does not exist.
fn refusals(chance: &mut Chance) -> Act {
    let create = match chance.below(3) {
        0 => CreateFault::Drop,
        1 => CreateFault::Status(500),
        _ => CreateFault::RateLimited { retry_after: 1 },
    };
    hits(create, chance)
}

fn hits(create: CreateFault, chance: &mut Chance) -> Act {
    let reads = (chance.below(3) == 0).then_some(503);
    let times = Some(chance.between(2, 8) as u32);
    let twilio = TwilioFaults {
        create,
        times,
        reads,
        ..TwilioFaults::default()
    };
    misbehave(
        Faults {
            twilio,
            ..Faults::default()
        },
        chance,
    )
}

fn sluggish(chance: &mut Chance) -> Act {
    let twilio = TwilioFaults {
        latency_ms: chance.between(200, 2_500),
        ..TwilioFaults::default()
    };
    let callbacks = CallbackFaults {
        doubled: chance.below(2) == 0,
        shuffled: chance.below(2) == 0,
        delay_ms: chance.between(0, 500),
        ..CallbackFaults::default()
    };
    misbehave(
        Faults {
            twilio,
            callbacks,
            listing_lag_ms: chance.between(0, 1_000),
            ..Faults::default()
        },
        chance,
    )
}

fn misbehave(faults: Faults, chance: &mut Chance) -> Act {
    let lasts = chance.millis(1_000, 4_000);
    Act::Misbehave {
        faults: Box::new(faults),
        lasts,
    }
}

#[cfg(test)]
mod tests {
    use std::mem::discriminant;

    use super::*;

    #[test]
    fn the_same_seed_makes_the_same_plan_and_another_makes_another() {
        let (minute, plan) = (Duration::from_secs(60), |seed| {
            Plan::new(seed, Duration::from_secs(60))
        });
        assert_eq!(plan(7), plan(7));
        assert_ne!(plan(7), plan(8));
        assert!(plan(7).0.iter().all(|(at, _)| *at <= minute));
        assert!(plan(7).0.is_sorted_by_key(|(at, _)| *at));
    }

    #[test]
    fn however_short_every_kind_of_act_comes_up() {
        for seed in 0..50 {
            let plan = Plan::new(seed, Duration::from_secs(1));
            for victim in [Victim::Postgres, Victim::Redis, Victim::Twilio] {
                assert!(
                    plan.0
                        .iter()
                        .any(|(_, act)| matches!(act, Act::Kill { victim: of, .. } if *of == victim))
                );
            }
            let kinds: std::collections::HashSet<_> =
                plan.0.iter().map(|(_, act)| discriminant(act)).collect();
            assert_eq!(kinds.len(), 6, "{plan:?}");
        }
    }
}
