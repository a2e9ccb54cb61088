//! Hands requests on to the child, so that people see one address.
use std::{sync::Arc, time::Duration};

use futures::TryStreamExt;
use poem::{
    Body, Endpoint, Request, Response, Result,
    error::ResponseError as _,
    http::{HeaderMap, HeaderName, StatusCode, header},
};

use super::child::Child;
use crate::http::Problem;

/// How long a request waits for a child that is being started again.
const PATIENCE: Duration = Duration::from_secs(10);
/// More than any answer of the child takes.
const BODY_LIMIT: usize = 4 * 1024 * 1024;

/// Everything that the parent does not answer itself.
pub(super) struct Proxy {
    child: Arc<Child>,
    client: reqwest::Client,
}

impl Proxy {
    pub(super) fn new(child: Arc<Child>) -> anyhow::Result<Self> {
        // It also sets up what TLS needs, without which no client can be made.
        drop(recado_clients::http(PATIENCE)?);
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_gzip()
            .no_proxy()
            .build()?;
        Ok(Self { child, client })
    }
}

impl Endpoint for Proxy {
    type Output = Response;

    async fn call(&self, request: Request) -> Result<Response> {
        if !self.child.answers(PATIENCE).await {
            let told = "the process behind this page does not come up; its log says why";
            return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, told).into());
        }
        let (parts, body) = request.into_parts();
        let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
        let url = format!("http://{}{path}", self.child.addr());
        let body = body.into_bytes_limit(BODY_LIMIT).await.map_err(|_| {
            Problem::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                "the body is larger than 4 MiB, or broke off",
            )
        })?;
        let mut headers = parts.headers;
        end_to_end(&mut headers);
        let sent = self
            .client
            .request(parts.method, url)
            .headers(headers)
            .body(body)
            .send()
            .await;
        let Ok(answer) = sent else {
            // The child died with the request in its hands; whoever asked may ask again.
            return Ok(
                Problem::new(StatusCode::BAD_GATEWAY, "the process died while it answered").as_response(),
            );
        };
        let (status, mut headers) = (answer.status(), answer.headers().clone());
        end_to_end(&mut headers);
        let mut response = Response::builder().status(status).finish();
        *response.headers_mut() = headers;
        response.set_body(Body::from_bytes_stream(
            answer.bytes_stream().map_err(std::io::Error::other),
        ));
        Ok(response)
    }
}

/// Drops what concerns one connection only.
/// Source: RFC 9110, section 7.6.1.
fn end_to_end(headers: &mut HeaderMap) {
    for name in [
        header::CONNECTION,
        header::TRANSFER_ENCODING,
        header::CONTENT_LENGTH,
        header::TE,
        header::TRAILER,
        header::UPGRADE,
        HeaderName::from_static("keep-alive"),
    ] {
        headers.remove(name);
    }
}
