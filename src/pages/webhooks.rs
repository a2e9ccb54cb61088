//! `/webhooks`: which webhooks were turned away, why, and what to do about it.
use askama::{Template, filters::HtmlSafe};
use poem::{Response, handler, http::StatusCode, web::Data};
use recado_engine::StorageError;

use super::{
    layout::{Here, Layout, html},
    live::{Followed, Sections, cursor, follow},
    moment::Moment,
};
use crate::{
    app::App,
    http::rejected::{Reason, RejectedWebhook},
    t,
};

#[derive(Template)]
#[template(path = "webhooks.html")]
struct Page {
    layout: Layout,
    list: List,
}

#[derive(Template)]
#[template(path = "webhook_list.html")]
struct List {
    reasons: Vec<Why>,
    rows: Vec<Row>,
    /// Where Twilio is to send its webhooks.
    inbound: String,
}

impl HtmlSafe for List {}

/// A reason for which some were turned away.
struct Why {
    reason: &'static str,
    count: u64,
    meaning: &'static str,
    remedy: &'static str,
}

/// A webhook that was turned away.
struct Row {
    at: Moment,
    path: String,
    reason: &'static str,
    detail: String,
}

#[handler]
pub(crate) fn show(Data(app): Data<&App>) -> Response {
    let page = Page {
        layout: Layout::new(t("Webhooks"), Here::Webhooks, app.config.dev),
        list: Following(app.clone()).list(&app.rejected.list()),
    };
    html(StatusCode::OK, &page)
}

#[handler]
pub(crate) async fn live(Data(app): Data<&App>) -> Response {
    follow(Following(app.clone()))
}

struct Following(App);

impl Following {
    fn list(&self, seen: &[RejectedWebhook]) -> List {
        let counted = Reason::ALL
            .into_iter()
            .map(|reason| (reason, self.0.rejected.count(reason)));
        let public = self.0.config.public_url.as_ref().map_or("", |url| url.as_str());
        List {
            reasons: counted
                .filter(|(_, count)| *count > 0)
                .map(|(reason, count)| Why::of(reason, count))
                .collect(),
            rows: seen.iter().map(Row::of).collect(),
            inbound: format!("{}/api/v1/twilio/webhooks/inbound", public.trim_end_matches('/')),
        }
    }
}

impl Followed for Following {
    type Seen = Vec<RejectedWebhook>;

    async fn look(&self) -> Result<Self::Seen, StorageError> {
        Ok(self.0.rejected.list())
    }

    fn cursor(&self, seen: &Self::Seen) -> u64 {
        let counts: Vec<_> = Reason::ALL
            .into_iter()
            .map(|reason| self.0.rejected.count(reason))
            .collect();
        cursor(&(counts, seen.first()))
    }

    fn sections(&self, seen: &Self::Seen) -> Sections {
        Sections::from([("list", self.list(seen).render().unwrap_or_default())])
    }
}

impl Why {
    fn of(reason: Reason, count: u64) -> Self {
        let (meaning, remedy) = match reason.as_str() {
            "unsigned" => (
                t("It bore no signature, so it may come from anybody."),
                t(
                    "Twilio signs all it sends. Nothing need be done, unless you expect a message: then see whether something between Twilio and here takes the header X-Twilio-Signature away.",
                ),
            ),
            "wrong_signature" => (
                t("The signature is not that of this account for this address and form."),
                t(
                    "See that PUBLIC_URL is the address that stands in Twilio's console, to the letter, and that the auth token we know is the account's: after a rotation, give us the new one.",
                ),
            ),
            "unknown_account" => (
                t("Nobody here holds the Twilio account that it names."),
                t(
                    "Give the account to an owner, by TWILIO_ACCOUNT_SID or by the command recado owners, or take the webhook out of Twilio's console.",
                ),
            ),
            "malformed" => (
                t("It is too large, is no form, or lacks a field."),
                t(
                    "Twilio's own webhooks are not like that. See in its console whether the number points at this address and at no other of ours.",
                ),
            ),
            "database_away" => (
                t("The database did not answer within ten seconds, so the webhook was not taken in."),
                t(
                    "See /health/ready and the database. Twilio tries again where the address ends in #rc=5&rp=all.",
                ),
            ),
            _ => (t("It was turned away."), t("The log says more.")),
        };
        Self {
            reason: reason.as_str(),
            count,
            meaning,
            remedy,
        }
    }
}

impl Row {
    fn of(rejected: &RejectedWebhook) -> Self {
        Self {
            at: Moment::relative(rejected.at),
            path: rejected.path.clone(),
            reason: rejected.reason.as_str(),
            detail: rejected.detail.clone(),
        }
    }
}
