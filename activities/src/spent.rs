//! What talking to contacts costs, roughly, by owner, until somebody writes it down.
//!
//! It is kept in memory, so that no message waits for it: a process that is killed takes its last seconds of it along.
use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use recado_clients::models::Reply;
use recado_domain::{Address, Channel, Direction, OwnerId, price};

/// What is spent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Spending {
    /// Tokens that models read.
    Prompt,
    /// Tokens that models wrote.
    Completion,
    /// SMS either way, in millionths of a dollar, as far as the table of prices knows the country.
    Sms,
    /// WhatsApp messages either way, in millionths of a dollar.
    Whatsapp,
}

/// What has been spent since it was last taken.
#[derive(Debug, Default)]
pub struct Spent(Mutex<BTreeMap<(OwnerId, Spending), i64>>);

impl Spent {
    /// Adds to what `owner` has spent.
    pub fn add(&self, owner: &OwnerId, spending: Spending, n: i64) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *all.entry((owner.clone(), spending)).or_default() += n;
    }

    /// All of it; from here on it is the taker's.
    pub fn take(&self) -> BTreeMap<(OwnerId, Spending), i64> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// A model has answered.
    pub(crate) fn answer(&self, owner: &OwnerId, reply: &Reply) {
        self.add(owner, Spending::Prompt, reply.prompt_tokens.into());
        self.add(owner, Spending::Completion, reply.completion_tokens.into());
    }

    /// A message went, or came.
    pub(crate) fn message(&self, owner: &OwnerId, theirs: &Address, direction: Direction, body: &str) {
        let Some(micros) = price::estimate(theirs, direction, body) else {
            return;
        };
        let (spending, channel) = match theirs.channel() {
            Channel::Sms => (Spending::Sms, "sms"),
            Channel::Whatsapp => (Spending::Whatsapp, "whatsapp"),
        };
        self.add(owner, spending, micros);
        metrics::counter!("recado_messages_microdollars_total", "channel" => channel, "direction" => direction.as_str())
            .increment(u64::try_from(micros).unwrap_or_default());
    }
}
