//! Errors as `application/problem+json` (RFC 9457), or as a page for a browser.
use poem::{
    Body, Response,
    error::ResponseError,
    http::{StatusCode, header},
};
use recado_engine::{ControlError, ScheduleError, StartError, StorageError};
use recado_store::StoreError;
use serde_json::{Map, Value, json};

/// What is wrong, and what to do about it.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{detail}")]
pub(crate) struct Problem {
    status: StatusCode,
    detail: String,
    field: Option<String>,
    retry_after: Option<u64>,
    /// On the heap, so that what may fail with it stays small.
    more: Box<Map<String, Value>>,
}

impl Problem {
    pub(crate) fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self {
            status,
            detail: detail.into(),
            field: None,
            retry_after: None,
            more: Box::default(),
        }
    }

    pub(crate) fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail)
    }

    /// A field whose value cannot be taken.
    pub(crate) fn unprocessable(field: impl Into<String>, detail: impl Into<String>) -> Self {
        Self {
            field: Some(field.into()),
            ..Self::new(StatusCode::UNPROCESSABLE_ENTITY, detail)
        }
    }

    pub(crate) fn not_found(what: &str) -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            format!("there is no {what} here, or it belongs to somebody else"),
        )
    }

    pub(crate) fn away() -> Self {
        let detail = "the database does not answer; what was asked for may have been done or not: look, or ask again with \
                      the same Idempotency-Key";
        Self {
            retry_after: Some(5),
            ..Self::new(StatusCode::SERVICE_UNAVAILABLE, detail)
        }
    }

    /// Too much was asked for; it may be asked for again after so many seconds.
    pub(crate) fn too_many(detail: impl Into<String>, retry_after: u64) -> Self {
        Self {
            retry_after: Some(retry_after),
            ..Self::new(StatusCode::TOO_MANY_REQUESTS, detail)
        }
    }

    /// The same, with a further member in its document; null ones are left out.
    pub(crate) fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        let value = value.into();
        if !value.is_null() {
            self.more.insert(name.to_owned(), value);
        }
        self
    }

    /// The field that it names.
    pub(crate) fn field(&self) -> Option<&str> {
        self.field.as_deref()
    }

    /// The run that it is about, if there is one.
    pub(crate) fn run(&self) -> Option<&str> {
        self.more.get("run")?.as_str()
    }

    /// Whether a message that was answered with this certainly did not go, nor any part of it: nothing was started, or
    /// its run ended with a no.
    pub(crate) fn is_unsent(&self) -> bool {
        match self.status {
            StatusCode::CONFLICT => false,
            // A run that ended without a code of Twilio's.
            StatusCode::BAD_GATEWAY => self.run().is_some() && !self.more.contains_key("sids"),
            status => status.is_client_error() && !self.more.contains_key("sids"),
        }
    }

    /// Whether it is [`Problem::away`].
    pub(crate) fn is_away(&self) -> bool {
        self.status == StatusCode::SERVICE_UNAVAILABLE
    }

    fn body(&self) -> Value {
        let mut body = json!({
            "type": "about:blank",
            "title": self.status.canonical_reason().unwrap_or("Error"),
            "status": self.status.as_u16(),
            "detail": self.detail,
        });
        if let Some(field) = &self.field {
            body["field"] = json!(field);
        }
        for (name, value) in self.more.iter() {
            body[name] = value.clone();
        }
        body
    }
}

impl ResponseError for Problem {
    fn status(&self) -> StatusCode {
        self.status
    }

    fn as_response(&self) -> Response {
        let mut response = Response::builder()
            .status(self.status)
            .content_type("application/problem+json")
            .body(Body::from_string(self.body().to_string()));
        if let Some(seconds) = self.retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
        }
        response
    }
}

impl From<StorageError> for Problem {
    fn from(error: StorageError) -> Self {
        if error.is_transient() {
            return Self::away();
        }
        if matches!(error, StorageError::TooLarge { .. }) {
            return Self::new(StatusCode::PAYLOAD_TOO_LARGE, error.to_string());
        }
        tracing::error!(%error, "storage");
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "the database refused; the log has more",
        )
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        if error.is_transient() {
            return Self::away();
        }
        tracing::error!(%error, "store");
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "the database refused; the log has more",
        )
    }
}

impl From<ControlError> for Problem {
    fn from(error: ControlError) -> Self {
        match error {
            ControlError::NoSuchRun(_) => Self::not_found("run"),
            ControlError::WrongState(..) | ControlError::Unfit(_) => {
                Self::new(StatusCode::CONFLICT, error.to_string())
            }
            ControlError::Storage(error) => error.into(),
        }
    }
}

impl From<ScheduleError> for Problem {
    fn from(error: ScheduleError) -> Self {
        match error {
            ScheduleError::Invalid { field, told } => Self::unprocessable(field, format!("{field}: {told}")),
            ScheduleError::NoSuchSchedule(_) => Self::not_found("schedule"),
            ScheduleError::Taken(_) => Self::new(StatusCode::CONFLICT, error.to_string()),
            ScheduleError::Storage(error) => error.into(),
        }
    }
}

impl From<StartError> for Problem {
    fn from(error: StartError) -> Self {
        match error {
            StartError::UnknownWorkflow(_) => Self::unprocessable("workflow", error.to_string()),
            StartError::Unfit(told) => Self::unprocessable("input", told),
            StartError::Storage(error) => error.into(),
        }
    }
}

/// Every error that no handler turned into an answer, those of the framework included.
pub(crate) async fn of_error(error: poem::Error) -> Response {
    if error.is_from_response() {
        return error.into_response();
    }
    let status = error.status();
    match error.downcast_ref::<Problem>() {
        Some(problem) => problem.as_response(),
        None if status.is_server_error() => {
            tracing::error!(%error, "a request failed");
            Problem::new(status, "something is wrong here; the log has more").as_response()
        }
        None => Problem::new(status, error.to_string()).as_response(),
    }
}
