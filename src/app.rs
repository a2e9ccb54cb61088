//! The parts of a process, put together from its settings.
use std::{sync::Arc, time::Duration};

use anyhow::Context as _;
use recado_activities::{Environment, InCommon, Spent};
use recado_clients::{media::MediaStore, models::Providers, speech::Transcriber, twilio};
use recado_engine::{Codec, Engine, EngineBuilder, Settings, Storage, StorageOptions, dispatch::Bells};
use recado_migrations::{Migrator, MigratorTrait};
use recado_store::Secret;
use secrecy::{ExposeSecret, SecretString};

use crate::{
    config::Config,
    http::{rejected::Rejected, reports::Reports},
};

/// Where Twilio reports what became of a message, below the public URL.
pub(crate) const STATUS_PATH: &str = "/api/v1/twilio/webhooks/status";
/// Where Twilio reports how far a call has come, below the public URL.
pub(crate) const CALL_PATH: &str = "/api/v1/twilio/webhooks/call-status";
/// Where Twilio reports how far a recording has come, below the public URL.
pub(crate) const RECORDING_PATH: &str = "/api/v1/twilio/webhooks/recording-status";

/// What every request sees.
#[derive(Clone)]
pub(crate) struct App {
    pub(crate) engine: Engine,
    pub(crate) environment: Arc<Environment>,
    pub(crate) config: Arc<Config>,
    pub(crate) rejected: Arc<Rejected>,
    pub(crate) reports: Arc<Reports>,
}

impl App {
    /// Connects to the database and to Redis, and knows every workflow and activity.
    ///
    /// # Errors
    /// When the database cannot be opened or has another schema, or a client cannot be made.
    pub(crate) async fn open(config: Config) -> anyhow::Result<Self> {
        let bells = match &config.redis_url {
            Some(url) => Bells::redis(url, "runs").await.context("REDIS_URL")?,
            None => Bells::in_process(),
        };
        let ring = bells.clone();
        let options = StorageOptions {
            // The secret of `recado dev` is in its source: what it sealed would only be harder to look at.
            codec: codec(&config).filter(|_| !config.dev),
            ..StorageOptions::new(&config.database_url)
        };
        let storage = Storage::open(&options, move || ring.ring())
            .await
            .context("DATABASE_URL: the database cannot be opened")?;
        require_schema(&storage).await?;
        storage.unlock().await?;
        Self::on(config, storage, bells)
    }

    /// The same for a command that does one thing and ends: it seals if the database is sealed, and never begins with
    /// it, so that whoever has no key may act where none is needed.
    ///
    /// # Errors
    /// As [`App::open`]; when the database is sealed and `SECRET_KEY` does not open it.
    pub(crate) async fn open_for_command(mut config: Config) -> anyhow::Result<Self> {
        let bells = match &config.redis_url {
            Some(url) => Bells::redis(url, "runs").await.context("REDIS_URL")?,
            None => Bells::in_process(),
        };
        let ring = bells.clone();
        let storage = storage(&config, move || ring.ring()).await?;
        require_schema(&storage).await?;
        config
            .secret_key
            .get_or_insert_with(|| SecretString::from("nothing is ever sealed with this key"));
        Self::on(config, storage, bells)
    }

    fn on(config: Config, storage: Storage, bells: Bells) -> anyhow::Result<Self> {
        let environment = Arc::new(environment(&config, &storage)?);
        let engine = EngineBuilder::new(environment.clone());
        let engine = recado_workflows::register(recado_activities::register(engine));
        let engine = engine.build(storage, bells, settings(&config));
        Ok(Self {
            engine,
            environment,
            config: Arc::new(config),
            rejected: Arc::default(),
            reports: Arc::default(),
        })
    }
}

fn codec(config: &Config) -> Option<Codec> {
    let secret = config.secret_key.as_ref()?;
    Some(Codec::aes(secret.expose_secret()))
}

/// Opens the database for a command that does one thing and ends: it seals if the database is sealed, and does not
/// begin with it. `ready` is called when runs became ready.
///
/// # Errors
/// When the database cannot be opened, or is sealed and `SECRET_KEY` does not open it.
pub(crate) async fn storage(
    config: &Config,
    ready: impl Fn() + Send + Sync + 'static,
) -> anyhow::Result<Storage> {
    let options = StorageOptions::new(&config.database_url);
    let codec = match Storage::open(&options, || {}).await?.is_sealed().await? {
        true => codec(config),
        false => None,
    };
    let storage = Storage::open(&StorageOptions { codec, ..options }, ready).await?;
    storage.unlock().await?;
    Ok(storage)
}

/// Refuses a database that lacks migrations.
async fn require_schema(storage: &Storage) -> anyhow::Result<()> {
    let pending = Migrator::get_pending_migrations(storage.reader())
        .await
        .context("the schema cannot be read")?;
    if let Some(first) = pending.first() {
        anyhow::bail!(
            "the database lacks {} migrations, the first of them {}: run `recado migrate up`",
            pending.len(),
            first.name()
        );
    }
    Ok(())
}

fn environment(config: &Config, storage: &Storage) -> anyhow::Result<Environment> {
    let secret = config
        .secret_key
        .clone()
        .unwrap_or_else(|| SecretString::from(String::new()));
    let public = config
        .public_url
        .as_ref()
        .map(|url| url.as_str().trim_end_matches('/').to_owned())
        .unwrap_or_default();
    Ok(Environment {
        database: storage.reader().clone(),
        secret: Secret::new(&secret).context("SECRET_KEY")?,
        twilio: twilio::Client::new(&config.twilio.api_url, config.twilio.timeout)
            .context("TWILIO_API_URL")?,
        models: Providers::new(config.models.providers.clone(), config.models.timeout)
            .context("the models")?,
        media: MediaStore::open(&config.media_url).context("MEDIA_URL")?,
        speech: config
            .speech
            .clone()
            .map(Transcriber::new)
            .transpose()
            .context("TRANSCRIBE_URL")?,
        quiet_period: config.quiet_period,
        status_callback: format!("{public}{STATUS_PATH}"),
        call_callback: format!("{public}{CALL_PATH}"),
        recording_callback: format!("{public}{RECORDING_PATH}"),
        in_common: InCommon::default(),
        spent: Spent::default(),
    })
}

fn settings(config: &Config) -> Settings {
    Settings {
        request_timeout: config.twilio.timeout,
        listing_delay: config.twilio.listing_delay,
        hold: config.twilio.hold,
        // Without Redis no bell is heard from another process: look more often.
        sweep: if config.redis_url.is_none() && !config.is_sqlite() {
            Duration::from_millis(100)
        } else {
            Duration::from_secs(1)
        },
        ..Settings::default()
    }
}
