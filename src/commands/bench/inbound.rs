//! The whole pipeline: a signed webhook, six activities, and an answer in the simulated Twilio's book.
use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use anyhow::Context as _;
use recado_engine::Workflow;
use recado_simulator::{Entry, Inbound};
use recado_workflows::InboundMessage;
use tokio::sync::{broadcast::error::RecvError, oneshot};

use super::{
    figures::Figures,
    load::{Load, millis},
    world::{NUMBER, World},
};

/// A question that the seed answers, so that the whole pipeline is gone through.
const QUESTION: &str = "Vocês fazem entrega?";
/// No message may wait longer for its answer.
const PATIENCE: Duration = Duration::from_secs(120);

/// Who waits for an answer, by the contact's address.
#[derive(Default)]
struct Waiting(Mutex<HashMap<String, oneshot::Sender<Instant>>>);

impl Waiting {
    fn wait(&self, contact: &str) -> oneshot::Receiver<Instant> {
        let (tell, told) = oneshot::channel();
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(contact.to_owned(), tell);
        told
    }

    fn answered(&self, contact: &str) {
        if let Some(tell) = self
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(contact)
        {
            let _ = tell.send(Instant::now());
        }
    }

    fn contacts(&self) -> Vec<String> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .keys()
            .cloned()
            .collect()
    }
}

pub(super) async fn measure(world: &mut World, load: &Load) -> anyhow::Result<Figures> {
    let first = world.next_contacts(load.count);
    let contact = |number: u64| format!("whatsapp:+55119{:08}", first + number);
    let waiting = Waiting::default();
    let before = world.reading().await?;
    let listen = listen(world, &waiting);
    let send = load.run(|number, begun| one(world, &waiting, contact(number), begun));
    let (times, took) = tokio::select! {
        sent = send => sent?,
        ended = listen => return Err(ended.err().unwrap_or_else(|| anyhow::anyhow!("the simulated Twilio ended"))),
    };
    let (acknowledged, answered) = times.into_iter().unzip();
    let times = vec![("ack", acknowledged), ("answered", answered)];
    let figures = world.figures("inbound", load, before, took, times).await?;
    for number in 0..load.count {
        let sent = world.simulator().book().outbound_to(&contact(number)).len();
        anyhow::ensure!(sent == 1, "a message was answered {sent} times");
    }
    world
        .require_ended(InboundMessage::NAME, world.messages())
        .await?;
    Ok(figures)
}

/// Tells whoever waits what the book hears of.
async fn listen(world: &World, waiting: &Waiting) -> anyhow::Result<()> {
    let book = world.simulator().book();
    let mut events = book.follow();
    loop {
        match events.recv().await {
            Ok((_, entry)) => {
                if let Entry::Message(message) = entry.as_ref()
                    && message.from.ends_with(NUMBER)
                {
                    waiting.answered(&message.to);
                }
            }
            // What a slow listener missed stands in the book.
            Err(RecvError::Lagged(_)) => {
                for contact in waiting.contacts() {
                    if !book.outbound_to(&contact).is_empty() {
                        waiting.answered(&contact);
                    }
                }
            }
            Err(RecvError::Closed) => return Ok(()),
        }
    }
}

/// A message, until it is acknowledged and until it is answered, in milliseconds.
async fn one(
    world: &World,
    waiting: &Waiting,
    contact: String,
    begun: Instant,
) -> anyhow::Result<(f64, f64)> {
    let answered = waiting.wait(&contact);
    let inbound = Inbound {
        from: contact,
        to: format!("whatsapp:{NUMBER}"),
        body: QUESTION.to_owned(),
        ..Inbound::default()
    };
    let received = world.simulator().send_inbound(inbound).await?;
    anyhow::ensure!(
        received.is_accepted(),
        "a webhook was answered {:?}",
        received.status()
    );
    let acknowledged = millis(begun);
    let answered = tokio::time::timeout(PATIENCE, answered)
        .await
        .context("a message was not answered within two minutes")??;
    Ok((acknowledged, (answered - begun).as_secs_f64() * 1e3))
}
