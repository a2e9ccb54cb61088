//! How much a request of the API may carry: it is read whole before it is understood.
use poem::http::StatusCode;
use poem::{Endpoint, IntoResponse, Request, Response, Result, error::ReadBodyError};

use super::Problem;

/// The most that a request of the API may carry, in bytes: a batch of a hundred of the longest texts.
const LIMIT: usize = 8 * 1024 * 1024;
/// The most that a campaign may.
const CAMPAIGN_LIMIT: usize = 32 * 1024 * 1024;

/// Reads the body, as far as it may go.
pub(super) async fn bound<E: Endpoint>(
    endpoint: std::sync::Arc<E>,
    mut request: Request,
) -> Result<Response> {
    let limit = match request.uri().path().trim_start_matches("/api/v1") {
        "/campaigns" => CAMPAIGN_LIMIT,
        _ => LIMIT,
    };
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
