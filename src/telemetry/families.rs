//! Every family of metrics: what docs/METRICS.md lists, what /metrics describes, and what is there from the start.
use Kind::{Counter, Gauge, Histogram};
use Owner::{Every, Front, Worker};
use Values::{Activities, Build, Classes, Codes, Process, Providers, Reasons, Statuses, Words, Workflows};

/// Numbers of one name.
pub(crate) struct Family {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    pub(crate) unit: &'static str,
    pub(crate) labels: &'static [(&'static str, Values)],
    pub(crate) owner: Owner,
    pub(crate) meaning: &'static str,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Counter,
    Gauge,
    Histogram,
}

/// Which processes have a family from their start. Another may have it once there is something to count.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Owner {
    Front,
    Worker,
    Every,
}

/// What a label can say. Invariant: nothing that somebody outside chooses, so that the series stay few.
#[derive(Clone, Copy)]
pub(crate) enum Values {
    /// One of these.
    Words(&'static [&'static str]),
    /// One of these, or the class of an error: a hundred a process, then `other`.
    Classes(&'static [&'static str]),
    Activities,
    Build,
    /// Twilio's error codes that we know, `other`, or 0.
    Codes,
    Process,
    Providers,
    Reasons,
    Statuses,
    Workflows,
}

/// Codes that somebody is woken for: the carrier's filter, and the daily limit.
pub(crate) const CODES: &[&str] = &["0", "30007", "63038"];

const WEBHOOK: (&str, Values) = (
    "webhook",
    Words(&["inbound", "status", "voice", "call_status", "recording_status"]),
);
const WORKFLOW: (&str, Values) = ("workflow", Workflows);
const ACTIVITY: (&str, Values) = ("activity", Activities);
const PROVIDER: (&str, Values) = ("provider", Providers);
const CODE: (&str, Values) = ("code", Codes);
const OUTCOME: (&str, Values) = (
    "outcome",
    Words(&[
        "anonymous",
        "answered",
        "begun",
        "called",
        "cancelled",
        "given_up",
        "handed_over",
        "in_order",
        "kept",
        "left",
        "left_to_people",
        "lost",
        "measured",
        "mended",
        "merged",
        "not_sent",
        "partly_sent",
        "recorded",
        "redirected",
        "refused",
        "sent",
        "silent",
        "terminated",
        "unfinished",
        "unknown",
        "unread",
        "voicemail",
        "withheld",
    ]),
);

#[rustfmt::skip]
pub(crate) const FAMILIES: &[Family] = &[
    // Processes.
    family("recado_up", Gauge, "", &[("build", Build), ("process", Process)], Every, "1 while the process lives"),
    family("process_start_time_seconds", Gauge, "Unix time in seconds", &[], Every, "when the process started; each change is a restart"),
    family("process_resident_memory_bytes", Gauge, "bytes", &[], Every, "memory that the process holds; Linux alone tells it"),
    family("process_open_fds", Gauge, "files", &[], Every, "open files and connections; Linux alone tells them"),
    family("recado_workers_alive", Gauge, "processes", &[], Every, "workers with a heartbeat within the lease, whichever process they are in"),
    family("recado_worker_runs", Gauge, "runs", &[], Worker, "runs in the memory of this worker"),
    family("recado_worker_places", Gauge, "runs", &[], Worker, "runs that this worker takes at the same time"),
    family("recado_live_readers", Gauge, "streams", &[], Front, "open streams of live pages"),
    family("recado_spans_total", Counter, "spans", &[("result", Words(&["exported", "failed", "dropped"]))], Every, "spans of traces; `failed` where the collector did not take them, `dropped` where the queue was full; nothing without OTEL_EXPORTER_OTLP_ENDPOINT"),
    // Webhooks.
    family("recado_webhooks_accepted_total", Counter, "webhooks", &[WEBHOOK], Front, "webhooks taken, repeats included"),
    family("recado_webhooks_rejected_total", Counter, "webhooks", &[("reason", Reasons)], Front, "webhooks turned away"),
    family("recado_webhook_ack_seconds", Histogram, "seconds", &[WEBHOOK], Front, "until a webhook was on the disk and acknowledged"),
    // Runs.
    family("recado_runs_started_total", Counter, "runs", &[WORKFLOW], Every, "runs started"),
    family("recado_runs_finished_total", Counter, "runs", &[WORKFLOW, OUTCOME], Every, "runs ended"),
    family("recado_run_seconds", Histogram, "seconds", &[WORKFLOW, OUTCOME], Worker, "from a run's start to its end in a worker's hands; with the outcome `answered`, how long the contact waited"),
    family("recado_runs_parked_total", Counter, "runs", &[WORKFLOW, ("class", Classes(&["unknown_fate"]))], Worker, "runs that cannot go on without a person"),
    family("recado_runs_open", Gauge, "runs", &[("state", Words(&["queued", "running", "waiting", "parked"]))], Every, "unfinished runs"),
    family("recado_runs_taken_over_total", Counter, "runs", &[], Worker, "runs taken over from silent workers, by this one"),
    family("recado_runs_purged_total", Counter, "runs", &[], Worker, "finished runs deleted because they are no longer kept, by this one"),
    // Lanes and queue.
    family("recado_runs_oldest_queued_seconds", Gauge, "seconds", &[], Every, "how long the oldest queued run has waited for a worker, 0 without one"),
    family("recado_lanes_backlog", Gauge, "runs", &[], Every, "runs that wait for their turn behind an earlier message of their contact"),
    family("recado_lanes_oldest_seconds", Gauge, "seconds", &[], Every, "how long the one that has waited longest for its turn has, 0 without one"),
    family("recado_wakeup_seconds", Histogram, "seconds", &[], Worker, "from when a run was ready until this worker claimed it; a run that its own process takes up at once is not counted"),
    family("recado_bells_rung_total", Counter, "bells", &[], Every, "wake-ups sent"),
    family("recado_bells_heard_total", Counter, "bells", &[], Worker, "wake-ups received"),
    family("recado_schedule_ticks_passed_total", Counter, "ticks", &[("why", Words(&["late", "overlap"]))], Worker, "ticks of schedules that started nothing"),
    // Activities.
    family("recado_activity_attempts_total", Counter, "attempts", &[ACTIVITY, ("result", Classes(&["ok", "timeout"]))], Worker, "attempts; `ok`, or the class of the error"),
    family("recado_activity_seconds", Histogram, "seconds", &[ACTIVITY], Worker, "time of an attempt, whatever its result"),
    // Twilio.
    family("recado_sends_total", Counter, "requests", &[("outcome", Words(&["accepted", "opted_out", "refused", "unknown", "unreachable"])), CODE], Worker, "requests to Twilio to send a message"),
    family("recado_messages_microdollars_total", Counter, "millionths of a dollar", &[("channel", Words(&["sms", "whatsapp"])), ("direction", Words(&["inbound", "outbound"]))], Worker, "what messages cost, roughly, by our own table of prices, as far as it knows the country; Twilio's bill is another number"),
    family("recado_calls_total", Counter, "requests", &[("outcome", Words(&["accepted", "refused", "unknown", "unreachable"])), CODE], Worker, "requests to Twilio to make a call"),
    family("recado_call_reports_total", Counter, "reports", &[("status", Words(&["queued", "initiated", "ringing", "in-progress", "completed", "busy", "failed", "no-answer", "canceled"])), CODE], Front, "what Twilio reported of calls, repeats included"),
    family("recado_status_reports_total", Counter, "reports", &[("status", Statuses), CODE], Front, "what Twilio reported of our messages, repeats included"),
    family("recado_mended_total", Counter, "messages and calls", &[("what", Words(&["message_status", "call_status", "inbound"]))], Worker, "what the daily comparison with Twilio's lists found: ends that were not reported, messages whose webhook never came"),
    family("recado_reconciles_total", Counter, "sends", &[("outcome", Words(&["did_not_happen", "given_up", "happened", "resent", "undecided"]))], Worker, "sends of unknown fate that were looked for"),
    // Models.
    family("recado_model_seconds", Histogram, "seconds", &[PROVIDER, ("result", Words(&["ok", "busy", "down", "garbage", "refused"]))], Worker, "time of a call of a model; its count is the number of calls"),
    family("recado_model_tokens_total", Counter, "tokens", &[PROVIDER, ("kind", Words(&["prompt", "completion"]))], Worker, "tokens read and written, where the provider counts them"),
    family("recado_model_fallbacks_total", Counter, "steps", &[("step", Words(&["ask_specialist", "route_agent"]))], Worker, "times the offline agent stood in because no model answered"),
    family("recado_media_fetched_total", Counter, "attempts", &[("outcome", Words(&["stored", "refused", "failed"]))], Worker, "attempts to fetch an attachment: kept; refused for good, for what it is or where; failed, to be tried again"),
    family("recado_media_purged_total", Counter, "attachments", &[], Worker, "attachments deleted because they are no longer kept, by this one"),
    family("recado_transcriptions_total", Counter, "attempts", &[("outcome", Words(&["heard", "failed"]))], Worker, "attempts to turn a voice note into text"),
    family("recado_transcription_seconds", Histogram, "seconds", &[], Worker, "time of an attempt to turn a voice note into text"),
    family("recado_typing_shown_total", Counter, "requests", &[("outcome", Words(&["shown", "failed"]))], Worker, "requests to show a contact that an answer is being written"),
    // The journal and the database.
    family("recado_journal_commits_total", Counter, "commits", &[], Every, "commits of the journal writer; on SQLite heartbeats and sweeps too"),
    family("recado_journal_rows_total", Counter, "rows", &[], Every, "rows that they wrote, without those of transactions; by commits, the size of a batch"),
    family("recado_journal_commit_seconds", Histogram, "seconds", &[], Every, "how long such a commit took"),
    family("recado_journal_errors_total", Counter, "commits", &[("why", Words(&["away", "refused"]))], Every, "commits that failed: repeated because the database was away, or refused by it for good"),
    family("recado_leases_lost_total", Counter, "writes", &[], Every, "writes refused because the run had changed hands"),
];

const fn family(
    name: &'static str,
    kind: Kind,
    unit: &'static str,
    labels: &'static [(&'static str, Values)],
    owner: Owner,
    meaning: &'static str,
) -> Family {
    Family {
        name,
        kind,
        unit,
        labels,
        owner,
        meaning,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::rejected::Reason;

    impl Family {
        /// Its row in docs/METRICS.md.
        fn row(&self) -> String {
            let kind = match self.kind {
                Counter => "counter",
                Gauge => "gauge",
                Histogram => "histogram",
            };
            let owner = match self.owner {
                Front => "front end",
                Worker => "worker",
                Every => "every",
            };
            let labels: Vec<_> = self.labels.iter().map(label).collect();
            let (name, unit, labels, meaning) = (self.name, self.unit, labels.join("; "), self.meaning);
            format!("| `{name}` | {kind} | {unit} | {labels} | {owner} | {meaning} |")
        }
    }

    fn label((name, values): &(&str, Values)) -> String {
        let words = |words: &[&str]| {
            let quoted: Vec<_> = words.iter().map(|word| format!("`{word}`")).collect();
            quoted.join(", ")
        };
        match values {
            Words(known) => format!("`{name}`: {}", words(known)),
            Classes(known) => format!("`{name}`: {}, or an error's class", words(known)),
            Reasons => format!("`{name}`: {}", words(&Reason::ALL.map(Reason::as_str))),
            Process => format!("`{name}`: `serve`, `worker`, `both`"),
            Codes => format!("`{name}`: Twilio's, if we know it, else `other`, or 0 for none"),
            Statuses => format!("`{name}`: Twilio's"),
            Providers => format!("`{name}`: those that are set, else `none`"),
            Workflows | Activities => format!("`{name}`: the durable names"),
            Build => format!("`{name}`"),
        }
    }

    #[test]
    fn the_documents_list_every_family_and_no_other() {
        let document = include_str!("../../docs/METRICS.md");
        let listed: Vec<_> = document.lines().filter(|line| line.starts_with("| `")).collect();
        let expected: Vec<_> = FAMILIES.iter().map(Family::row).collect();
        assert_eq!(
            listed,
            expected,
            "the table of docs/METRICS.md should be:\n{}",
            expected.join("\n")
        );
    }

    #[test]
    fn names_say_their_kind_and_unit_as_prometheus_wants_it() {
        for family in FAMILIES {
            let name = family.name;
            assert_eq!(family.kind == Counter, name.ends_with("_total"), "{name}");
            assert!(family.kind != Histogram || name.ends_with("_seconds"), "{name}");
        }
        let names: std::collections::BTreeSet<_> = FAMILIES.iter().map(|family| family.name).collect();
        assert_eq!(names.len(), FAMILIES.len(), "each is listed once");
    }
}
