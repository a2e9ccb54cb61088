//! The operator's way in: the token of `ADMIN_TOKEN`, as a bearer or typed once for a cookie.
use std::time::Duration;

use poem::{
    Endpoint, IntoResponse, Middleware, Request, Response, Result, handler,
    http::{Method, StatusCode, header},
    web::{
        Data, Form, Query, Redirect,
        cookie::{Cookie, CookieJar, CookieKey, SameSite},
    },
};
use secrecy::ExposeSecret;
use serde::Deserialize;
use subtle::ConstantTimeEq;

use crate::{app::App, config::derived_key, http::Problem, pages};

const COOKIE: &str = "recado_session";
const LASTS: Duration = Duration::from_secs(12 * 3600);

/// Lets nobody but the operator through; in `dev`, on loopback, anybody.
pub(crate) struct Guard;

/// The endpoint that [`Guard`] makes.
pub(crate) struct Guarded<E>(E);

impl<E: Endpoint> Middleware<E> for Guard {
    type Output = Guarded<E>;

    fn transform(&self, endpoint: E) -> Guarded<E> {
        Guarded(endpoint)
    }
}

impl<E: Endpoint> Endpoint for Guarded<E> {
    type Output = E::Output;

    async fn call(&self, request: Request) -> Result<E::Output> {
        let Some(app) = request.data::<App>().cloned() else {
            return Err(Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "no application").into());
        };
        let proof = proof(&app, &request);
        if matches!(proof, Proof::None) {
            return Err(refusal(&request));
        }
        // A token in a header was put there on purpose; a cookie, or an open door, goes along with any page's request.
        if !matches!(proof, Proof::Bearer) && changes(request.method()) && !from_our_pages(&request) {
            return Err(Problem::new(
                StatusCode::FORBIDDEN,
                "this request comes from another site's page",
            )
            .into());
        }
        self.0.call(request).await
    }
}

enum Proof {
    Bearer,
    Cookie,
    Open,
    None,
}

fn proof(app: &App, request: &Request) -> Proof {
    if app.config.dev {
        return Proof::Open;
    }
    let bearer = request
        .header(header::AUTHORIZATION)
        .and_then(|value| value.strip_prefix("Bearer "));
    if bearer.is_some_and(|token| is_operators(app, token)) {
        return Proof::Bearer;
    }
    let cookie = request.cookie().signed_with_key(&cookie_key(app)).get(COOKIE);
    let until = cookie.and_then(|cookie| cookie.value_str().parse::<i64>().ok());
    match until {
        Some(until) if until > chrono::Utc::now().timestamp() => Proof::Cookie,
        _ => Proof::None,
    }
}

fn refusal(request: &Request) -> poem::Error {
    let wants_page = request.method() == Method::GET
        && !request.uri().path().starts_with("/api/")
        && request
            .header(header::ACCEPT)
            .is_some_and(|accept| accept.contains("text/html"));
    if wants_page {
        let next: String = url::form_urlencoded::byte_serialize(request.uri().path().as_bytes()).collect();
        return poem::Error::from_response(
            Redirect::see_other(format!("/login?next={next}")).into_response(),
        );
    }
    let detail = "send the operator's token: `Authorization: Bearer <ADMIN_TOKEN>`, or log in at /login";
    Problem::new(StatusCode::UNAUTHORIZED, detail).into()
}

fn changes(method: &Method) -> bool {
    !matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}

/// Whether a browser says that one of our own pages asks, or no browser asks at all.
fn from_our_pages(request: &Request) -> bool {
    if let Some(site) = request.header("sec-fetch-site") {
        return matches!(site, "same-origin" | "none");
    }
    let host = request.header(header::HOST).unwrap_or_default();
    request.header(header::ORIGIN).is_none_or(|origin| {
        origin
            .split_once("://")
            .is_some_and(|(_, authority)| authority.eq_ignore_ascii_case(host))
    })
}

/// Compared in constant time, and never by length.
fn is_operators(app: &App, token: &str) -> bool {
    use sha2::{Digest, Sha256};
    app.config.admin_token.as_ref().is_some_and(|known| {
        let (given, known) = (Sha256::digest(token), Sha256::digest(known.expose_secret()));
        bool::from(given.as_slice().ct_eq(known.as_slice()))
    })
}

/// A new token or a new secret ends every session.
fn cookie_key(app: &App) -> CookieKey {
    let secrets: Vec<_> = [&app.config.secret_key, &app.config.admin_token]
        .into_iter()
        .flatten()
        .collect();
    CookieKey::from(&derived_key("session cookie", &secrets))
}

#[derive(Deserialize)]
pub(crate) struct Next {
    #[serde(default)]
    next: String,
}

#[derive(Deserialize)]
pub(crate) struct Credentials {
    token: String,
    #[serde(default)]
    next: String,
}

/// The log-in page.
#[handler]
pub(crate) fn form(Query(next): Query<Next>) -> Response {
    pages::login::page(None, &here(&next.next))
}

/// Takes the token and gives the cookie.
#[handler]
pub(crate) async fn log_in(
    Data(app): Data<&App>,
    cookies: &CookieJar,
    Form(given): Form<Credentials>,
) -> Response {
    let next = here(&given.next);
    if !is_operators(app, given.token.trim()) {
        // Guessing is to be slow for the one who guesses, not for the process.
        tokio::time::sleep(Duration::from_millis(500)).await;
        let told =
            crate::t("That is not the token. It is the text in ADMIN_TOKEN where `recado serve` runs.");
        return pages::login::page(Some(told), &next)
            .with_status(StatusCode::UNAUTHORIZED)
            .into_response();
    }
    let until = chrono::Utc::now().timestamp() + LASTS.as_secs() as i64;
    let mut cookie = Cookie::new_with_str(COOKIE, until.to_string());
    cookie.set_path("/");
    cookie.set_http_only(true);
    cookie.set_same_site(SameSite::Strict);
    cookie.set_secure(
        app.config
            .public_url
            .as_ref()
            .is_some_and(|url| url.scheme() == "https"),
    );
    cookie.set_max_age(LASTS);
    cookies.signed_with_key(&cookie_key(app)).add(cookie);
    Redirect::see_other(next).into_response()
}

/// Takes the cookie away.
#[handler]
pub(crate) fn log_out(cookies: &CookieJar) -> Redirect {
    let mut cookie = Cookie::named(COOKIE);
    cookie.set_path("/");
    cookies.add({
        cookie.make_removal();
        cookie
    });
    Redirect::see_other("/login")
}

/// A place on this server, whatever the link says.
fn here(next: &str) -> String {
    let local = next.starts_with('/')
        && !next.starts_with("//")
        && !next.contains(|c: char| c == '\\' || c.is_control());
    if local { next.to_owned() } else { "/".to_owned() }
}
