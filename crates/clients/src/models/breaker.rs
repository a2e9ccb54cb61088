//! Lets a failing provider rest, so that the next one is asked at once instead of after a time-out.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// So many failures one after the other open it.
const FAILURES: u32 = 3;

/// So long it stays open, before a single request may try again.
const REST: Duration = Duration::from_secs(30);

/// How long to wait while somebody else is trying.
const TRIAL: Duration = Duration::from_secs(1);

/// The circuit breaker of one provider.
#[derive(Debug)]
pub(super) struct Breaker {
    state: Mutex<State>,
}

#[derive(Debug, Clone, Copy)]
enum State {
    /// Requests go through; so many have failed since the last success.
    Closed { failures: u32 },
    /// None go through until then.
    Open { until: Instant },
    /// One goes through, and its outcome decides.
    HalfOpen,
}

/// Leave to make one request. Dropped without a verdict, as when the caller gives up, it leaves things as they were.
#[derive(Debug)]
pub(super) struct Permit<'a> {
    breaker: &'a Breaker,
    asked_at: Instant,
    trial: bool,
}

impl Breaker {
    pub(super) const fn new() -> Self {
        Self {
            state: Mutex::new(State::Closed { failures: 0 }),
        }
    }

    /// Leave for one request, or how long the provider still rests.
    pub(super) fn admit(&self, now: Instant) -> Result<Permit<'_>, Duration> {
        let mut state = self.state();
        let trial = match *state {
            State::Closed { .. } => false,
            State::Open { until } if now < until => return Err(until - now),
            State::HalfOpen => return Err(TRIAL),
            State::Open { .. } => {
                *state = State::HalfOpen;
                true
            }
        };
        Ok(Permit {
            breaker: self,
            asked_at: now,
            trial,
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A state is written in one step, so that a panic elsewhere leaves none half written.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Permit<'_> {
    /// The provider works.
    pub(super) fn succeeded(mut self) {
        self.trial = false;
        *self.breaker.state() = State::Closed { failures: 0 };
    }

    /// The provider does not work.
    pub(super) fn failed(mut self, now: Instant) {
        let mut state = self.breaker.state();
        *state = match *state {
            State::Closed { failures } if failures + 1 < FAILURES => State::Closed {
                failures: failures + 1,
            },
            State::Closed { .. } => State::Open { until: now + REST },
            State::HalfOpen if self.trial => State::Open { until: now + REST },
            // Asked before it opened: what it tells is known already.
            State::Open { .. } | State::HalfOpen => *state,
        };
        drop(state);
        self.trial = false;
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        if self.trial {
            // The next one may try at once; else a caller that gave up would close the provider for ever.
            *self.breaker.state() = State::Open { until: self.asked_at };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fail(breaker: &Breaker, now: Instant) {
        breaker.admit(now).expect("admitted").failed(now);
    }

    fn opened(now: Instant) -> Breaker {
        let breaker = Breaker::new();
        (0..FAILURES).for_each(|_| fail(&breaker, now));
        breaker
    }

    #[test]
    fn three_failures_in_a_row_open_it_for_thirty_seconds() {
        let start = Instant::now();
        let breaker = opened(start);
        let later = start + Duration::from_secs(29);
        assert_eq!(breaker.admit(later).expect_err("open"), Duration::from_secs(1));
        assert!(breaker.admit(start + REST).is_ok());
    }

    #[test]
    fn a_success_between_failures_keeps_it_closed() {
        let now = Instant::now();
        let breaker = Breaker::new();
        for _ in 0..10 {
            fail(&breaker, now);
            fail(&breaker, now);
            breaker.admit(now).expect("closed").succeeded();
        }
    }

    #[test]
    fn after_the_rest_a_single_request_tries() {
        let start = Instant::now();
        let breaker = opened(start);
        let trial = breaker.admit(start + REST).expect("the trial");
        assert_eq!(breaker.admit(start + REST).expect_err("one at a time"), TRIAL);
        trial.succeeded();
        assert!(breaker.admit(start + REST).is_ok());
    }

    #[test]
    fn a_failed_trial_opens_it_again() {
        let start = Instant::now();
        let breaker = opened(start);
        fail(&breaker, start + REST);
        assert_eq!(breaker.admit(start + REST).expect_err("open"), REST);
    }

    #[test]
    fn a_trial_that_was_given_up_lets_the_next_one_try() {
        let start = Instant::now();
        let breaker = opened(start);
        drop(breaker.admit(start + REST).expect("the trial"));
        assert!(breaker.admit(start + REST).is_ok());
    }

    #[test]
    fn a_request_asked_before_it_opened_does_not_prolong_the_rest() {
        let start = Instant::now();
        let breaker = Breaker::new();
        let slow = breaker.admit(start).expect("closed");
        (0..FAILURES).for_each(|_| fail(&breaker, start));
        slow.failed(start + REST / 2);
        assert_eq!(breaker.admit(start + REST / 2).expect_err("open"), REST / 2);
    }
}
