//! How much a request may carry: it is read whole before it is understood. Whoever is not known yet may send the least.
use poem::http::StatusCode;
use poem::{Endpoint, IntoResponse, Request, Response, Result, error::ReadBodyError};

use super::{BODY_LIMIT, Problem};

/// The most that a request of the API may carry, in bytes: a batch of a hundred of the longest texts.
const LIMIT: usize = 8 * 1024 * 1024;
/// The most that a campaign may.
const CAMPAIGN_LIMIT: usize = 32 * 1024 * 1024;

/// Reads the body of a request of the API, as far as it may go.
pub(super) async fn bound<E: Endpoint>(endpoint: std::sync::Arc<E>, request: Request) -> Result<Response> {
    let limit = match request.uri().path().trim_start_matches("/api/v1") {
        "/campaigns" => CAMPAIGN_LIMIT,
        _ => LIMIT,
    };
    read(endpoint, request, limit).await
}

/// Reads the form of a page, as far as it may go.
pub(super) async fn bound_form<E: Endpoint>(
    endpoint: std::sync::Arc<E>,
    request: Request,
) -> Result<Response> {
    let limit = match request.uri().path() {
        "/communications/campaigns" => CAMPAIGN_LIMIT,
        _ => BODY_LIMIT,
    };
    read(endpoint, request, limit).await
}

async fn read<E: Endpoint>(
    endpoint: std::sync::Arc<E>,
    mut request: Request,
    limit: usize,
) -> Result<Response> {
    let body = match request.take_body().into_bytes_limit(limit).await {
        Ok(body) => body,
        Err(ReadBodyError::PayloadTooLarge) => {
            let told = format!("the body has more than {limit} bytes; send less at once");
            return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, told).into());
        }
        Err(error) => return Err(error.into()),
    };
    request.set_body(body);
    Ok(endpoint.call(request).await?.into_response())
}
