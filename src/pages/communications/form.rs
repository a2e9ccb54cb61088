//! What the forms of these pages share: each has a key that names it for ever, so that sent twice it acts once.
use std::collections::HashMap;

use poem::{http::StatusCode, web::Multipart};
use recado_store::senders::Senders;
use tokio::io::AsyncReadExt;
use ulid::Ulid;

use crate::http::Problem;

/// The key of a new form.
pub(super) fn fresh() -> String {
    format!("page-{}", Ulid::generate())
}

/// The key that a form came with.
pub(super) fn named(key: &str) -> String {
    match key {
        "" => fresh(),
        key => key.chars().take(100).collect(),
    }
}

/// The key of a form that was answered so. Only what certainly did not go is something else when it is sent next: under
/// the key that it had, anything else goes once at most, however often it is sent.
pub(super) fn after(key: String, problem: &Problem) -> String {
    match problem.is_unsent() {
        true => fresh(),
        false => key,
    }
}

/// What a person wrote into a field, if anything.
pub(super) fn given(text: &str) -> Option<String> {
    Some(text.trim().to_owned()).filter(|text| !text.is_empty())
}

/// A time of a browser's field, which has no zone: it is one of the clocks of UTC, as the form says.
pub(super) fn moment(text: &str) -> Option<String> {
    given(text).map(|at| format!("{at}:00Z"))
}

/// A form with a file, by the names of its fields; each has at most `largest` bytes.
///
/// # Errors
/// When it cannot be read, or is no text.
pub(super) async fn fields(mut form: Multipart, largest: usize) -> Result<HashMap<String, String>, Problem> {
    let unread =
        |error: &dyn std::fmt::Display| Problem::bad_request(format!("the form cannot be read: {error}"));
    let mut fields = HashMap::new();
    while let Some(field) = form.next_field().await.map_err(|error| unread(&error))? {
        let name = field.name().unwrap_or_default().to_owned();
        let mut bytes = Vec::new();
        let mut reader = field.into_async_read().take(largest as u64 + 1);
        let read = reader.read_to_end(&mut bytes).await;
        read.map_err(|error| unread(&error))?;
        if bytes.len() > largest {
            let told = format!("the file has more than {largest} bytes; split it");
            return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, told));
        }
        let text = String::from_utf8(bytes).map_err(|_| {
            Problem::unprocessable("rows", crate::t("The file is not UTF-8; save it as “CSV UTF-8”"))
        })?;
        fields.insert(name, text);
    }
    Ok(fields)
}

/// The rows of a form that takes them as a file, or pasted where there is none.
pub(super) fn rows(fields: &mut HashMap<String, String>) -> String {
    let mut of = |name| fields.remove(name).filter(|text| !text.trim().is_empty());
    of("file").or_else(|| of("rows")).unwrap_or_default()
}

/// From where an owner can write.
pub(super) fn senders(senders: &Senders) -> Vec<String> {
    let services = senders.services.iter().map(|service| service.sid.clone());
    numbers(senders).into_iter().chain(services).collect()
}

/// From where an owner can write or call.
pub(super) fn numbers(senders: &Senders) -> Vec<String> {
    let numbers = senders.numbers.iter();
    numbers.map(|sender| sender.address.to_twilio()).collect()
}

/// What was wrong with what a person wanted to send.
pub(super) struct Wrong {
    pub(super) field: String,
    pub(super) told: String,
    /// Whether it, or a part of it, may have gone.
    pub(super) unclear: bool,
    pub(super) run: Option<String>,
}

impl Wrong {
    pub(super) fn of(problem: &Problem) -> Self {
        Self {
            field: problem.field().unwrap_or_default().to_owned(),
            told: problem.to_string(),
            unclear: !problem.is_unsent(),
            run: problem.run().map(str::to_owned),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_keeps_its_key_unless_nothing_of_it_went() {
        let keeps = |problem: &Problem| after("page-1".to_owned(), problem) == "page-1";
        let problem = |status| Problem::new(status, "no");
        for unclear in [
            Problem::away(),
            problem(StatusCode::INTERNAL_SERVER_ERROR),
            problem(StatusCode::BAD_GATEWAY),
            problem(StatusCode::CONFLICT).with("run", "01R"),
            problem(StatusCode::UNPROCESSABLE_ENTITY)
                .with("run", "01R")
                .with("sids", vec!["SM1"]),
            problem(StatusCode::BAD_GATEWAY)
                .with("run", "01R")
                .with("sids", vec!["SM1"]),
        ] {
            assert!(keeps(&unclear), "{unclear:?}");
            assert!(Wrong::of(&unclear).unclear);
        }
        for unsent in [
            Problem::unprocessable("to", "no"),
            Problem::too_many("no", 3),
            problem(StatusCode::PAYMENT_REQUIRED).with("run", "01R"),
            problem(StatusCode::UNPROCESSABLE_ENTITY)
                .with("run", "01R")
                .with("code", 21_211),
            problem(StatusCode::BAD_GATEWAY).with("run", "01R"),
        ] {
            assert!(!keeps(&unsent), "{unsent:?}");
        }
    }
}
