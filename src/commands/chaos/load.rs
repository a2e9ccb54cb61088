//! Contacts who write: signed webhooks, repeated until they are acknowledged, as Twilio would with `#rc`.
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use recado_simulator::sign;
use secrecy::SecretString;
use tokio::{sync::mpsc, task::JoinSet};
use tokio_util::sync::CancellationToken;

use super::{ACCOUNT, NUMBER, TOKEN, plan::Chance};

/// The longest that Twilio waits for an answer.
const WAITS: Duration = Duration::from_secs(15);
/// The longest pause before the next try.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// A message that a contact sent. A contact sends the next one when this one is acknowledged, so that their order is
/// that of their numbers.
#[derive(Clone, Debug)]
pub(super) struct Said {
    pub(super) contact: usize,
    /// The how-manieth of this contact, from 1.
    pub(super) number: u32,
    pub(super) sid: String,
    /// Whether a 200 came.
    pub(super) acknowledged: bool,
}

/// What the contacts did.
#[derive(Debug, Default)]
pub(super) struct Told {
    pub(super) said: Vec<Said>,
    /// How often each status came; 0 stands for no answer.
    pub(super) answers: BTreeMap<u16, u64>,
    /// How many were delivered again although, or while, they were acknowledged.
    pub(super) repeated: u64,
}

/// Who writes, how often, and to whom.
pub(super) struct Load {
    pub(super) fronts: Vec<u16>,
    /// What the signature is made for.
    pub(super) webhook: String,
    pub(super) http: reqwest::Client,
    pub(super) told: Mutex<Told>,
}

/// The address of a contact: every other one is on WhatsApp.
pub(super) fn address(contact: usize) -> String {
    let channel = if contact.is_multiple_of(2) {
        "whatsapp:"
    } else {
        ""
    };
    format!("{channel}+55119876{contact:05}")
}

/// What message `number` says. Every answer repeats it, and so says which messages it answers.
pub(super) fn body(number: u32) -> String {
    format!("pedido #{number}")
}

impl Load {
    /// Messages of random contacts, one alone or a burst, for so long; returns when all are acknowledged or `give_up`.
    pub(super) async fn run(
        self: Arc<Self>,
        seed: u64,
        contacts: usize,
        rate: u64,
        lasts: Duration,
        give_up: CancellationToken,
    ) {
        let (mut senders, mut tasks) = (Vec::new(), JoinSet::new());
        for contact in 0..contacts {
            let (sender, wanted) = mpsc::unbounded_channel();
            senders.push(sender);
            let chance = Chance::new(seed.wrapping_add(1 + contact as u64));
            tasks.spawn(self.clone().write(contact, wanted, chance, give_up.clone()));
        }
        let (mut chance, begun, mut sent) = (Chance::new(seed ^ 0x10ad), Instant::now(), 0_u64);
        while begun.elapsed() < lasts && !give_up.is_cancelled() {
            let due = (begun.elapsed().as_secs_f64() * rate as f64) as u64;
            while sent < due {
                let burst = if chance.below(20) == 0 {
                    chance.between(3, 8)
                } else {
                    1
                };
                let who = chance.below(contacts);
                for _ in 0..burst {
                    let _ = senders[who].send(());
                }
                sent += burst;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        drop(senders);
        while tasks.join_next().await.is_some() {}
    }

    async fn write(
        self: Arc<Self>,
        contact: usize,
        mut wanted: mpsc::UnboundedReceiver<()>,
        mut chance: Chance,
        give_up: CancellationToken,
    ) {
        let mut number = 0;
        while wanted.recv().await.is_some() {
            number += 1;
            let sid = format!("SM{contact:016x}{number:016x}");
            let acknowledged = tokio::select! {
                () = give_up.cancelled() => false,
                () = self.deliver(contact, number, &sid, &mut chance) => true,
            };
            self.told().said.push(Said {
                contact,
                number,
                sid,
                acknowledged,
            });
        }
    }

    /// Posts until a 200 comes, to one front end after the other. Now and then to both at once, or once more after.
    async fn deliver(&self, contact: usize, number: u32, sid: &str, chance: &mut Chance) {
        let (mut front, mut pause) = (chance.below(self.fronts.len()), Duration::from_millis(100));
        let habit = chance.below(20);
        loop {
            let other = (front + 1) % self.fronts.len();
            let status = if habit == 0 {
                self.told().repeated += 1;
                let (one, two) = tokio::join!(
                    self.post(front, contact, number, sid),
                    self.post(other, contact, number, sid)
                );
                if one == 200 { one } else { two }
            } else {
                self.post(front, contact, number, sid).await
            };
            if status == 200 {
                break;
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
            front = other;
        }
        if habit == 1 {
            self.told().repeated += 1;
            self.post((front + 1) % self.fronts.len(), contact, number, sid)
                .await;
        }
    }

    async fn post(&self, front: usize, contact: usize, number: u32, sid: &str) -> u16 {
        let from = address(contact);
        let to = match from.starts_with("whatsapp:") {
            true => format!("whatsapp:{NUMBER}"),
            false => NUMBER.to_owned(),
        };
        let fields = [
            ("MessageSid", sid.to_owned()),
            ("AccountSid", ACCOUNT.to_owned()),
            ("From", from),
            ("To", to),
            ("Body", body(number)),
            ("NumMedia", "0".to_owned()),
        ];
        let fields = fields.map(|(name, value)| (name.to_owned(), value));
        let path = "/api/v1/twilio/webhooks/inbound";
        let posted = self
            .http
            .post(format!("http://127.0.0.1:{}{path}", self.fronts[front]))
            .timeout(WAITS)
            .header(
                "X-Twilio-Signature",
                sign(&SecretString::from(TOKEN), &self.webhook, &fields),
            )
            .form(&fields)
            .send()
            .await;
        let status = posted.map_or(0, |answer| answer.status().as_u16());
        *self.told().answers.entry(status).or_default() += 1;
        status
    }

    pub(super) fn told(&self) -> std::sync::MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
