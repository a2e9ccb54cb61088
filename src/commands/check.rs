//! `recado check`: each setting and each server, what it is, whether it works, and what to do.
use std::{process::ExitCode, time::Duration};

use recado_clients::{
    media::MediaStore,
    twilio::{Client, Credentials},
};
use recado_engine::{
    Storage,
    dispatch::{Bells, Health},
};
use recado_migrations::{Migrator, MigratorTrait};
use serde::Serialize;

use super::say;
use crate::config::Config;

/// How long a server may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Verdict {
    Works,
    NotSet,
    Broken,
}

#[derive(Debug, Serialize)]
struct Finding {
    what: &'static str,
    verdict: Verdict,
    told: String,
}

/// Exits with 1 if something that is set does not work.
pub(crate) async fn run(config: Config, json: bool) -> anyhow::Result<ExitCode> {
    let mut findings = settings(&config);
    findings.push(database(&config).await);
    findings.push(redis(&config).await);
    findings.push(twilio(&config).await);
    findings.push(models(&config));
    findings.push(files(&config).await);
    findings.push(speech(&config));
    let broken = findings.iter().any(|finding| finding.verdict == Verdict::Broken);
    for finding in &findings {
        if json {
            say(serde_json::to_string(finding)?);
            continue;
        }
        let mark = match finding.verdict {
            Verdict::Works => "ok     ",
            Verdict::NotSet => "not set",
            Verdict::Broken => "BROKEN ",
        };
        say(format!("{mark}  {:14}  {}", finding.what, finding.told));
    }
    Ok(if broken {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

fn finding(what: &'static str, verdict: Verdict, told: impl Into<String>) -> Finding {
    Finding {
        what,
        verdict,
        told: told.into(),
    }
}

fn settings(config: &Config) -> Vec<Finding> {
    let set = |what, there: bool, good: &str, missing: &str| match there {
        true => finding(what, Verdict::Works, good),
        false => finding(what, Verdict::NotSet, missing),
    };
    let public = config
        .public_url
        .as_ref()
        .map(ToString::to_string)
        .unwrap_or_default();
    vec![
        set(
            "SECRET_KEY",
            config.secret_key.is_some(),
            "seals what is secret in the database",
            "`serve` and `worker` need it: `openssl rand -hex 32`",
        ),
        set(
            "ADMIN_TOKEN",
            config.admin_token.is_some(),
            "opens pages and API to the operator",
            "`serve` needs it: any text",
        ),
        set(
            "PUBLIC_URL",
            config.public_url.is_some(),
            &public,
            "`serve` needs it: where Twilio reaches this server",
        ),
        finding("HTTP_ADDR", Verdict::Works, config.http_addr.to_string()),
    ]
}

async fn database(config: &Config) -> Finding {
    let kind = if config.is_sqlite() { "SQLite" } else { "Postgres" };
    let look = async {
        let db = Storage::connect(&config.database_url)
            .await
            .map_err(|error| error.to_string())?;
        Migrator::get_pending_migrations(&db)
            .await
            .map(|pending| pending.len())
            .map_err(|error| error.to_string())
    };
    match tokio::time::timeout(PATIENCE, look).await {
        Ok(Ok(0)) => finding(
            "DATABASE_URL",
            Verdict::Works,
            format!("{kind}, the schema is up to date"),
        ),
        Ok(Ok(n)) => finding(
            "DATABASE_URL",
            Verdict::Broken,
            format!("{kind} lacks {n} migrations: run `recado migrate up`"),
        ),
        Ok(Err(error)) => finding("DATABASE_URL", Verdict::Broken, format!("{kind}: {error}")),
        Err(_) => finding(
            "DATABASE_URL",
            Verdict::Broken,
            format!("{kind} gave no answer within 5 s: does the server run?"),
        ),
    }
}

async fn redis(config: &Config) -> Finding {
    let Some(url) = &config.redis_url else {
        return finding(
            "REDIS_URL",
            Verdict::NotSet,
            "one process needs none; `worker`s of their own then poll Postgres",
        );
    };
    match Bells::redis(url, "runs").await.map(|bells| bells.health()) {
        Ok(Health::Up | Health::InProcess) => finding("REDIS_URL", Verdict::Works, "answers"),
        Ok(Health::Degraded { error, .. }) => finding(
            "REDIS_URL",
            Verdict::Broken,
            format!("{error}; messages are still answered, workers poll"),
        ),
        Err(error) => finding("REDIS_URL", Verdict::Broken, error.to_string()),
    }
}

async fn twilio(config: &Config) -> Finding {
    let Some(account) = &config.twilio.account else {
        return finding(
            "TWILIO_*",
            Verdict::NotSet,
            "no account for the owner `default`; others are rows",
        );
    };
    let look = async {
        let client = Client::new(&config.twilio.api_url, PATIENCE).map_err(|error| error.to_string())?;
        let credentials = Credentials {
            account_sid: account.sid.clone(),
            auth_token: account.auth_token.clone(),
        };
        client
            .fetch_account(&credentials)
            .await
            .map_err(|error| error.to_string())
    };
    match look.await {
        Ok(_) if account.addresses.is_empty() => finding(
            "TWILIO_*",
            Verdict::Works,
            "the account answers; TWILIO_PHONE_NUMBER or TWILIO_WHATSAPP_NUMBER would name its numbers",
        ),
        Ok(found) => finding(
            "TWILIO_*",
            Verdict::Works,
            format!("the account is {}", found.status),
        ),
        Err(error) => finding("TWILIO_*", Verdict::Broken, error),
    }
}

fn models(config: &Config) -> Finding {
    let names: Vec<_> = config
        .models
        .providers
        .iter()
        .map(|provider| provider.name.as_str())
        .collect();
    match names.is_empty() {
        true => finding(
            "models",
            Verdict::NotSet,
            "the offline agent answers; OPENAI_API_KEY and others add a model",
        ),
        false => finding(
            "models",
            Verdict::Works,
            format!("asked in this order: {}", names.join(", ")),
        ),
    }
}

/// Whether files can be kept: one is, and is removed again.
async fn files(config: &Config) -> Finding {
    let look = async {
        let store = MediaStore::open(&config.media_url)?;
        store.prepare()?;
        let hash = store
            .put("recado-check", b"written by `recado check`".to_vec())
            .await?;
        store.remove("recado-check", &hash).await
    };
    match tokio::time::timeout(PATIENCE, look).await {
        Ok(Ok(())) => finding("MEDIA_URL", Verdict::Works, config.media_url.to_string()),
        Ok(Err(error)) => finding("MEDIA_URL", Verdict::Broken, error.to_string()),
        Err(_) => finding(
            "MEDIA_URL",
            Verdict::Broken,
            "the storage gave no answer within 5 s",
        ),
    }
}

fn speech(config: &Config) -> Finding {
    match &config.speech {
        None => finding(
            "TRANSCRIBE_URL",
            Verdict::NotSet,
            "voice notes are kept, and contacts are asked to write instead",
        ),
        Some(settings) => finding(
            "TRANSCRIBE_URL",
            Verdict::Works,
            format!("{} listens, with the model {}", settings.url, settings.model),
        ),
    }
}
