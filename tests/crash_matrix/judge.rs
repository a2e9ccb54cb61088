//! What came of a cell, counted from the vendor's book and from ours.
use sea_orm::DatabaseConnection;

use crate::{
    attempt::{Attempt, Outcome},
    everything,
    plan::Scenario,
    slot::texts,
    verdict::Counts,
};

impl Attempt<'_> {
    /// Counts what must not be.
    pub(crate) async fn judge(&self, outcome: &mut Outcome) {
        let db = self.world().database.connect().await;
        match self.row.scenario {
            Scenario::Everything => self.judge_effects(&db, outcome).await,
            _ => self.judge_answers(&db, outcome).await,
        }
        // What holds at the end of whatever happened.
        let wrong = [
            (
                "a run did not end",
                "select id, state, waiting_for, error from runs where state not in ('completed', 'cancelled')",
            ),
            (
                "a journal has a gap",
                "select run from journal group by run having max(seq) <> count(*)",
            ),
            ("a place in a lane was left behind", "select run from lane_places"),
        ];
        for (what, sql) in wrong {
            match texts(&db, sql).await {
                Ok(rows) if rows.is_empty() => {}
                found => {
                    outcome.counts.other += usize::from(outcome.counts.stuck == 0);
                    outcome.told.push(format!("{what}: {found:?}"));
                }
            }
        }
    }

    /// Every message answered once, in order; a cancelled one not at all. The vendor's book agrees with ours.
    async fn judge_answers(&self, db: &DatabaseConnection, outcome: &mut Outcome) {
        let expected: Vec<_> = (1..=self.row.scenario.goes_out())
            .map(|number| number.to_string())
            .collect();
        let gone = self.gone_out();
        let done: Vec<_> = gone.iter().map(|(_, number)| number.clone()).collect();
        let mut theirs: Vec<_> = gone.iter().map(|(sid, _)| vec![sid.clone()]).collect();
        theirs.sort();
        theirs.dedup();
        let mut counts = Counts::of(&expected, &done);
        match self.row.scenario {
            Scenario::Cancelled => {
                let states = texts(db, "select state from runs").await.unwrap_or_default();
                counts = Counts {
                    lost: usize::from(states != [["cancelled"]]),
                    doubled: theirs.len(),
                    ..Counts::default()
                };
            }
            // Two people are written to in no particular order.
            Scenario::Campaign => counts.reordered = 0,
            _ => {}
        }
        outcome.counts.add(&counts);
        let agrees = self.agrees_with_our_books(db, &theirs).await;
        outcome.counts.other += agrees.len();
        outcome.told.extend(agrees);
        if !outcome.counts.is_zero() {
            outcome
                .told
                .push(format!("went out: {gone:?}, runs: {}", self.runs().await));
        }
    }

    /// What in our books is not as the vendor has it.
    async fn agrees_with_our_books(&self, db: &DatabaseConnection, theirs: &[Vec<String>]) -> Vec<String> {
        let sids = match self.row.scenario {
            Scenario::Call => "select twilio_sid from calls order by 1",
            _ => {
                "select twilio_sid from messages where direction = 'outbound' and twilio_sid is not null order by 1"
            }
        };
        let mut asked = vec![(sids, theirs.to_vec())];
        let word = |word: &str| vec![word.to_owned()];
        match self.row.scenario {
            Scenario::Attachment => asked.push(("select state from media", vec![word("stored")])),
            Scenario::Campaign => {
                asked.push(("select state from campaigns", vec![word("completed")]));
                asked.push((
                    "select state from campaign_rows",
                    vec![word("sent"), word("sent")],
                ));
            }
            _ => {}
        }
        let mut wrong = Vec::new();
        for (sql, expected) in asked {
            let ours = texts(db, sql).await.unwrap_or_default();
            if ours != expected {
                wrong.push(format!("{sql}: {ours:?}, and not {expected:?}"));
            }
        }
        wrong
    }

    async fn judge_effects(&self, db: &DatabaseConnection, outcome: &mut Outcome) {
        let noted = texts(db, "select what from effects order by id")
            .await
            .unwrap_or_default();
        let noted: Vec<_> = noted.into_iter().flatten().collect();
        let letters = everything::book(&self.vendor, "letters");
        // Repeating a call under its key is harmless; another key is another call.
        let mut keys = everything::book(&self.vendor, "posts");
        keys.sort();
        keys.dedup();
        let posted: Vec<_> = keys
            .iter()
            .filter_map(|line| Some(line.split('\t').next()?.to_owned()))
            .collect();
        let of_notes = Counts {
            // Runs of different lanes note in no particular order.
            reordered: 0,
            ..Counts::of(&everything::effects(), &noted)
        };
        outcome.counts.add(&of_notes);
        outcome.counts.add(&Counts::of(&everything::posts(), &posted));
        outcome.counts.add(&Counts::of(&everything::letters(), &letters));
        if !outcome.counts.is_zero() {
            outcome.told.push(format!(
                "noted {noted:?}, posted {posted:?}, letters {letters:?}, runs: {}",
                self.runs().await
            ));
        }
    }
    /// What the runs say of themselves.
    pub(crate) async fn runs(&self) -> String {
        let db = self.world().database.connect().await;
        let sql = "select state, outcome, waiting_for, error from runs order by id";
        texts(&db, sql)
            .await
            .map_or_else(|error| error.to_string(), |runs| format!("{runs:?}"))
    }
}
