//! A world for the program under test: a vendor that does not forget, a database, and real processes.
mod api;
pub(crate) mod chance;
pub(crate) mod servers;
pub(crate) mod webhook;

use std::time::Duration;

use recado_simulator::{Account, Book, Config, Faults, Inbound, Received, Simulator};
use recado_testkit::{Backend, Process, TestDatabase, free_port};
use tempfile::TempDir;

pub(crate) use self::api::Answered;

/// The program.
pub(crate) const RECADO: &str = env!("CARGO_BIN_EXE_recado");
/// Our Twilio account.
pub(crate) const ACCOUNT: &str = "AC0123456789abcdef0123456789abcdef";
/// Its auth token.
pub(crate) const TOKEN: &str = "a token that only Twilio and we know";
/// Its number, for SMS and for WhatsApp.
pub(crate) const NUMBER: &str = "+14155238886";
/// The operator's token.
pub(crate) const ADMIN: &str = "let-me-in";
/// Long enough for whatever is to happen, on two busy cores.
pub(crate) const PATIENCE: Duration = Duration::from_secs(40);

/// A simulated Twilio and model, a database, and the settings with which processes are started.
pub(crate) struct World {
    pub(crate) simulator: Simulator,
    pub(crate) database: TestDatabase,
    pub(crate) client: reqwest::Client,
    /// Where the front end listens, whichever process that is.
    pub(crate) url: String,
    settings: Vec<(String, String)>,
    /// Where the simulator's book is, and what contacts attach.
    pub(crate) folder: TempDir,
}

/// A `recado worker`, and where it tells how it is.
pub(crate) struct Worker {
    pub(crate) process: Process,
    pub(crate) url: String,
}

impl World {
    /// With a model that echoes: the answer to `x` is [`echo`]`("x")`.
    pub(crate) async fn new(backend: Backend) -> Self {
        let world = Self::without_model(backend).await;
        let models = format!("{}/v1", world.simulator.url());
        world
            .set("OPENAI_API_KEY", "simulated")
            .set("OPENAI_BASE_URL", &models)
    }

    /// Without any model: the offline agent answers.
    pub(crate) async fn without_model(backend: Backend) -> Self {
        Self::on(TestDatabase::new(backend).await).await
    }

    pub(crate) async fn on(database: TestDatabase) -> Self {
        let book = TempDir::with_prefix("recado-book-").unwrap();
        let addr = format!("127.0.0.1:{}", free_port());
        let url = format!("http://{addr}");
        let account = Account::new(ACCOUNT, TOKEN)
            .number(NUMBER)
            .webhook(webhook::inbound_url(&url))
            .voice(
                format!("{url}/api/v1/twilio/webhooks/voice"),
                format!("{url}/api/v1/twilio/webhooks/call-status"),
            );
        let simulator = Simulator::start(Config::new(book.path().join("book")).account(account))
            .await
            .unwrap();
        let client = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none());
        let files = format!("file://{}", book.path().join("files").display());
        let settings = [
            ("MEDIA_URL", files.as_str()),
            ("DATABASE_URL", database.url()),
            ("HTTP_ADDR", &addr),
            ("PUBLIC_URL", &url),
            ("SECRET_KEY", "a secret of more than thirty-two characters"),
            ("ADMIN_TOKEN", ADMIN),
            ("TWILIO_ACCOUNT_SID", ACCOUNT),
            ("TWILIO_AUTH_TOKEN", TOKEN),
            ("TWILIO_PHONE_NUMBER", NUMBER),
            ("TWILIO_WHATSAPP_NUMBER", NUMBER),
            ("TWILIO_API_URL", simulator.url()),
            // What the simulator takes, it lists at once: a definite no comes soon.
            ("TWILIO_LISTING_DELAY", "1"),
            ("TWILIO_TIMEOUT", "2"),
        ];
        let settings = settings
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .to_vec();
        let client = client.build().unwrap();
        Self {
            simulator,
            database,
            client,
            url,
            settings,
            folder: book,
        }
    }

    /// Changes a setting of the processes to come; an empty one counts as none.
    pub(crate) fn set(mut self, name: &str, value: &str) -> Self {
        self.settings.retain(|(known, _)| known != name);
        self.settings.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Starts `recado` with these arguments.
    pub(crate) fn spawn(&self, arguments: &[&str]) -> Process {
        self.spawn_with(arguments, &[])
    }

    /// Starts `recado` with these arguments and some settings changed; an empty one counts as none.
    pub(crate) fn spawn_with(&self, arguments: &[&str], changed: &[(&str, &str)]) -> Process {
        let known = self
            .settings
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()));
        // The last one wins.
        let settings: Vec<_> = known.chain(changed.iter().copied()).collect();
        Process::spawn(RECADO, arguments, &settings)
    }

    /// `recado serve --worker`, answering.
    pub(crate) async fn serve_and_work(&self) -> Process {
        self.started(&["serve", "--worker"]).await
    }

    /// `recado serve`, answering.
    pub(crate) async fn serve(&self) -> Process {
        self.started(&["serve"]).await
    }

    async fn started(&self, arguments: &[&str]) -> Process {
        let mut process = self.spawn(arguments);
        process
            .wait_for_http(&format!("{}/health/ready", self.url), PATIENCE)
            .await;
        process
    }

    /// `recado worker`, answering on a port of its own.
    pub(crate) async fn worker(&self) -> Worker {
        let addr = format!("127.0.0.1:{}", free_port());
        let mut process = self.spawn_with(&["worker"], &[("METRICS_ADDR", &addr)]);
        let url = format!("http://{addr}");
        process
            .wait_for_http(&format!("{url}/health/ready"), PATIENCE)
            .await;
        Worker { process, url }
    }

    /// Runs `recado` to its end. Returns its exit code and all that it wrote.
    pub(crate) async fn run(&self, arguments: &[&str]) -> (i32, String) {
        self.run_with(arguments, &[]).await
    }

    /// The same with some settings changed.
    pub(crate) async fn run_with(&self, arguments: &[&str], changed: &[(&str, &str)]) -> (i32, String) {
        let mut process = self.spawn_with(arguments, changed);
        let status = process.wait(PATIENCE).await;
        (status.code().unwrap_or(-1), process.output())
    }

    /// A contact writes to us. Returns the message's SID once it is acknowledged.
    pub(crate) async fn say(&self, contact: &str, body: &str) -> String {
        let received = self
            .deliver(Inbound {
                from: contact.into(),
                body: body.into(),
                ..Inbound::default()
            })
            .await;
        assert!(received.is_accepted(), "{:?}", received.attempts);
        received.sid
    }

    pub(crate) async fn deliver(&self, inbound: Inbound) -> Received {
        self.simulator.send_inbound(inbound).await.unwrap()
    }

    /// The texts that `contact` got, when there are `count` of them at least.
    pub(crate) async fn answers(&self, contact: &str, count: usize) -> Vec<String> {
        self.seen(|book| book.outbound_to(contact).len() >= count).await;
        self.texts(contact)
    }

    /// The messages that `contact` has got an echo of, in order, when there are `count` of them at least. One answer may
    /// cover several: a burst is answered at once.
    pub(crate) async fn answered(&self, contact: &str, count: usize) -> Vec<String> {
        self.seen(|book| echoed(book, contact).len() >= count).await;
        echoed(self.simulator.book(), contact)
    }

    /// The texts that `contact` has got.
    pub(crate) fn texts(&self, contact: &str) -> Vec<String> {
        self.simulator
            .book()
            .outbound_to(contact)
            .iter()
            .map(|message| message.body.clone())
            .collect()
    }

    /// Waits until the vendor's book satisfies `seen`.
    pub(crate) async fn seen(&self, seen: impl Fn(&Book) -> bool) {
        self.simulator.wait_for(seen, PATIENCE).await.unwrap();
    }

    /// The vendor misbehaves from now on.
    pub(crate) fn misbehave(&self, how: impl FnOnce(&mut Faults)) {
        let mut faults = Faults::default();
        how(&mut faults);
        self.simulator.set_faults(faults);
    }
}

/// The contact of a number from 0 to 9999, on WhatsApp.
pub(crate) fn contact(number: u32) -> String {
    format!("whatsapp:+551198765{number:04}")
}

/// What the simulated model answers.
pub(crate) fn echo(body: &str) -> String {
    format!("you said: {body}")
}

/// What the answers to `contact` are echoes of, message by message; what is no echo, as it is.
pub(crate) fn echoed(book: &Book, contact: &str) -> Vec<String> {
    let answers = book.outbound_to(contact);
    let lines = answers.iter().flat_map(|answer| {
        let said = answer.body.strip_prefix("you said: ").unwrap_or(&answer.body);
        said.lines().map(str::to_owned).collect::<Vec<_>>()
    });
    lines.collect()
}

/// The requests to send a message to `to`, whatever became of them.
pub(crate) fn creates(book: &Book, to: &str) -> Vec<std::sync::Arc<recado_simulator::RequestRecord>> {
    let mut requests = book.requests();
    requests.retain(|request| {
        request.method == "POST" && request.path.ends_with("/Messages.json") && request.params["To"] == to
    });
    requests
}

/// The requests to the model.
pub(crate) fn completions(book: &Book) -> usize {
    book.requests()
        .iter()
        .filter(|request| request.path.ends_with("/chat/completions"))
        .count()
}
