//! `recado dev` in a folder of its own, and a browser in front of it.
use std::{path::PathBuf, time::Duration};

use recado_testkit::{Chromedriver, Process, eventually, free_port};
use sea_orm::{Database, DatabaseConnection};
use serde_json::{Value, json};
use thirtyfour::{ChromiumLikeCapabilities, LoggingPrefsLogLevel, error::WebDriverErrorInner, prelude::*};

/// Long enough for anything on two busy cores.
pub(crate) const SOON: Duration = Duration::from_secs(40);
/// A desk, and a small telephone: width and height.
const DESK: (u32, u32) = (1280, 860);
const POCKET: (u32, u32) = (360, 760);

/// A program and a browser. Both are gone when this is dropped; [`World::end`] also looks for errors in the browser.
pub(crate) struct World {
    pub(crate) driver: WebDriver,
    url: String,
    _chromedriver: Chromedriver,
    dev: Process,
}

impl World {
    pub(crate) async fn start() -> WebDriverResult<World> {
        let address = format!("127.0.0.1:{}", free_port());
        let environment = [("HTTP_ADDR", address.as_str()), ("LOG", "recado=debug,info")];
        let mut dev = Process::spawn(env!("CARGO_BIN_EXE_recado"), &["dev"], &environment);
        let url = format!("http://{address}");
        let chromedriver = Chromedriver::start().await;
        let mut capabilities = DesiredCapabilities::chrome();
        capabilities.set_binary(chromedriver.binary())?;
        for argument in chromedriver.arguments() {
            capabilities.add_arg(&argument)?;
        }
        capabilities.set_browser_log_level(LoggingPrefsLogLevel::All)?;
        // Makes a provider of TLS known to the process, without which thirtyfour's client cannot even speak HTTP.
        drop(recado_clients::http(SOON));
        let driver = WebDriver::new(chromedriver.url(), capabilities).await?;
        dev.wait_for_http(&format!("{url}/health/ready"), SOON).await;
        let world = World {
            driver,
            url,
            _chromedriver: chromedriver,
            dev,
        };
        world.look_from(DESK).await?;
        Ok(world)
    }

    /// Closes the browser, after its log was read: no page may have been forbidden or have failed to run something.
    pub(crate) async fn end(self) -> WebDriverResult<()> {
        let log = self.driver.browser_log().await?;
        let ours = |text: &str| text.contains("Content Security Policy") || text.contains("Uncaught");
        let bad: Vec<_> = log
            .iter()
            .map(|entry| &entry.message)
            .filter(|text| ours(text))
            .collect();
        assert!(bad.is_empty(), "{bad:?}");
        self.driver.quit().await
    }

    /// What is in the program's own database, while it runs.
    pub(crate) async fn database(&self) -> DatabaseConnection {
        let file = self.dev.dir().join("data/recado.db");
        let url = format!("sqlite://{}", file.display());
        Database::connect(url).await.expect("the program's database")
    }

    pub(crate) async fn open(&self, path: &str) -> WebDriverResult<()> {
        self.driver.goto(format!("{}{path}", self.url)).await
    }

    /// Waits until an element that `css` finds shows `text`.
    pub(crate) async fn see(&self, css: &str, text: &str) -> WebElement {
        let probe = async || {
            for element in self.driver.find_all(By::Css(css)).await.ok()? {
                let shown = element.text().await.unwrap_or_default();
                if element.is_displayed().await.unwrap_or_default() && shown.contains(text) {
                    return Some(element);
                }
            }
            None
        };
        match tokio::time::timeout(SOON, eventually(Duration::MAX, probe)).await {
            Ok(element) => element,
            Err(_) => panic!(
                "{css:?} never showed {text:?}; the page shows:\n{}",
                self.shown("body").await
            ),
        }
    }

    /// Waits until nothing that `css` finds is shown.
    pub(crate) async fn see_no(&self, css: &str) {
        let probe = async || {
            for element in self.driver.find_all(By::Css(css)).await.ok()? {
                if element.is_displayed().await.unwrap_or_default() {
                    return None;
                }
            }
            Some(())
        };
        if tokio::time::timeout(SOON, eventually(Duration::MAX, probe))
            .await
            .is_err()
        {
            panic!(
                "{css:?} never went; the page shows:\n{}",
                self.shown("body").await
            );
        }
    }

    /// What the first element that `css` finds shows.
    pub(crate) async fn shown(&self, css: &str) -> String {
        match self.driver.find(By::Css(css)).await {
            Ok(element) => element.text().await.unwrap_or_default(),
            Err(error) => error.to_string(),
        }
    }

    /// What all elements that `css` finds show.
    pub(crate) async fn all(&self, css: &str) -> WebDriverResult<Vec<String>> {
        on_a_living_page(async || {
            let mut shown = Vec::new();
            for element in self.driver.find_all(By::Css(css)).await? {
                shown.push(element.text().await?);
            }
            Ok(shown)
        })
        .await
    }

    /// An attribute of what `css` finds; empty without one.
    pub(crate) async fn attribute(&self, css: &str, name: &str) -> WebDriverResult<String> {
        on_a_living_page(async || {
            let element = self.driver.find(By::Css(css)).await?;
            Ok(element.attr(name).await?.unwrap_or_default())
        })
        .await
    }

    pub(crate) async fn click(&self, css: &str) -> WebDriverResult<()> {
        on_a_living_page(async || self.driver.find(By::Css(css)).await?.click().await).await
    }

    /// Types a message on the telephone and sends it, as a person does.
    pub(crate) async fn say(&self, text: &str) -> WebDriverResult<()> {
        let body = self.driver.find(By::Id("body")).await?;
        let mut lines = text.split('\n');
        body.send_keys(lines.next().unwrap_or_default()).await?;
        for line in lines {
            body.send_keys(Key::Shift + Key::Enter).await?;
            body.send_keys(line).await?;
        }
        body.send_keys(Key::Enter + "").await
    }

    /// What `script` returns.
    pub(crate) async fn js(&self, script: &str) -> WebDriverResult<Value> {
        Ok(self.driver.execute(script, vec![]).await?.json().clone())
    }

    /// Asks the program for JSON from within the page. `body` makes it a PUT.
    pub(crate) async fn ask(&self, path: &str, body: Option<Value>) -> WebDriverResult<Value> {
        let script = "const [path, body, done] = arguments;
            const put = { method: 'PUT', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) };
            fetch(path, body === null ? {} : put).then((answer) => answer.json()).then(done, (error) => done(String(error)));";
        let given = vec![json!(path), json!(body)];
        Ok(self.driver.execute_async(script, given).await?.json().clone())
    }

    /// Misbehaves like this from now on.
    pub(crate) async fn misbehave(&self, faults: Value) -> WebDriverResult<()> {
        let now = self.ask("/_simulator/faults", Some(faults)).await?;
        assert!(now["twilio"].is_object(), "{now}");
        Ok(())
    }

    /// The bodies of what was sent to contacts, as the simulated Twilio has it.
    pub(crate) async fn sent(&self) -> WebDriverResult<Vec<String>> {
        let messages = self.ask("/_simulator/messages", None).await?;
        let items = messages["items"].as_array().cloned().unwrap_or_default();
        let outbound = items.iter().filter(|item| item["direction"] == "outbound");
        Ok(outbound
            .filter_map(|item| Some(item["body"].as_str()?.to_owned()))
            .collect())
    }

    /// Marks the page; whether it is still the same one is what [`World::is_same_page`] tells.
    pub(crate) async fn mark_page(&self) -> WebDriverResult<()> {
        self.js("window.marked = true").await.map(drop)
    }

    pub(crate) async fn is_same_page(&self) -> WebDriverResult<bool> {
        Ok(self.js("return window.marked === true").await? == true)
    }

    pub(crate) async fn sit_at_a_desk(&self) -> WebDriverResult<()> {
        self.look_from(DESK).await
    }

    pub(crate) async fn stand_with_a_telephone(&self) -> WebDriverResult<()> {
        self.look_from(POCKET).await
    }

    /// How far the page is wider than what one sees of it, in pixels, and by what.
    pub(crate) async fn overflow(&self) -> WebDriverResult<Value> {
        let script = "const wide = document.documentElement.scrollWidth - document.documentElement.clientWidth;
            const out = [...document.querySelectorAll('body *')].filter((element) =>
                !element.closest('.hidden, .skip, .scroll, pre, svg') && element.getBoundingClientRect().right > document.documentElement.clientWidth + 1);
            return wide <= 0 ? null : [wide, document.documentElement.clientWidth, out.map((element) => element.outerHTML.slice(0, 120))];";
        self.js(script).await
    }

    /// With `RECADO_SCREENSHOTS` set, keeps the present page as pictures in `docs/screenshots/`, wide and narrow; where it
    /// says `dark`, in the dark.
    pub(crate) async fn photograph(&self, name: &str) -> WebDriverResult<()> {
        let Some(light) = std::env::var_os("RECADO_SCREENSHOTS") else {
            return Ok(());
        };
        let scheme = if light == "dark" { "dark" } else { "light" };
        let media = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
        self.driver
            .cdp()
            .send_raw("Emulation.setEmulatedMedia", media)
            .await?;
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs/screenshots");
        std::fs::create_dir_all(&folder)?;
        self.driver
            .screenshot(&folder.join(format!("{name}.png")))
            .await?;
        self.stand_with_a_telephone().await?;
        self.driver
            .screenshot(&folder.join(format!("{name}-narrow.png")))
            .await?;
        self.sit_at_a_desk().await
    }

    async fn look_from(&self, (width, height): (u32, u32)) -> WebDriverResult<()> {
        let metrics = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false});
        self.driver
            .cdp()
            .send_raw("Emulation.setDeviceMetricsOverride", metrics)
            .await
            .map(drop)
    }
}

/// Does what needs an element again where a live page has put another in its place meanwhile: nothing was done to the one
/// that is gone.
pub(crate) async fn on_a_living_page<T>(act: impl AsyncFn() -> WebDriverResult<T>) -> WebDriverResult<T> {
    eventually(SOON, async || match act().await {
        Err(error) if matches!(error.as_inner(), WebDriverErrorInner::StaleElementReference(_)) => None,
        done => Some(done),
    })
    .await
}
