//! What the process is told by its environment. A missing or malformed setting stops the start, and is named.
use std::{
    fmt::Display,
    net::SocketAddr,
    path::{Path, PathBuf},
    str::FromStr,
    time::Duration,
};

use recado_clients::{
    models::{Provider, Vendor},
    speech::TranscriberSettings,
};
use recado_domain::{Address, PhoneNumber};
use recado_store::owners::LONGEST_QUIET_PERIOD;
use secrecy::{ExposeSecret, SecretString};
use url::Url;

/// Everything that was wrong, one line a setting.
#[derive(Debug, thiserror::Error)]
#[error("the settings are not right:\n{}\nSee .env.example for every setting.", .0.iter().map(|problem| format!("  {problem}")).collect::<Vec<_>>().join("\n"))]
pub(crate) struct ConfigError(pub(crate) Vec<String>);

/// The settings of a process.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    pub(crate) database_url: String,
    pub(crate) redis_url: Option<String>,
    pub(crate) http_addr: SocketAddr,
    pub(crate) metrics_addr: Option<SocketAddr>,
    pub(crate) public_url: Option<Url>,
    pub(crate) secret_key: Option<SecretString>,
    pub(crate) admin_token: Option<SecretString>,
    pub(crate) twilio: TwilioConfig,
    pub(crate) models: ModelsConfig,
    /// Where traces are shown, with `{trace}` in the place of a trace's id.
    pub(crate) trace_url: Option<String>,
    /// Where what contacts attach is kept: `file://` or `s3://`.
    pub(crate) media_url: Url,
    /// What turns voice into text, if anything does.
    pub(crate) speech: Option<TranscriberSettings>,
    /// How long a contact must have written nothing before an agent is asked.
    pub(crate) quiet_period: Duration,
    /// Open on loopback, with demo data: a child of `recado dev`.
    pub(crate) dev: bool,
}

/// Where Twilio is, and the account of the owner `default`.
#[derive(Clone, Debug)]
pub(crate) struct TwilioConfig {
    pub(crate) api_url: String,
    /// The longest that a request may take.
    pub(crate) timeout: Duration,
    /// The longest until a message shows in Twilio's list.
    pub(crate) listing_delay: Duration,
    /// The longest that a send of unknown fate keeps its place in the lane before a person is asked.
    pub(crate) hold: Duration,
    pub(crate) account: Option<TwilioAccount>,
}

/// The account of the owner `default`.
#[derive(Clone, Debug)]
pub(crate) struct TwilioAccount {
    pub(crate) sid: String,
    pub(crate) auth_token: SecretString,
    pub(crate) addresses: Vec<Address>,
}

/// The language models, in the order in which they are asked.
#[derive(Clone, Debug)]
pub(crate) struct ModelsConfig {
    pub(crate) providers: Vec<Provider>,
    /// The longest that a request to one of them may take.
    pub(crate) timeout: Duration,
}

/// Where spans go.
#[derive(Clone, Debug)]
pub(crate) struct TracesConfig {
    /// The collector's address, without the path.
    pub(crate) endpoint: String,
    /// The share of runs that are traced, from 0 to 1.
    pub(crate) share: f64,
}

impl TracesConfig {
    /// Reads the environment; `None` where nothing is to be exported.
    pub(crate) fn from_env() -> Option<Self> {
        let mut read = Reader {
            lookup: &|name| std::env::var(name).ok(),
            problems: Vec::new(),
        };
        read.traces()
    }
}

/// How lines of the log look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LogFormat {
    /// An object a line.
    Json,
    /// For people.
    Text,
}

impl FromStr for LogFormat {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "json" => Ok(Self::Json),
            "text" => Ok(Self::Text),
            _ => Err("is neither json nor text"),
        }
    }
}

impl Config {
    /// Reads the environment, `.env` included.
    ///
    /// # Errors
    /// All settings that are malformed, or given by halves.
    pub(crate) fn from_env() -> Result<Self, ConfigError> {
        Self::read(&|name| std::env::var(name).ok())
    }

    /// Reads the settings that `lookup` knows.
    fn read(lookup: &dyn Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let mut read = Reader {
            lookup,
            problems: Vec::new(),
        };
        let database_url = read.database_url();
        let config = Self {
            media_url: read.media_url(&database_url),
            speech: read.speech(),
            database_url,
            redis_url: read.checked("REDIS_URL", |text| {
                let url = Url::parse(text).map_err(|error| error.to_string())?;
                match url.scheme() {
                    "redis" | "rediss" => Ok(text.to_owned()),
                    other => Err(format!("`{other}://` is not redis:// or rediss://")),
                }
            }),
            http_addr: read
                .parsed("HTTP_ADDR")
                .unwrap_or(SocketAddr::from(([127, 0, 0, 1], 8000))),
            metrics_addr: read.parsed("METRICS_ADDR"),
            public_url: read.checked("PUBLIC_URL", public_url),
            secret_key: read.checked("SECRET_KEY", |text| match text.chars().count() {
                0..=31 => Err("is shorter than 32 characters; `openssl rand -hex 32` makes one".to_owned()),
                _ => Ok(SecretString::from(text)),
            }),
            admin_token: read.text("ADMIN_TOKEN").map(SecretString::from),
            twilio: read.twilio(),
            models: read.models(),
            trace_url: read.checked("TRACE_URL", trace_url),
            quiet_period: read.seconds_up_to("QUIET_PERIOD", 0.0, LONGEST_QUIET_PERIOD),
            dev: read.text("RECADO_DEV").is_some(),
        };
        // These two are read before the others, when the log begins; what is wrong with them is told here.
        let _ = read.traces();
        let _: Option<LogFormat> = read.parsed("LOG_FORMAT");
        if read.problems.is_empty() {
            Ok(config)
        } else {
            Err(ConfigError(read.problems))
        }
    }

    /// Checks that what a front end cannot do without is there.
    ///
    /// # Errors
    /// The settings that are missing.
    pub(crate) fn require_for_serve(&self) -> Result<(), ConfigError> {
        let mut missing = self.missing_secret();
        if self.admin_token.is_none() {
            missing.push(
                "ADMIN_TOKEN is missing: any text; it opens the pages and the API to the operator".to_owned(),
            );
        }
        if self.public_url.is_none() {
            missing.push(
                "PUBLIC_URL is missing: where Twilio reaches this server, e.g. https://example.com"
                    .to_owned(),
            );
        }
        if missing.is_empty() {
            Ok(())
        } else {
            Err(ConfigError(missing))
        }
    }

    /// Checks that what a worker cannot do without is there.
    ///
    /// # Errors
    /// The settings that are missing, or SQLite, which one process has to itself.
    pub(crate) fn require_for_worker(&self) -> Result<(), ConfigError> {
        let mut missing = self.missing_secret();
        if self.public_url.is_none() {
            missing.push("PUBLIC_URL is missing: Twilio reports there what became of a message".to_owned());
        }
        if self.is_sqlite() {
            missing.push(
                "DATABASE_URL names an SQLite file, which one process has to itself: run `recado serve --worker`, \
                 or give a postgres:// URL"
                    .to_owned(),
            );
        }
        if missing.is_empty() {
            Ok(())
        } else {
            Err(ConfigError(missing))
        }
    }

    fn missing_secret(&self) -> Vec<String> {
        match self.secret_key {
            Some(_) => Vec::new(),
            None => vec![
                "SECRET_KEY is missing: 32 characters or more; `openssl rand -hex 32` makes one".to_owned(),
            ],
        }
    }

    /// Whether the database is an embedded file.
    pub(crate) fn is_sqlite(&self) -> bool {
        self.database_url.starts_with("sqlite:")
    }
}

/// The folder for files where none is named: beside the SQLite file, or `data/media`.
fn beside(database_url: &str) -> PathBuf {
    let file = database_url
        .strip_prefix("sqlite:")
        .map(|path| path.trim_start_matches("//"));
    let file = file.map(|path| Path::new(path.split('?').next().unwrap_or_default()));
    match file.and_then(Path::parent) {
        Some(folder) => folder.join("media"),
        None => PathBuf::from("data/media"),
    }
}

fn public_url(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| error.to_string())?;
    match url.scheme() {
        "http" | "https" if url.query().is_none() && url.fragment().is_none() => Ok(url),
        "http" | "https" => Err("must have no query and no fragment".to_owned()),
        other => Err(format!("`{other}://` is not http:// or https://")),
    }
}

fn trace_url(text: &str) -> Result<String, String> {
    let url = Url::parse(text).map_err(|error| error.to_string())?;
    match url.scheme() {
        "http" | "https" if text.contains("{trace}") => Ok(text.to_owned()),
        "http" | "https" => Err("must have {trace} where the id of a trace belongs".to_owned()),
        other => Err(format!("`{other}://` is not http:// or https://")),
    }
}

struct Reader<'a> {
    lookup: &'a dyn Fn(&str) -> Option<String>,
    problems: Vec<String>,
}

impl Reader<'_> {
    /// An empty setting counts as none: `.env` files and compose files leave them so.
    fn text(&self, name: &str) -> Option<String> {
        (self.lookup)(name)
            .map(|text| text.trim().to_owned())
            .filter(|text| !text.is_empty())
    }

    fn checked<T>(&mut self, name: &str, check: impl FnOnce(&str) -> Result<T, String>) -> Option<T> {
        let text = self.text(name)?;
        check(&text)
            .map_err(|problem| self.problems.push(format!("{name}: {problem}")))
            .ok()
    }

    fn parsed<T: FromStr<Err: Display>>(&mut self, name: &str) -> Option<T> {
        self.checked(name, |text| {
            text.parse().map_err(|error: T::Err| error.to_string())
        })
    }

    fn seconds(&mut self, name: &str, default: f64) -> Duration {
        self.seconds_up_to(name, default, 3600.0)
    }

    fn seconds_up_to(&mut self, name: &str, default: f64, most: f64) -> Duration {
        let check = |text: &str| match text.parse::<f64>() {
            Ok(seconds) if (0.0..=most).contains(&seconds) => Ok(seconds),
            _ => Err(format!("must be a number of seconds from 0 to {most}")),
        };
        Duration::from_secs_f64(self.checked(name, check).unwrap_or(default))
    }

    fn url(&mut self, name: &str) -> Option<String> {
        self.checked(name, |text| public_url(text).map(|_| text.to_owned()))
    }

    fn database_url(&mut self) -> String {
        let checked = self.checked("DATABASE_URL", |text| {
            match ["sqlite:", "postgres://", "postgresql://"]
                .iter()
                .any(|scheme| text.starts_with(scheme))
            {
                true => Ok(text.to_owned()),
                false => Err("must begin with sqlite://, postgres:// or postgresql://".to_owned()),
            }
        });
        checked.unwrap_or_else(|| "sqlite://data/recado.db".to_owned())
    }

    fn media_url(&mut self, database_url: &str) -> Url {
        let given = self.checked("MEDIA_URL", |text| {
            let url = Url::parse(text).map_err(|error| error.to_string())?;
            match url.scheme() {
                "file" if url.to_file_path().is_ok() => Ok(url),
                "file" => {
                    Err("must name a folder from the root, as in file:///var/lib/recado/media".to_owned())
                }
                "s3" if url.has_host() => Ok(url),
                "s3" => Err("must name a bucket, as in s3://bucket/folder".to_owned()),
                other => Err(format!("`{other}://` is neither file:// nor s3://")),
            }
        });
        if let Some(url) = given {
            return url;
        }
        let folder = std::path::absolute(beside(database_url)).ok();
        let url = folder.and_then(|folder| Url::from_directory_path(folder).ok());
        url.unwrap_or_else(|| {
            let told = "MEDIA_URL is missing, and the folder of this process cannot be told";
            self.problems.push(told.to_owned());
            Url::from_directory_path("/").unwrap_or_else(|()| unreachable!("a problem has been noted"))
        })
    }

    fn speech(&mut self) -> Option<TranscriberSettings> {
        let (key, model) = (self.text("TRANSCRIBE_API_KEY"), self.text("TRANSCRIBE_MODEL"));
        let timeout = self.seconds("TRANSCRIBE_TIMEOUT", 120.0);
        Some(TranscriberSettings {
            url: self.url("TRANSCRIBE_URL")?,
            key: key.map(SecretString::from),
            model: model.unwrap_or_else(|| "whisper-1".to_owned()),
            timeout,
        })
    }

    fn twilio(&mut self) -> TwilioConfig {
        let sid = self.checked("TWILIO_ACCOUNT_SID", |text| {
            let hex = text
                .strip_prefix("AC")
                .is_some_and(|rest| rest.len() == 32 && rest.bytes().all(|byte| byte.is_ascii_hexdigit()));
            if hex {
                Ok(text.to_owned())
            } else {
                Err("is not AC and 32 hexadecimal digits".to_owned())
            }
        });
        let phone = self.parsed::<PhoneNumber>("TWILIO_PHONE_NUMBER");
        let whatsapp = self.parsed::<PhoneNumber>("TWILIO_WHATSAPP_NUMBER");
        let addresses: Vec<Address> = [
            phone.map(|number| number.as_str().to_owned()),
            whatsapp.map(|number| format!("whatsapp:{}", number.as_str())),
        ]
        .into_iter()
        .flatten()
        .filter_map(|text| Address::parse(&text).ok())
        .collect();
        let token = self.text("TWILIO_AUTH_TOKEN").map(SecretString::from);
        let account = match (sid, token) {
            (Some(sid), Some(auth_token)) => Some(TwilioAccount {
                sid,
                auth_token,
                addresses,
            }),
            (Some(_), None) => {
                self.problems
                    .push("TWILIO_AUTH_TOKEN is missing beside TWILIO_ACCOUNT_SID".to_owned());
                None
            }
            (None, Some(_)) if self.text("TWILIO_ACCOUNT_SID").is_none() => {
                self.problems
                    .push("TWILIO_ACCOUNT_SID is missing beside TWILIO_AUTH_TOKEN".to_owned());
                None
            }
            _ => None,
        };
        TwilioConfig {
            api_url: self
                .url("TWILIO_API_URL")
                .unwrap_or_else(|| "https://api.twilio.com".to_owned()),
            timeout: self.seconds("TWILIO_TIMEOUT", 10.0),
            listing_delay: self.seconds("TWILIO_LISTING_DELAY", 10.0),
            hold: self.seconds("TWILIO_HOLD", 600.0),
            account,
        }
    }

    fn traces(&mut self) -> Option<TracesConfig> {
        let share = self.checked("OTEL_TRACES_SAMPLER_ARG", |text| match text.parse::<f64>() {
            Ok(share) if (0.0..=1.0).contains(&share) => Ok(share),
            _ => Err("must be a number from 0 to 1".to_owned()),
        });
        Some(TracesConfig {
            endpoint: self.url("OTEL_EXPORTER_OTLP_ENDPOINT")?,
            share: share.unwrap_or(1.0),
        })
    }

    fn models(&mut self) -> ModelsConfig {
        let mut providers = Vec::new();
        let openai_url = self.url("OPENAI_BASE_URL");
        for (vendor, name) in [
            (Vendor::OpenAi, "OPENAI_API_KEY"),
            (Vendor::Groq, "GROQ_API_KEY"),
            (Vendor::Gemini, "GEMINI_API_KEY"),
        ] {
            if let Some(key) = self.text(name) {
                let mut provider = vendor.provider(Some(SecretString::from(key)));
                if let (Vendor::OpenAi, Some(url)) = (vendor, &openai_url) {
                    provider.base_url.clone_from(url);
                }
                providers.push(provider);
            }
        }
        if let Some(url) = self.url("OLLAMA_URL") {
            let mut provider = Vendor::Ollama.provider(None);
            provider.base_url = url;
            providers.push(provider);
        }
        ModelsConfig {
            providers,
            timeout: self.seconds("MODEL_TIMEOUT", 20.0),
        }
    }
}

/// A key of which the same text always makes the same, for cookies and the like.
pub(crate) fn derived_key(purpose: &str, secrets: &[&SecretString]) -> [u8; 64] {
    use sha2::{Digest, Sha512};
    let mut hash = Sha512::new();
    hash.update(purpose);
    for secret in secrets {
        hash.update([0]);
        hash.update(secret.expose_secret());
    }
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(settings: &[(&str, &str)]) -> Result<Config, ConfigError> {
        let lookup = |name: &str| {
            settings
                .iter()
                .find(|(key, _)| *key == name)
                .map(|(_, value)| (*value).to_owned())
        };
        Config::read(&lookup)
    }

    #[test]
    fn an_empty_environment_is_good_for_a_laptop() {
        let config = read(&[("REDIS_URL", ""), ("HTTP_ADDR", " ")]).expect("defaults");
        assert_eq!(config.database_url, "sqlite://data/recado.db");
        assert_eq!(config.http_addr.to_string(), "127.0.0.1:8000");
        assert!(config.redis_url.is_none() && config.models.providers.is_empty() && !config.dev);
    }

    #[test]
    fn every_malformed_setting_is_named() {
        let settings = [
            ("DATABASE_URL", "mysql://x"),
            ("REDIS_URL", "http://x"),
            ("HTTP_ADDR", "8000"),
            ("PUBLIC_URL", "ftp://x"),
            ("SECRET_KEY", "short"),
            ("TWILIO_ACCOUNT_SID", "AC1"),
            ("TWILIO_PHONE_NUMBER", "12345"),
            ("TWILIO_TIMEOUT", "soon"),
            ("OLLAMA_URL", "nowhere"),
            ("QUIET_PERIOD", "61"),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4318"),
            ("OTEL_TRACES_SAMPLER_ARG", "2"),
            ("TRACE_URL", "http://localhost:9411/"),
            ("LOG_FORMAT", "xml"),
            ("MEDIA_URL", "ftp://files"),
            ("TRANSCRIBE_URL", "somewhere"),
        ];
        let told = read(&settings).expect_err("malformed").to_string();
        for (name, _) in settings {
            assert!(told.contains(name), "{name} is not named in:\n{told}");
        }
    }

    #[test]
    fn what_serve_cannot_do_without_is_named() {
        let told = read(&[])
            .expect("defaults")
            .require_for_serve()
            .expect_err("missing")
            .to_string();
        for name in ["SECRET_KEY", "ADMIN_TOKEN", "PUBLIC_URL"] {
            assert!(told.contains(name), "{told}");
        }
    }

    #[test]
    fn files_are_kept_beside_the_database_unless_told_otherwise() {
        let url = |settings: &[(&str, &str)]| read(settings).expect("good").media_url.to_string();
        let beside = url(&[("DATABASE_URL", "sqlite:///var/lib/recado/recado.db?mode=rwc")]);
        assert_eq!(beside, "file:///var/lib/recado/media/");
        assert!(url(&[]).ends_with("/data/media/"), "{}", url(&[]));
        assert!(url(&[("DATABASE_URL", "postgres://x/y")]).ends_with("/data/media/"));
        assert_eq!(url(&[("MEDIA_URL", "s3://bucket/folder")]), "s3://bucket/folder");
        let told = read(&[("MEDIA_URL", "file://data/media")]).expect_err("no folder");
        assert!(told.to_string().contains("from the root"), "{told}");
    }

    #[test]
    fn half_an_account_is_a_mistake() {
        let told = read(&[("TWILIO_AUTH_TOKEN", "t")]).expect_err("half").to_string();
        assert!(told.contains("TWILIO_ACCOUNT_SID"), "{told}");
    }

    #[test]
    fn a_worker_has_no_use_for_sqlite() {
        let told = read(&[])
            .expect("defaults")
            .require_for_worker()
            .expect_err("sqlite")
            .to_string();
        assert!(
            told.contains("DATABASE_URL") && told.contains("serve --worker"),
            "{told}"
        );
    }
}
