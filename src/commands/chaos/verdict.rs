//! The vendor's book against ours.
use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    fmt,
};

use recado_engine::{Run, RunState};

use super::load::{Said, address};

/// Why a run may wait for a person without that being a defect: the class of its error, and what it means.
const DOCUMENTED: [(&str, &str); 2] = [
    (
        "unknown_fate",
        "whether its message was sent could not be told for as long as it is held",
    ),
    (
        "exhausted",
        "every attempt was definitely refused, and there are no more",
    ),
];

/// A message in the vendor's book that we sent.
#[derive(Clone, Debug)]
pub(super) struct Sent {
    pub(super) sid: String,
    pub(super) to: String,
    pub(super) body: String,
}

/// What is known at the end.
#[derive(Debug, Default)]
pub(super) struct Facts {
    pub(super) said: Vec<Said>,
    /// In the order in which the vendor took them.
    pub(super) sent: Vec<Sent>,
    /// By the SID of the message that started them.
    pub(super) runs: HashMap<String, Run>,
    /// The SIDs of the outbound messages in our database.
    pub(super) ours: HashSet<String>,
}

/// What must not be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// Acknowledged, and not answered.
    Lost,
    /// Answered more than once.
    Doubled,
    /// Answered before an earlier message of the same contact.
    Reordered,
    /// Acknowledged and not answered yet; its run goes on, and says what it waits for.
    Unfinished,
    /// Anything else that nobody can account for.
    Unexplained,
}

impl Kind {
    pub(super) const ALL: [Self; 5] = [
        Self::Lost,
        Self::Doubled,
        Self::Reordered,
        Self::Unfinished,
        Self::Unexplained,
    ];
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Lost => "lost",
            Self::Doubled => "doubled",
            Self::Reordered => "reordered",
            Self::Unfinished => "unfinished",
            Self::Unexplained => "unexplained",
        })
    }
}

/// One thing that must not be, and whose run tells more.
#[derive(Debug)]
pub(super) struct Finding {
    pub(super) kind: Kind,
    pub(super) told: String,
    /// The SID of the message whose run it is about.
    pub(super) sid: Option<String>,
}

/// The result.
#[derive(Debug, Default)]
pub(super) struct Verdict {
    pub(super) findings: Vec<Finding>,
    /// Runs that wait for a person for a documented reason, and which that is.
    pub(super) parked: Vec<String>,
}

impl Verdict {
    /// Compares. An answer counts for each message whose number it lists, in that order.
    pub(super) fn of(facts: &Facts) -> Self {
        let mut verdict = Self::default();
        let mut by_contact: BTreeMap<usize, Vec<&Said>> = BTreeMap::new();
        for said in &facts.said {
            by_contact.entry(said.contact).or_default().push(said);
        }
        let mut answers: HashMap<&str, Vec<&Sent>> = HashMap::new();
        for sent in &facts.sent {
            answers.entry(&sent.to).or_default().push(sent);
        }
        for (contact, mut said) in by_contact {
            said.sort_by_key(|said| said.number);
            let answers = answers.remove(address(contact).as_str()).unwrap_or_default();
            verdict.judge(contact, &said, &answers, facts);
        }
        for (to, sent) in answers {
            verdict.unexplained(
                format!("{} messages to {to}, who wrote nothing", sent.len()),
                None,
            );
        }
        for sent in facts.sent.iter().filter(|sent| !facts.ours.contains(&sent.sid)) {
            verdict.unexplained(
                format!(
                    "{} to {} is in the vendor's book and not in ours",
                    sent.sid, sent.to
                ),
                None,
            );
        }
        let known: HashSet<_> = facts.sent.iter().map(|sent| &sent.sid).collect();
        for sid in facts.ours.iter().filter(|sid| !known.contains(sid)) {
            verdict.unexplained(format!("{sid} is in our book and not in the vendor's"), None);
        }
        for (sid, run) in &facts.runs {
            verdict.look_at(sid, run);
        }
        verdict.findings.sort_by_key(|finding| finding.kind);
        verdict
    }

    pub(super) fn count(&self, kind: Kind) -> usize {
        self.findings
            .iter()
            .filter(|finding| finding.kind == kind)
            .count()
    }

    pub(super) fn unexplained(&mut self, told: String, sid: Option<&str>) {
        self.find(Kind::Unexplained, told, sid);
    }

    fn find(&mut self, kind: Kind, told: String, sid: Option<&str>) {
        self.findings.push(Finding {
            kind,
            told,
            sid: sid.map(str::to_owned),
        });
    }

    /// The answers to one contact, in the vendor's order, against what the contact said, in order.
    fn judge(&mut self, contact: usize, said: &[&Said], answers: &[&Sent], facts: &Facts) {
        let sids: HashMap<u32, &str> = said.iter().map(|said| (said.number, said.sid.as_str())).collect();
        let (mut times, mut latest) = (BTreeMap::<u32, u32>::new(), 0);
        for sent in answers {
            let listed = numbers(&sent.body);
            if listed.is_empty() {
                self.unexplained(
                    format!(
                        "contact {contact} was told what answers no message: {:?}",
                        sent.body
                    ),
                    None,
                );
            }
            for number in listed {
                let again = times.entry(number).or_default();
                *again += 1;
                match sids.get(&number) {
                    None => self.unexplained(
                        format!("contact {contact} got an answer to #{number}, which was never sent"),
                        None,
                    ),
                    Some(_) if *again > 1 => {}
                    Some(sid) if number < latest => self.find(
                        Kind::Reordered,
                        format!("contact {contact}: #{number} was answered after #{latest}"),
                        Some(sid),
                    ),
                    Some(_) => latest = number,
                }
            }
        }
        for said in said {
            let run = facts.runs.get(&said.sid);
            let told = format!(
                "contact {contact}: #{} was answered {} times; its run: {}",
                said.number,
                times.get(&said.number).copied().unwrap_or(0),
                run.map_or_else(|| "there is none".to_owned(), state),
            );
            match (times.get(&said.number), run) {
                (Some(1), _) => {}
                (Some(_), _) => self.find(Kind::Doubled, told, Some(&said.sid)),
                (None, Some(run)) if documented(run).is_some() => {}
                (None, Some(run)) if goes_on(run) => self.find(Kind::Unfinished, told, Some(&said.sid)),
                (None, _) if said.acknowledged => self.find(Kind::Lost, told, Some(&said.sid)),
                (None, Some(_)) => self.find(Kind::Lost, told, Some(&said.sid)),
                (None, None) => {}
            }
            if !said.acknowledged {
                self.unexplained(
                    format!("contact {contact}: #{} was never acknowledged", said.number),
                    Some(&said.sid),
                );
            }
        }
    }

    /// A run that is neither finished nor parked for a documented reason.
    fn look_at(&mut self, sid: &str, run: &Run) {
        match (run.state, documented(run)) {
            (RunState::Completed, _) => {}
            (RunState::Parked, Some(why)) => {
                self.parked.push(format!(
                    "{} ({why}): {}",
                    run.id,
                    run.error.as_deref().unwrap_or("-")
                ));
            }
            _ if run.waiting_for.is_none() || run.state == RunState::Parked => {
                self.unexplained(format!("{}: {}", run.id, state(run)), Some(sid));
            }
            // It says what it waits for; that its message is not answered was counted above.
            _ => {}
        }
    }
}

/// What a run says of itself, without the texts of its message.
fn state(run: &Run) -> String {
    format!(
        "{} is {}{}, waits for {} since {}, attempt {}, epoch {}, {}",
        run.id,
        run.state.as_str(),
        run.outcome
            .as_deref()
            .map(|word| format!(" ({word})"))
            .unwrap_or_default(),
        run.waiting_for.as_deref().unwrap_or("nothing that it tells"),
        run.since.format("%H:%M:%S%.3f"),
        run.attempt,
        run.epoch,
        run.error.as_deref().unwrap_or("no error"),
    )
}

/// Whether a run is not at its end, and says what it waits for.
fn goes_on(run: &Run) -> bool {
    !run.state.is_final() && run.state != RunState::Parked && run.waiting_for.is_some()
}

/// Why a parked run waits for a person, if that is a documented reason.
fn documented(run: &Run) -> Option<&'static str> {
    let class = run.error.as_deref()?.split(':').next()?;
    let known = DOCUMENTED.iter().find(|(word, _)| *word == class);
    known
        .filter(|_| run.state == RunState::Parked)
        .map(|(_, why)| *why)
}

/// The numbers of the messages that an answer lists, each once.
fn numbers(body: &str) -> Vec<u32> {
    let mut seen = BTreeSet::new();
    let mut listed: Vec<u32> = body
        .split('#')
        .skip(1)
        .filter_map(|rest| {
            rest.split(|letter: char| !letter.is_ascii_digit())
                .next()?
                .parse()
                .ok()
        })
        .collect();
    listed.retain(|number| seen.insert(*number));
    listed
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What contact 0 is told, for messages 1 to 3, all acknowledged; each body is a message of ours.
    fn judged(bodies: &[&str]) -> Verdict {
        let said = (1..=3).map(|number| Said {
            contact: 0,
            number,
            sid: format!("SM{number}"),
            acknowledged: true,
        });
        let sent: Vec<_> = bodies
            .iter()
            .enumerate()
            .map(|(index, body)| Sent {
                sid: format!("SMout{index}"),
                to: address(0),
                body: (*body).to_owned(),
            })
            .collect();
        Verdict::of(&Facts {
            said: said.collect(),
            ours: sent.iter().map(|sent| sent.sid.clone()).collect(),
            sent,
            runs: HashMap::new(),
        })
    }

    fn counts(verdict: &Verdict) -> [usize; 5] {
        Kind::ALL.map(|kind| verdict.count(kind))
    }

    #[test]
    fn each_answered_once_in_order_is_nothing_to_tell() {
        assert_eq!(counts(&judged(&["said #1", "said #2", "said #3"])), [0; 5]);
    }

    #[test]
    fn an_answer_counts_for_every_message_that_it_lists() {
        assert_eq!(counts(&judged(&["said #1", "said #2\n#3"])), [0; 5]);
        assert_eq!(counts(&judged(&["said #1", "said #3\n#2"])), [0, 0, 1, 0, 0]);
    }

    #[test]
    fn what_is_lost_doubled_reordered_or_strange_is_counted() {
        assert_eq!(counts(&judged(&["said #1", "said #3"])), [1, 0, 0, 0, 0]);
        assert_eq!(
            counts(&judged(&["said #1", "said #1", "said #2", "said #3"])),
            [0, 1, 0, 0, 0]
        );
        assert_eq!(
            counts(&judged(&["said #2", "said #1", "said #3"])),
            [0, 0, 1, 0, 0]
        );
        assert_eq!(
            counts(&judged(&["said #1", "said #2", "said #3", "hello"])),
            [0, 0, 0, 0, 1]
        );
        assert_eq!(
            counts(&judged(&["said #1", "said #2", "said #3", "said #4"])),
            [0, 0, 0, 0, 1]
        );
    }

    #[test]
    fn what_only_one_book_has_is_unexplained() {
        let mut facts = Facts {
            ours: HashSet::from(["SM1".to_owned()]),
            ..Facts::default()
        };
        assert_eq!(counts(&Verdict::of(&facts)), [0, 0, 0, 0, 1]);
        facts.said.push(Said {
            contact: 0,
            number: 1,
            sid: "SMin".to_owned(),
            acknowledged: true,
        });
        facts.sent.push(Sent {
            sid: "SM2".to_owned(),
            to: address(0),
            body: "said #1".to_owned(),
        });
        assert_eq!(counts(&Verdict::of(&facts)), [0, 0, 0, 0, 2]);
    }
}
