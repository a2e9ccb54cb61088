//! What classes of faults mean, and what a person can do.
use recado_clients::twilio;

use crate::t;

/// What `class` means and what helps; nothing, where the message says as much as we know.
pub(super) fn of(class: &str) -> Option<String> {
    if let Some(code) = class.strip_prefix("twilio_").and_then(|code| code.parse().ok()) {
        return twilio::known(code).map(twilio::KnownError::told);
    }
    let told = match class {
        "timeout" => t(
            "It gave no answer within its time. A call that may have gone out is looked for before it is repeated.",
        ),
        "panic" => t("The code of the step broke off. Mend it, deploy, and retry: what was done is kept."),
        "replay_mismatch" => t(
            "This build asks for other steps than the journal has. Deploy a build that fits it, or fork from an event before the difference.",
        ),
        "unreadable" => t(
            "What is recorded cannot be read: by this build, or because the owner's key was erased. Retry with a build that knows it.",
        ),
        "too_large" => {
            t("A document is larger than may be kept. Make what the step returns smaller, or skip the step.")
        }
        "exhausted" => {
            t("All its attempts failed. Mend what they name, and retry: it gets all its attempts anew.")
        }
        "unknown_fate" => {
            t("Nobody can tell whether it happened. Look for it at the vendor, and say so above.")
        }
        "lease" => {
            t("The worker was too slow to be sure of its run, and did nothing. Another attempt follows.")
        }
        "unknown_workflow" => t("This build has no such workflow. Deploy one that has it, and retry."),
        "twilio_unreachable" => t(
            "Twilio could not be reached, so nothing was sent. See its status page, and the network from here.",
        ),
        "twilio_unknown" => t(
            "Twilio's answer was lost, so the message may have gone out. It is looked for before it is repeated.",
        ),
        "no_credentials" => {
            t("The owner no longer holds this Twilio account. Give it back, or fork with another.")
        }
        "over_quota" => t("The owner's plan is used up. Change the plan, and retry."),
        "model_refused" => t("The model's provider refuses the request: see its key and its model's name."),
        _ => return None,
    };
    Some(told.to_owned())
}
