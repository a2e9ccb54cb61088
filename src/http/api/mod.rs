//! The JSON API, with its OpenAPI document.
pub(crate) mod calls;
mod campaigns;
mod control;
mod conversations;
mod lists;
mod media;
pub(crate) mod messages;
mod owners;
mod prospects;
mod questions;
mod retention;
mod runs;
mod schedules;
mod send_error;
mod starts;
pub(crate) mod twilio;
mod voice;
mod watch;
pub(crate) mod way_out;

use poem::{EndpointExt, Route, get, handler, web::Data};
use poem_openapi::{ContactObject, OpenApiService, SecurityScheme, Tags, auth::Bearer};

/// What the API is about.
#[derive(Tags)]
pub(super) enum Tag {
    /// Durable runs and their journals.
    Runs,
    /// Conversations with contacts.
    Conversations,
    /// Messages that answer nobody.
    Messages,
    /// Telephone calls.
    Calls,
    /// One message to many people.
    Campaigns,
    /// Twilio itself.
    Twilio,
    /// What the agents know the answer to.
    Questions,
    /// Whose runs they are.
    Owners,
    /// Runs that the clock starts.
    Schedules,
    /// What is stuck, who works, who waits.
    Watch,
    /// What was turned away.
    Webhooks,
}

/// The operator's token. The guard in front of the API checks it, or a session's cookie; this documents it.
#[derive(SecurityScheme)]
pub(super) enum Operator {
    /// The text of `ADMIN_TOKEN`.
    #[expect(dead_code, reason = "the guard has read it already")]
    Token(Token),
    /// A session, or `recado dev`.
    #[oai(fallback)]
    Otherwise,
}

/// `Authorization: Bearer <ADMIN_TOKEN>`.
#[derive(SecurityScheme)]
#[oai(ty = "bearer")]
#[expect(dead_code, reason = "the guard has read it already")]
pub(super) struct Token(Bearer);

/// Where the library's ReDoc page would have its font from.
const FONTS: &str =
    "<link href=\"https://fonts.googleapis.com/css?family=Montserrat:300,400,700|Roboto:300,400,700\"";

/// The ReDoc page.
#[handler]
fn redoc(Data(html): Data<&Page>) -> poem::web::Html<String> {
    poem::web::Html(html.0.clone())
}

#[derive(Clone)]
struct Page(String);

#[handler]
fn document(Data(text): Data<&String>) -> poem::Response {
    poem::Response::builder()
        .content_type("application/json")
        .body(text.clone())
}

/// Adds the API's documents, which are open, to `routes`. Returns the API beside them, to be guarded.
pub(super) fn documented(routes: Route) -> (Route, Route) {
    let service = OpenApiService::new(
        (
            runs::Runs,
            starts::Starts,
            control::Control,
            conversations::Conversations,
            // Sixteen at most stand beside each other.
            (
                messages::Messages,
                calls::Calls,
                media::Attachments,
                prospects::Prospects,
                campaigns::Campaigns,
            ),
            twilio::Twilio,
            questions::Questions,
            owners::Owners,
            voice::Callers,
            way_out::WaysOut,
            retention::Retention,
            schedules::Schedules,
            watch::Watch,
            runs::Webhooks,
        ),
        "Recado",
        env!("CARGO_PKG_VERSION"),
    )
    .description(
        "Errors are `application/problem+json`. Lists are `{items, next}`: give `next` as `cursor` for the \
                 next page.",
    )
    .contact(ContactObject::new().name("Recado"))
    .server("/api/v1");
    let routes = routes
        .at("/api/v1/openapi.json", get(document).data(service.spec()))
        .nest("/docs", service.swagger_ui())
        .at(
            "/redoc",
            get(redoc).data(Page(without_fonts(&service.redoc_html()))),
        );
    (routes, Route::new().nest("/", service))
}

/// Nothing is loaded from elsewhere: the tag that names the font's server goes.
fn without_fonts(html: &str) -> String {
    match html.split_once(FONTS) {
        Some((before, after)) => format!("{before}{}", after.split_once('>').map_or("", |(_, rest)| rest)),
        None => html.to_owned(),
    }
}
