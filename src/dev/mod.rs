//! `recado dev`: everything by one command.
//!
//! A parent holds a simulated Twilio and its telephone, so that they stay when the one that answers is killed; one
//! child is front end and worker, and is started again whenever it dies. The parent listens where people look and
//! hands on to the child what it does not answer itself.
mod child;
mod proxy;
pub(crate) mod telephone;

use std::{path::PathBuf, sync::Arc};

use anyhow::Context as _;
use poem::{
    Endpoint, EndpointExt, IntoResponse, Response, Route,
    error::ResponseError as _,
    get, handler,
    http::{StatusCode, header},
    post,
    web::{Data, Json},
};
use recado_simulator::{Account, Config as Simulated, Simulator};

use self::{child::Child, proxy::Proxy, telephone::Telephone};
use crate::{commands::say, config::Config, http::Problem, pages, serve};

/// Set for the child: the parent's death, seen as the end of the standard input, is its own.
pub(crate) const CHILD: &str = "RECADO_CHILD_OF_DEV";

/// The account of the simulated Twilio.
const ACCOUNT: &str = "AC0de00000000000000000000000000001";
/// Its token; everything here is simulated and on loopback.
const TOKEN: &str = "the-token-of-the-simulated-account";
/// The number of the business, for SMS and WhatsApp.
const NUMBER: &str = "+14155238886";

/// Runs until Ctrl-C.
///
/// # Errors
/// When the database is no SQLite file, or the port is taken.
pub(crate) async fn run(config: Config) -> anyhow::Result<()> {
    anyhow::ensure!(
        config.is_sqlite(),
        "DATABASE_URL: `recado dev` works on an SQLite file; `recado serve` on Postgres"
    );
    anyhow::ensure!(
        config.http_addr.ip().is_loopback(),
        "HTTP_ADDR: `recado dev` is open, so it listens on loopback only"
    );
    let folder = folder(&config.database_url);
    std::fs::create_dir_all(&folder)
        .with_context(|| format!("the folder {} cannot be made", folder.display()))?;
    let address = format!("http://{}", config.http_addr);
    let webhook = format!("{address}/api/v1/twilio/webhooks/inbound#rc=5&rp=all");
    let hooks = format!("{address}/api/v1/twilio/webhooks");
    let account = Account::new(ACCOUNT, TOKEN)
        .webhook(webhook)
        .voice(format!("{hooks}/voice"), format!("{hooks}/call-status"))
        .number(NUMBER);
    let simulator = Simulator::start(Simulated::new(folder.join("twilio.jsonl")).account(account)).await?;
    let stop = serve::stop_on_signal()?;
    let child = Child::start(&config, &address, simulator.url(), stop.clone())?;
    let telephone = Telephone {
        simulator: simulator.state().clone(),
        account: ACCOUNT.to_owned(),
        business: vec![
            (
                "Padaria Recado (WhatsApp)".to_owned(),
                format!("whatsapp:{NUMBER}"),
            ),
            ("Padaria Recado (SMS)".to_owned(), NUMBER.to_owned()),
        ],
    };
    let pid_file = folder.join("recado.pid");
    std::fs::write(&pid_file, std::process::id().to_string())?;
    say(format!(
        "Recado is at {address}, the telephone at {address}/phone (Ctrl-C ends it)"
    ));
    let routes = routes(telephone, child.clone())?;
    let served = serve::listen(config.http_addr, routes, stop).await;
    child.ended().await;
    simulator.shutdown().await;
    let _ = std::fs::remove_file(pid_file);
    served
}

/// Where the database and the simulator's book are.
fn folder(database_url: &str) -> PathBuf {
    let path = database_url
        .trim_start_matches("sqlite:")
        .trim_start_matches("//");
    let path = PathBuf::from(path.split('?').next().unwrap_or_default());
    path.parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        .map_or_else(|| PathBuf::from("."), PathBuf::from)
}

fn routes(telephone: Telephone, child: Arc<Child>) -> anyhow::Result<impl Endpoint<Output = Response>> {
    let simulated = recado_simulator::routes(telephone.simulator.clone());
    Ok(Route::new()
        .at("/dev/kill", post(kill))
        .at("/dev/child", get(state))
        .nest_no_strip("/_simulator", simulated)
        .nest_no_strip("/phone", pages::phone::routes())
        .nest_no_strip("/", Proxy::new(child.clone())?)
        .catch_all_error(crate::http::of_error)
        .with(crate::http::security::Headers)
        .around(ours_only)
        .around(pages::language::speak)
        .data(telephone)
        .data(child))
}

/// On loopback the danger is another site's page in the same browser: a foreign name, or a foreign origin.
async fn ours_only<E: Endpoint<Output = Response>>(
    endpoint: Arc<E>,
    request: poem::Request,
) -> poem::Result<Response> {
    let host = request.header(header::HOST).unwrap_or_default();
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    let local = matches!(name, "localhost" | "[::1]") || name.starts_with("127.");
    let foreign = request
        .header("sec-fetch-site")
        .is_some_and(|site| !matches!(site, "same-origin" | "none"));
    if !local || (foreign && request.method() != poem::http::Method::GET) {
        let told = "`recado dev` answers pages of its own, on loopback";
        return Ok(Problem::new(StatusCode::FORBIDDEN, told).as_response());
    }
    endpoint.call(request).await
}

/// Ends the child as a crash would: SIGKILL.
#[handler]
async fn kill(Data(child): Data<&Arc<Child>>) -> Response {
    child.kill().await;
    StatusCode::ACCEPTED.into_response()
}

#[handler]
fn state(Data(child): Data<&Arc<Child>>) -> Response {
    Json(child.state()).into_response()
}
