//! How Twilio is, and what its errors mean, as JSON.
use poem::web::Data;
use poem_openapi::{ApiResponse, Object, OpenApi, param::Header, payload::Json};
use recado_clients::twilio::{self, Credentials, ERRORS};
use recado_domain::OwnerId;
use recado_store::accounts;

use super::{Operator, Tag, lists};
use crate::{app::App, http::Problem};

/// Twilio.
pub(super) struct Twilio;

/// Whether an owner can send.
#[derive(Object)]
pub(crate) struct HealthItem {
    /// Whether Twilio knows the account, and lets it send.
    pub(crate) healthy: bool,
    /// The owner's account, or the first that is not well.
    pub(crate) account: Option<AccountItem>,
    /// The addresses from which the owner sends.
    pub(crate) numbers: Vec<String>,
    /// What is wrong, and what to do about it.
    pub(crate) error: Option<String>,
}

/// An account at Twilio.
#[derive(Object)]
pub(crate) struct AccountItem {
    /// `AC…`.
    pub(crate) sid: String,
    /// active, suspended or closed; null where Twilio did not say.
    pub(crate) status: Option<String>,
}

/// How Twilio is.
#[derive(ApiResponse)]
pub(super) enum HealthAnswer {
    /// The owner can send.
    #[oai(status = 200)]
    Healthy(Json<HealthItem>),
    /// It cannot.
    #[oai(status = 503)]
    Unhealthy(Json<HealthItem>),
}

/// An error code of Twilio's.
#[derive(Object)]
pub(super) struct ErrorItem {
    code: u32,
    /// What becomes of messages with this code.
    class: String,
    /// What happened.
    meaning: String,
    /// What a person can do.
    remedy: String,
}

/// The error codes that are known; there are few.
#[derive(Object)]
pub(super) struct ErrorPage {
    items: Vec<ErrorItem>,
    /// Always null: the list is whole.
    next: Option<String>,
}

#[OpenApi(tag = "Tag::Twilio")]
impl Twilio {
    /// Asks Twilio whether an owner can send
    #[oai(path = "/twilio/health", method = "get")]
    async fn health(
        &self,
        Data(app): Data<&App>,
        _operator: Operator,
        /// The owner for whom to act; `default` if absent.
        #[oai(name = "Recado-Owner")]
        owner: Header<Option<String>>,
    ) -> poem::Result<HealthAnswer> {
        let health = health(app, &lists::owner(owner.0)).await?;
        Ok(match health.healthy {
            true => HealthAnswer::Healthy(Json(health)),
            false => HealthAnswer::Unhealthy(Json(health)),
        })
    }

    /// Lists what Twilio's errors mean, and what can be done
    #[oai(path = "/twilio/errors", method = "get")]
    async fn errors(&self, _operator: Operator) -> Json<ErrorPage> {
        let item = |known: &twilio::KnownError| ErrorItem {
            code: known.code,
            class: known.class.as_str().to_owned(),
            meaning: known.meaning.to_owned(),
            remedy: known.remedy.to_owned(),
        };
        Json(ErrorPage {
            items: ERRORS.iter().map(item).collect(),
            next: None,
        })
    }
}

/// Whether an owner can send: its numbers and its accounts, each as Twilio says now.
///
/// # Errors
/// Those of the database.
pub(crate) async fn health(app: &App, owner: &OwnerId) -> Result<HealthItem, Problem> {
    let database = &app.environment.database;
    let senders = accounts::senders(database, owner).await?;
    let mut health = HealthItem {
        healthy: !senders.is_empty(),
        account: None,
        numbers: senders.iter().map(|sender| sender.address.to_twilio()).collect(),
        error: senders
            .is_empty()
            .then(|| "the owner has no number to send from; give it one".to_owned()),
    };
    for sid in accounts::sids_of(database, owner).await? {
        let (status, error) = account(app, owner, &sid).await?;
        if error.is_some() || health.account.is_none() {
            health.account = Some(AccountItem { sid, status });
        }
        if error.is_some() {
            health.healthy = false;
            health.error = error;
            break;
        }
    }
    Ok(health)
}

/// What Twilio says of an account, and what is wrong with it.
async fn account(app: &App, owner: &OwnerId, sid: &str) -> Result<(Option<String>, Option<String>), Problem> {
    let environment = &app.environment;
    let found = accounts::credentials(&environment.database, &environment.secret, owner, sid).await?;
    let Some(found) = found else {
        return Ok((
            None,
            Some("the owner does not hold the account any more".to_owned()),
        ));
    };
    let credentials = Credentials {
        account_sid: found.account_sid,
        auth_token: found.auth_token,
    };
    Ok(match environment.twilio.fetch_account(&credentials).await {
        Ok(account) if account.status == "active" => (Some(account.status), None),
        Ok(account) => {
            let told = format!("the account is {}; ask Twilio's support", account.status);
            (Some(account.status), Some(told))
        }
        Err(error) => (None, Some(told(&error))),
    })
}

fn told(error: &twilio::TwilioError) -> String {
    let known = match error {
        twilio::TwilioError::Refused { code, .. } => code.and_then(twilio::known),
        _ => None,
    };
    match known {
        Some(known) => format!("{error}. It means: {}", known.told()),
        None => error.to_string(),
    }
}
