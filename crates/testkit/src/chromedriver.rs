//! A real browser for tests of pages.
use std::time::Duration;

use tempfile::TempDir;

use crate::{Process, free_port, http, server};

/// Long enough for a browser's first start on two busy cores.
const START: Duration = Duration::from_secs(30);

/// A chromedriver of its own, with an own profile; it and its browser are gone when this is dropped.
///
/// With thirtyfour: `set_binary(driver.binary())`, `add_arg` for each of `arguments()`, then
/// `WebDriver::new(driver.url(), capabilities)`.
#[derive(Debug)]
pub struct Chromedriver {
    process: Process,
    url: String,
    binary: String,
    profile: TempDir,
}

impl Chromedriver {
    /// Starts one, and returns when it answers.
    ///
    /// # Panics
    /// If it does not, or where `make test` did not say where Chromium is.
    pub async fn start() -> Chromedriver {
        let program = server::variable("RECADO_TEST_CHROMEDRIVER");
        let binary = server::variable("RECADO_TEST_CHROMIUM");
        let profile = match TempDir::with_prefix("recado-chromium-") {
            Ok(profile) => profile,
            Err(error) => panic!("making a folder for a browser's profile: {error}"),
        };
        let port = free_port();
        let url = format!("http://127.0.0.1:{port}");
        let mut process = Process::spawn(program, &[&format!("--port={port}")], &[]);
        process.wait_for_http(&format!("{url}/status"), START).await;
        Chromedriver {
            process,
            url,
            binary,
            profile,
        }
    }

    /// Where WebDriver requests go: `http://127.0.0.1:…`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The path of Chromium.
    pub fn binary(&self) -> &str {
        &self.binary
    }

    /// What Chromium is to be started with: no window, no requests of its own, the profile of this driver.
    pub fn arguments(&self) -> Vec<String> {
        let fixed = [
            "--headless",
            // Chromium's sandbox needs rights that a container, or root, does not have.
            "--no-sandbox",
            // A container's /dev/shm is often too small for a page.
            "--disable-dev-shm-usage",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
        ];
        let profile = format!("--user-data-dir={}", self.profile.path().display());
        fixed.into_iter().map(str::to_owned).chain([profile]).collect()
    }
}

impl Drop for Chromedriver {
    fn drop(&mut self) {
        // A chromedriver that is merely killed leaves its browser running; this request ends the browser.
        let answer = http::get(&format!("{}/shutdown", self.url));
        if let Err(error) = answer {
            eprintln!(
                "chromedriver {} did not shut its browser down: {error}",
                self.process.id()
            );
        }
    }
}
