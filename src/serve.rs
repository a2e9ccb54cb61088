//! The processes of production: the front end, the worker, or both in one.
use std::{future::Future, net::SocketAddr, time::Duration};

use anyhow::Context as _;
use poem::{Endpoint, Response, Server, listener::TcpListener};
use recado_store::{callbacks, calls, owners, plans, seed};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::{
    app::App,
    commands::migrate,
    config::Config,
    http, media, overview, reconciling,
    telemetry::{self, Process},
};

/// How long open requests may take when the process goes home.
const LINGER: Duration = Duration::from_secs(5);
/// How often callbacks look for their messages.
const HOUSEKEEPING: Duration = Duration::from_secs(30);
/// How long a callback without a message is kept.
const ORPHANS_KEPT: chrono::TimeDelta = chrono::TimeDelta::days(7);

/// Takes webhooks, serves pages and API; with `worker` it works on runs too.
///
/// # Errors
/// When a setting is missing, the schema is old, or a port is taken.
pub(crate) async fn serve(config: Config, worker: bool) -> anyhow::Result<()> {
    if config.dev {
        anyhow::ensure!(
            config.http_addr.ip().is_loopback(),
            "HTTP_ADDR: `dev` is open, so it listens on loopback only"
        );
        migrate::up(&config).await?;
    } else {
        config.require_for_serve()?;
    }
    telemetry::measure()?;
    let app = App::open(config).await?;
    telemetry::begin(&app, if worker { Process::Both } else { Process::Serve });
    anyhow::ensure!(
        !worker || !app.config.is_sqlite() || app.engine.storage().lock_alone(),
        "DATABASE_URL: another process works on this SQLite file, and only one may; end it, or use Postgres"
    );
    app.environment.media.prepare().context("MEDIA_URL")?;
    claim_default(&app).await?;
    let mut compared = reconciling::Compared::default();
    compared.schedule(&app).await?;
    let stop = stop_on_signal()?;
    let front = listen(app.config.http_addr, http::routes(app.clone()), stop.clone());
    let working = async {
        if worker {
            tokio::join!(
                app.engine.work(stop.clone()),
                app.engine.purge_until(stop.clone()),
                media::purge_until(&app, stop.clone()),
                overview::spent::write_down_until(&app, stop.clone())
            );
            overview::spent::write_down(&app).await;
        }
    };
    let housekeeping = housekeep(&app, compared, stop.clone());
    let counting = overview::count_until(&app, stop.clone());
    let (front, monitoring, (), (), ()) = tokio::join!(
        front,
        monitor(&app, stop.clone()),
        working,
        housekeeping,
        counting
    );
    front.context("HTTP_ADDR")?;
    monitoring
}

/// Works on runs.
///
/// # Errors
/// When a setting is missing, the schema is old, or a port is taken.
pub(crate) async fn worker(config: Config) -> anyhow::Result<()> {
    config.require_for_worker()?;
    telemetry::measure()?;
    let app = App::open(config).await?;
    telemetry::begin(&app, Process::Worker);
    app.environment.media.prepare().context("MEDIA_URL")?;
    let stop = stop_on_signal()?;
    let (monitoring, (), (), (), ()) = tokio::join!(
        monitor(&app, stop.clone()),
        app.engine.work(stop.clone()),
        app.engine.purge_until(stop.clone()),
        media::purge_until(&app, stop.clone()),
        overview::spent::write_down_until(&app, stop.clone())
    );
    overview::spent::write_down(&app).await;
    monitoring
}

/// The account of the environment becomes the owner `default`'s, unless somebody holds it.
async fn claim_default(app: &App) -> anyhow::Result<()> {
    let dev = app.config.dev;
    let account = app.config.twilio.account.clone();
    let environment = app.environment.clone();
    let done = app.engine.storage().transaction(move |tx| {
        Box::pin(async move {
            let now = chrono::Utc::now();
            plans::install(tx).await?;
            if dev {
                seed::seed(tx, &environment.secret, now).await?;
            }
            if let Some(account) = account {
                let claimed = owners::DefaultAccount {
                    sid: &account.sid,
                    token: &account.auth_token,
                    numbers: &account.addresses,
                };
                owners::claim_default(tx, &environment.secret, &claimed, now).await?;
            }
            Ok::<_, anyhow::Error>(())
        })
    });
    done.await.context("the owner `default` cannot be set up")
}

/// From time to time: callbacks that crossed their message's row find it; those whose message never was are dropped;
/// accounts that owners have got since are compared with Twilio's books too.
async fn housekeep(app: &App, mut compared: reconciling::Compared, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(HOUSEKEEPING) => {}
        }
        let tidied = app.engine.storage().transaction(|tx| {
            Box::pin(async move {
                let now = chrono::Utc::now();
                callbacks::adopt_all(tx, now).await?;
                callbacks::purge(tx, now - ORPHANS_KEPT).await?;
                calls::reports::adopt_all(tx, now).await?;
                calls::reports::purge(tx, now - ORPHANS_KEPT).await?;
                Ok::<_, anyhow::Error>(())
            })
        });
        if let Err(error) = tidied.await {
            tracing::warn!(%error, "status callbacks wait for the database");
        }
        if let Err(error) = compared.schedule(app).await {
            tracing::warn!(%error, "the schedules of accounts wait for the database");
        }
    }
}

async fn monitor(app: &App, stop: CancellationToken) -> anyhow::Result<()> {
    match app.config.metrics_addr {
        Some(addr) => listen(addr, http::monitoring(app.clone()), stop)
            .await
            .context("METRICS_ADDR"),
        None => Ok(()),
    }
}

/// Serves until `stop`. If the port cannot be had, everything else stops too.
pub(crate) async fn listen(
    addr: SocketAddr,
    routes: impl Endpoint<Output = Response> + 'static,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let until = stop.clone();
    let server = Server::new(TcpListener::bind(addr));
    let served = server
        .run_with_graceful_shutdown(routes, async move { until.cancelled().await }, Some(LINGER))
        .await;
    stop.cancel();
    served.with_context(|| format!("{addr} cannot be listened on"))
}

/// A token that is cancelled by SIGTERM or Ctrl-C, and for a child of `recado dev` by the death of its parent.
pub(crate) fn stop_on_signal() -> anyhow::Result<CancellationToken> {
    let (stop, mut terminate, mut interrupt) = (
        CancellationToken::new(),
        signal(SignalKind::terminate())?,
        signal(SignalKind::interrupt())?,
    );
    let token = stop.clone();
    spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("going home");
        token.cancel();
        // Whoever asks twice means it.
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        std::process::exit(130);
    });
    if std::env::var_os(crate::dev::CHILD).is_some() {
        let token = stop.clone();
        spawn(async move {
            // The parent never writes; the end of the stream is its death, and its successor wants the file and the port.
            let mut nothing = Vec::new();
            let _ = tokio::io::AsyncReadExt::read_to_end(&mut tokio::io::stdin(), &mut nothing).await;
            token.cancel();
            tokio::time::sleep(Duration::from_secs(1)).await;
            std::process::exit(0);
        });
    }
    Ok(stop)
}

fn spawn(task: impl Future<Output = ()> + Send + 'static) {
    drop(tokio::spawn(task));
}
