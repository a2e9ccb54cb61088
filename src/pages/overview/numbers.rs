//! The counts of minutes, put together for the eye.
use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use recado_engine::Workflow;
use recado_store::minutes::Count;
use recado_workflows::InboundMessage;

use super::chart::{Chart, Series};
use crate::{
    overview::{ANSWERED, COST, ENDED, REFUSED, REPORTED, STARTED, TOKENS, WAITED, histogram},
    pages::moment,
    t,
    telemetry::RUN_SECONDS,
};

/// The statuses that a message goes through, in this order, and those in which it is lost.
const FUNNEL: [(&str, &str); 3] = [("sent", "sent"), ("delivered", "delivered"), ("read", "read")];
const LOST: [(&str, &str); 2] = [("undelivered", "undelivered"), ("failed", "failed")];
/// The most lines of a list.
const LINES: usize = 8;

/// What happened within a range.
pub(super) struct Numbers {
    steps: Vec<Step>,
    pub(super) messages: i64,
    pub(super) answers: i64,
    pub(super) p50: String,
    pub(super) p99: String,
    pub(super) cost: String,
    pub(super) tokens: i64,
    pub(super) funnel: Vec<Bar>,
    pub(super) ends: Vec<Bar>,
    pub(super) codes: Vec<Bar>,
}

/// What happened in a few minutes.
#[derive(Clone)]
struct Step {
    at: DateTime<Utc>,
    minutes: i64,
    messages: i64,
    answers: i64,
    waited: Vec<i64>,
    /// SMS and WhatsApp, in millionths of a dollar.
    cost: [i64; 2],
    /// Those that models read, and those that they wrote.
    tokens: [i64; 2],
}

/// A number as a bar, as long as its share of the largest.
pub(super) struct Bar {
    pub(super) name: String,
    pub(super) n: i64,
    pub(super) width: String,
    pub(super) bad: bool,
}

impl Numbers {
    /// `end` is the end of the last minute that is counted.
    pub(super) fn of(counts: &[Count], end: DateTime<Utc>, minutes: i64, step: i64) -> Self {
        let from = end - TimeDelta::minutes(minutes);
        let empty = vec![0; RUN_SECONDS.len() + 1];
        let mut steps: Vec<_> = (0..minutes / step)
            .map(|number| Step {
                at: from + TimeDelta::minutes(number * step),
                minutes: step,
                messages: 0,
                answers: 0,
                waited: empty.clone(),
                cost: [0; 2],
                tokens: [0; 2],
            })
            .collect();
        let inbound = InboundMessage::NAME;
        let answered = format!("{inbound}/{ANSWERED}");
        let (mut ends, mut reports, mut codes) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        for count in counts {
            let behind = (count.at - from).num_minutes();
            let place = usize::try_from(behind.div_euclid(step)).ok();
            let Some(step) = place.and_then(|place| steps.get_mut(place)) else {
                continue;
            };
            match count.measure.as_str() {
                STARTED if count.label == inbound => step.messages += count.n,
                ENDED => {
                    if count.label == answered {
                        step.answers += count.n;
                    }
                    *ends.entry(count.label.as_str()).or_insert(0) += count.n;
                }
                WAITED => {
                    let bucket = count.label.parse::<usize>().ok();
                    if let Some(n) = bucket.and_then(|bucket| step.waited.get_mut(bucket)) {
                        *n += count.n;
                    }
                }
                COST => step.cost[usize::from(count.label != "sms")] += count.n,
                TOKENS => step.tokens[usize::from(count.label != "prompt")] += count.n,
                REPORTED => *reports.entry(count.label.as_str()).or_insert(0) += count.n,
                REFUSED => *codes.entry(count.label.as_str()).or_insert(0) += count.n,
                _ => {}
            }
        }
        let waited = steps.iter().fold(empty, |mut all, step| {
            all.iter_mut().zip(&step.waited).for_each(|(all, n)| *all += n);
            all
        });
        let funnel = |(status, word): (&str, &str), bad| {
            (t(word).to_owned(), reports.get(status).copied().unwrap_or(0), bad)
        };
        let funnel = FUNNEL.into_iter().map(|one| funnel(one, false));
        let lost = LOST.into_iter().map(|(status, word)| {
            (
                t(word).to_owned(),
                reports.get(status).copied().unwrap_or(0),
                true,
            )
        });
        Self {
            messages: steps.iter().map(|step| step.messages).sum(),
            answers: steps.iter().map(|step| step.answers).sum(),
            p50: told(histogram::quantile(0.5, &waited)),
            p99: told(histogram::quantile(0.99, &waited)),
            cost: format!(
                "US$ {}",
                amount_of(steps.iter().flat_map(|step| step.cost).sum::<i64>() as f64 / 1e6)
            ),
            tokens: steps.iter().flat_map(|step| step.tokens).sum(),
            funnel: bars(funnel.chain(lost).collect()),
            ends: bars(largest(ends)),
            codes: bars(largest(codes)),
            steps,
        }
    }

    pub(super) fn charts(&self) -> Vec<Chart> {
        let each = |of: fn(&Step) -> Option<f64>| self.steps.iter().map(of).collect::<Vec<_>>();
        let times: Vec<_> = self.steps.iter().map(|step| step.at).collect();
        let rate = |n: i64, minutes: i64| Some(n as f64 / minutes.max(1) as f64);
        let hourly =
            |of: fn(&Step) -> f64| each_of(&self.steps, |step| of(step) * 60.0 / step.minutes.max(1) as f64);
        let of_messages = self.steps.iter().map(|step| rate(step.messages, step.minutes));
        let of_answers = self.steps.iter().map(|step| rate(step.answers, step.minutes));
        vec![
            Chart::new(
                "traffic",
                t("Messages and answers a minute"),
                &times,
                vec![
                    Series::new(t("messages"), of_messages.collect()),
                    Series::new(t("answers"), of_answers.collect()),
                ],
                |n| format!("{n:.1}").trim_end_matches(".0").to_owned(),
            ),
            Chart::new(
                "time-to-answer",
                t("Time to answer"),
                &times,
                vec![
                    Series::new(
                        t("half of them within"),
                        each(|step| histogram::quantile(0.5, &step.waited)),
                    ),
                    Series::new(
                        t("99 % within"),
                        each(|step| histogram::quantile(0.99, &step.waited)),
                    ),
                ],
                |seconds| told(Some(seconds)),
            ),
            Chart::new(
                "cost",
                t("What messages cost an hour, roughly, in US dollars"),
                &times,
                vec![
                    Series::new("SMS", hourly(|step| step.cost[0] as f64 / 1e6)),
                    Series::new("WhatsApp", hourly(|step| step.cost[1] as f64 / 1e6)),
                ],
                amount_of,
            ),
            Chart::new(
                "tokens",
                t("Tokens of models an hour"),
                &times,
                vec![
                    Series::new(t("tokens read"), hourly(|step| step.tokens[0] as f64)),
                    Series::new(t("tokens written"), hourly(|step| step.tokens[1] as f64)),
                ],
                |n| format!("{n:.1}").trim_end_matches(".0").to_owned(),
            ),
        ]
    }
}

fn each_of(steps: &[Step], of: impl Fn(&Step) -> f64) -> Vec<Option<f64>> {
    steps.iter().map(|step| Some(of(step))).collect()
}

/// An amount with as many digits as tell something: cents, or, of less than one dollar, hundredths of them.
fn amount_of(dollars: f64) -> String {
    match dollars {
        0.0 => "0".to_owned(),
        1.0.. => format!("{dollars:.2}"),
        _ => {
            let told = format!("{dollars:.4}");
            told.strip_suffix("00").unwrap_or(&told).to_owned()
        }
    }
}

/// Seconds, as a person reads them; a dash for none.
fn told(seconds: Option<f64>) -> String {
    seconds.map_or_else(
        || "–".to_owned(),
        |seconds| moment::duration((seconds * 1e6) as i64),
    )
}

fn largest(counts: BTreeMap<&str, i64>) -> Vec<(String, i64, bool)> {
    let mut counts: Vec<_> = counts
        .into_iter()
        .map(|(name, n)| (name.to_owned(), n, false))
        .collect();
    counts.sort_by_key(|(_, n, _)| std::cmp::Reverse(*n));
    counts.truncate(LINES);
    counts
}

fn bars(counts: Vec<(String, i64, bool)>) -> Vec<Bar> {
    let most = counts.iter().map(|(_, n, _)| *n).max().unwrap_or(0).max(1);
    let bar = |(name, n, bad): (String, i64, bool)| Bar {
        width: format!("{:.1}", 200.0 * n as f64 / most as f64),
        name,
        n,
        bad,
    };
    counts.into_iter().map(bar).collect()
}
