//! Whether the process lives, whether it can do its work, and its numbers.
use poem::{IntoResponse, Response, handler, http::StatusCode, web::Data, web::Json};
use recado_engine::dispatch::Health;
use serde_json::json;

use crate::{app::App, telemetry};

/// The process lives.
#[handler]
pub(crate) fn live() -> &'static str {
    "live"
}

/// 200 while messages can be taken (`ok`, or `degraded` without Redis), 503 without the database.
#[handler]
pub(crate) async fn ready(Data(app): Data<&App>) -> Response {
    let redis = match app.engine.bells().health() {
        Health::InProcess => json!({"state": "not used"}),
        Health::Up => json!({"state": "up"}),
        Health::Degraded { since, error } => json!({"state": "away", "since": since, "error": error}),
    };
    let degraded = redis["state"] == "away";
    match app.engine.storage().ping().await {
        Ok(()) => {
            let status = if degraded { "degraded" } else { "ok" };
            Json(json!({"status": status, "database": {"state": "up"}, "redis": redis})).into_response()
        }
        Err(error) => {
            let database = json!({"state": "away", "error": error.to_string()});
            let body = Json(json!({"status": "unavailable", "database": database, "redis": redis}));
            body.with_status(StatusCode::SERVICE_UNAVAILABLE).into_response()
        }
    }
}

/// The metrics, in Prometheus's text format.
#[handler]
pub(crate) async fn metrics(Data(app): Data<&App>) -> Response {
    telemetry::observe(app).await;
    let text = telemetry::render();
    Response::builder()
        .content_type("text/plain; version=0.0.4; charset=utf-8")
        .body(text)
}
