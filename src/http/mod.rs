//! The front end: starts workflows, serves status. Nothing slow happens here.
pub(crate) mod api;
pub(crate) mod auth;
mod body_limit;
mod health;
mod problem;
pub(crate) mod rejected;
pub(crate) mod reports;
pub(crate) mod security;
mod webhooks;

use poem::{Endpoint, EndpointExt, Response, Route, get, middleware::CookieJarManager, post};

pub(crate) use self::{
    problem::{Problem, of_error},
    webhooks::twiml,
};
use crate::{app::App, media, pages};

/// The most that a request may carry.
const BODY_LIMIT: usize = 1024 * 1024;

/// Everything that `serve` answers.
pub(crate) fn routes(app: App) -> impl Endpoint<Output = Response> {
    let webhooks = Route::new()
        .at("/inbound", post(webhooks::inbound))
        .at("/status", post(webhooks::status))
        .at("/voice", post(webhooks::calls::voice))
        .at("/call-status", post(webhooks::calls::call_status))
        .at("/recording-status", post(webhooks::calls::recording_status));
    let (routes, api) = api::documented(Route::new());
    let guarded = Route::new()
        .nest("/api/v1", api.around(body_limit::bound))
        .at("/metrics", get(health::metrics))
        .nest("/", pages::routes().around(body_limit::bound_form))
        .with(auth::Guard);
    routes
        .nest("/api/v1/twilio/webhooks", webhooks)
        .at("/health/live", get(health::live))
        .at("/health/ready", get(health::ready))
        .at(
            "/login",
            get(auth::form).post(auth::log_in.around(body_limit::bound_form)),
        )
        .at("/logout", post(auth::log_out))
        .nest("/assets", pages::assets())
        // A link that holds is proof enough.
        .at("/media/:id", get(media::file))
        .at("/media/:id/small", get(media::small))
        .nest("/", guarded)
        .catch_all_error(of_error)
        // The guard and the log-in read and write the session through it.
        .with(CookieJarManager::new())
        .with(security::Headers)
        .around(pages::language::speak)
        .data(app)
}

/// What a worker serves on `METRICS_ADDR`: no more than health and metrics.
pub(crate) fn monitoring(app: App) -> impl Endpoint<Output = Response> {
    Route::new()
        .at("/health/live", get(health::live))
        .at("/health/ready", get(health::ready))
        .at("/metrics", get(health::metrics))
        .catch_all_error(of_error)
        .data(app)
}
