//! What every answer tells the browser to forbid, and pages for browsers where something went wrong.
use poem::{
    Endpoint, IntoResponse, Middleware, Request, Response, Result,
    http::{HeaderName, HeaderValue, StatusCode, header},
};

use crate::pages;

/// Nothing from elsewhere, nothing inline.
const POLICY: &str = "default-src 'self'; img-src 'self' data:; object-src 'none'; form-action 'self'; \
    frame-ancestors 'none'; base-uri 'none'";
/// The API documentation brings its scripts and styles in its page; it loads nothing from elsewhere either.
const DOCUMENT_POLICY: &str = "default-src 'self' 'unsafe-inline' data: blob:; object-src 'none'; form-action 'self'; \
    frame-ancestors 'none'; base-uri 'none'";

/// What contacts send is shown, and never runs: not even as a page of its own.
const MEDIA_POLICY: &str = "default-src 'none'; sandbox; frame-ancestors 'none'";

/// Sets the security headers, and answers a browser with a page where an API answers with JSON.
pub(crate) struct Headers;

/// The endpoint that [`Headers`] makes.
pub(crate) struct Secured<E>(E);

impl<E: Endpoint> Middleware<E> for Headers {
    type Output = Secured<E>;

    fn transform(&self, endpoint: E) -> Secured<E> {
        Secured(endpoint)
    }
}

impl<E: Endpoint> Endpoint for Secured<E> {
    type Output = Response;

    async fn call(&self, request: Request) -> Result<Response> {
        let path = request.uri().path().to_owned();
        let browser = !path.starts_with("/api/")
            && request
                .header(header::ACCEPT)
                .is_some_and(|accept| accept.contains("text/html"));
        let mut response = self.0.call(request).await?.into_response();
        let status = response.status();
        let is_problem = response.content_type() == Some("application/problem+json");
        if browser && is_problem && (status.is_client_error() || status.is_server_error()) {
            response = page_for(status, response).await;
        }
        let policy = if matches!(path.as_str(), "/docs" | "/redoc") {
            DOCUMENT_POLICY
        } else if path.starts_with("/media/") && status.is_success() {
            MEDIA_POLICY
        } else {
            POLICY
        };
        let headers = response.headers_mut();
        for (name, value) in [
            ("content-security-policy", policy),
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "same-origin"),
            ("x-frame-options", "DENY"),
        ] {
            headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        Ok(response)
    }
}

async fn page_for(status: StatusCode, problem: Response) -> Response {
    if status == StatusCode::NOT_FOUND {
        return pages::not_found();
    }
    let body = problem
        .into_body()
        .into_json::<serde_json::Value>()
        .await
        .unwrap_or_default();
    let detail = body["detail"].as_str().unwrap_or_default().to_owned();
    pages::problem(status, status.canonical_reason().unwrap_or("Error"), &detail)
}
