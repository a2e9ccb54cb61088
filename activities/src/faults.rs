//! What an error of the store or of Twilio means for a step.
use recado_clients::twilio::{self, TwilioError, Uncertainty};
use recado_engine::{Failure, Fault};
use recado_store::StoreError;

/// A statement that failed left nothing behind; what is inconsistent does not mend itself.
pub(crate) fn of_store(error: StoreError) -> Fault {
    match error {
        StoreError::Db(error) => error.into(),
        other => Fault::fatal("store", other.to_string()),
    }
}

/// Twilio's error code, of a failure that is Twilio's refusal.
pub fn twilio_code(failure: &Failure) -> Option<i64> {
    failure.class.strip_prefix("twilio_")?.parse().ok()
}

/// A request that asks Twilio for something, told apart by whether it may have happened.
pub(crate) fn of_twilio(error: &TwilioError) -> Fault {
    match error {
        TwilioError::Refused {
            status,
            code,
            class,
            retry_after,
            ..
        } => {
            let name = code.map_or_else(
                || format!("twilio_http_{status}"),
                |code| format!("twilio_{code}"),
            );
            let told = told(error, *code);
            if class.may_pass_later() {
                Fault::retry_after(name, told, *retry_after)
            } else {
                Fault::fatal(name, told)
            }
        }
        TwilioError::Unreachable { .. } => Fault::retry("twilio_unreachable", error.to_string()),
        // A gateway too may have ceased to wait for those behind it.
        TwilioError::Unknown(
            Uncertainty::TimedOut
            | Uncertainty::ServerError {
                status: 502 | 504, ..
            },
        ) => Fault::unanswered("twilio_unknown", error.to_string()),
        TwilioError::Unknown(_) => Fault::unknown("twilio_unknown", error.to_string()),
    }
}

/// Twilio's words, and where we know its code, what it means and what a person can do.
fn told(error: &TwilioError, code: Option<u32>) -> String {
    match code.and_then(twilio::known) {
        Some(known) => {
            let error = error.to_string();
            format!("{}. It means: {}", error.trim_end_matches('.'), known.told())
        }
        None => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use recado_clients::twilio::ErrorClass;

    use super::*;

    #[test]
    fn a_refusal_keeps_twilios_error_code() {
        let refused = |code| TwilioError::Refused {
            status: 400,
            code,
            message: "no".to_owned(),
            class: ErrorClass::Retry,
            retry_after: None,
        };
        let code = |error: &TwilioError| twilio_code(of_twilio(error).failure());
        assert_eq!(code(&refused(Some(21211))), Some(21211));
        assert_eq!(code(&refused(None)), None);
        let told = of_twilio(&refused(Some(21211))).failure().message.clone();
        assert!(told.ends_with("Correct the contact's number."), "{told}");
    }
}
