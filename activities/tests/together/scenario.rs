//! What happens: messages of few contacts to few owners, so that calls meet in rows.
use proptest::{collection::vec, option, prelude::*, sample::select};

pub(crate) const OWNERS: [&str; 4] = ["free", "tight", "endless", "suspended"];
pub(crate) const OURS: [&str; 2] = ["whatsapp:+14155238886", "+14155238886"];
/// The first two, and the next two, are one telephone each; who is known before is told in `world.rs`.
pub(crate) const THEIRS: [&str; 7] = [
    "whatsapp:+5511987654321",
    "whatsapp:+551187654321",
    "whatsapp:+5511912345678",
    "whatsapp:+5511912345679",
    "+5511911112222",
    "whatsapp:+14155550100",
    "whatsapp:BR.1502000000000000",
];
const BODIES: [&str; 5] = ["oi", "STOP", "START", "qual o horário?\0", ""];

/// One message and what becomes of its answer.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    pub(crate) owner: &'static str,
    pub(crate) ours: &'static str,
    pub(crate) theirs: &'static str,
    pub(crate) body: &'static str,
    pub(crate) name: Option<&'static str>,
    /// When, in milliseconds after the others, which is not the order of the calls.
    pub(crate) later: i64,
    /// The webhook was delivered for the message before this one too.
    pub(crate) is_copy: bool,
    pub(crate) purpose: recado_activities::Purpose,
    pub(crate) answer: Answer,
}

/// What Twilio does with the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Taken,
    TakenInUnknownWords,
    OptedOut,
    /// A status callback with the token comes before the answer is written down.
    CalledBack(&'static str),
    /// One without the token, which waits for the message.
    Orphan(&'static str),
    /// It was refused before, and a person lets it be tried again.
    TriedAgain,
}

#[derive(Clone, Debug)]
pub(crate) struct Scenario {
    pub(crate) messages: Vec<Message>,
}

impl Scenario {
    pub(crate) fn any() -> impl Strategy<Value = Self> {
        let sizes = prop_oneof![Just(1..2usize), Just(2..6), Just(6..24)];
        sizes
            .prop_flat_map(|sizes| vec(message(), sizes))
            .prop_map(|messages| Self { messages })
    }
}

fn message() -> impl Strategy<Value = Message> {
    let purpose = prop_oneof![
        3 => Just(recado_activities::Purpose::Answer),
        1 => Just(recado_activities::Purpose::Notice)
    ];
    let status = || select(vec!["queued", "sent", "delivered", "undelivered"]);
    let answer = prop_oneof![
        6 => Just(Answer::Taken),
        1 => Just(Answer::TakenInUnknownWords),
        1 => Just(Answer::OptedOut),
        2 => status().prop_map(Answer::CalledBack),
        2 => status().prop_map(Answer::Orphan),
        1 => Just(Answer::TriedAgain),
    ];
    let body = prop_oneof![4 => Just("oi"), 1 => select(BODIES.to_vec())];
    (
        (
            select(OWNERS.to_vec()),
            select(OURS.to_vec()),
            select(THEIRS.to_vec()),
        ),
        body,
        option::of(select(vec!["Marina", "M.", " "])),
        0..40i64,
        prop::bool::weighted(0.1),
        purpose,
        answer,
    )
        .prop_map(
            |((owner, ours, theirs), body, name, later, is_copy, purpose, answer)| Message {
                owner,
                ours,
                theirs,
                body,
                name,
                later,
                is_copy,
                purpose,
                answer,
            },
        )
}
