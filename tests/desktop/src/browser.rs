//! The web view of the app, and a browser of the person's: both by WebKitWebDriver.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use fantoccini::wd::Capabilities;
use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::json;

use crate::home::Home;
use crate::wait::{LONG, until, until_within};

const MINI_BROWSER: &str = "/usr/lib/x86_64-linux-gnu/webkit2gtk-4.1/MiniBrowser";

/// A page that a program shows. The driver ends the program when this ends.
pub struct Page {
    driver: Child,
    pub client: Client,
}

impl Page {
    /// Starts `program` and takes hold of its first web view.
    ///
    /// # Panics
    /// When it shows none.
    pub async fn of(home: &Home, program: &Path, arguments: &[&str]) -> Page {
        Page::of_within(home, program, arguments, &[], LONG).await
    }

    /// The same with more in its environment, and a patience of its own.
    ///
    /// # Panics
    /// When it shows none in that time.
    pub async fn of_within(
        home: &Home,
        program: &Path,
        arguments: &[&str],
        environment: &[(String, PathBuf)],
        patience: Duration,
    ) -> Page {
        let port = free_port();
        let driver = home
            .command("WebKitWebDriver")
            .env("TAURI_WEBVIEW_AUTOMATION", "true")
            .envs(environment.iter().map(|(name, value)| (name, value)))
            .args([format!("--port={port}"), "--host=127.0.0.1".into()])
            .stdin(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("WebKitWebDriver: {error}"));
        let mut wanted = Capabilities::new();
        wanted.insert("webkitgtk:browserOptions".into(), json!({ "binary": program, "args": arguments }));
        let client = until_within(patience, "a web view", || async {
            let mut builder = ClientBuilder::new(HttpConnector::new());
            builder.capabilities(wanted.clone()).connect(&format!("http://127.0.0.1:{port}")).await
        })
        .await;
        Page { driver, client }
    }

    /// The person's browser, at an address.
    pub async fn browser(home: &Home, address: &str) -> Page {
        let page = Page::of(home, Path::new(MINI_BROWSER), &["--automation"]).await;
        until("the address in the browser", || page.client.goto(address)).await;
        page
    }

    /// Clicks the button of this name, as soon as it can be.
    pub async fn press(&self, name: &str) {
        let path = format!("//button[normalize-space()='{name}' or starts-with(@aria-label, '{name}')]");
        until(&format!("the button “{name}”"), || async {
            let button = self.client.find(Locator::XPath(&path)).await.map_err(|error| error.to_string())?;
            button.click().await.map_err(|error| error.to_string())
        })
        .await;
    }

    /// Ticks the box of this name, as soon as it can be.
    pub async fn tick(&self, name: &str) {
        let path = format!("//label[contains(normalize-space(), '{name}')]//input[@type='checkbox']");
        until(&format!("the box “{name}”"), || async {
            let found = self.client.find(Locator::XPath(&path)).await.map_err(|error| error.to_string())?;
            found.click().await.map_err(|error| error.to_string())
        })
        .await;
    }

    /// What can be read on the page.
    pub async fn text(&self) -> String {
        let text = self.client.execute("return document.body.innerText", vec![]).await;
        text.ok().and_then(|text| text.as_str().map(str::to_owned)).unwrap_or_default()
    }

    /// Waits until all of `words` can be read.
    pub async fn says(&self, words: &[&str]) {
        until(&format!("{words:?} on the page"), || async {
            let text = self.text().await;
            if words.iter().all(|word| text.contains(word)) { Ok(()) } else { Err(text) }
        })
        .await;
    }

    /// Shows another page of the app in this window.
    pub async fn go(&self, fragment: &str) {
        let set = "location.hash = arguments[0]";
        until("another page", || self.client.execute(set, vec![json!(fragment)])).await;
    }
}

/// Writes a picture of the whole screen to `file`: what a person sees, notifications and all. (WebDriver's own picture
/// waits for a frame, which a window without a compositor may never draw.)
pub fn picture(file: &Path) {
    std::thread::sleep(Duration::from_millis(300)); // the frame after the last change
    let taken = Command::new("import").args(["-window", "root"]).arg(file).status();
    assert!(taken.as_ref().is_ok_and(|status| status.success()), "no picture: {taken:?}");
}

impl Drop for Page {
    fn drop(&mut self) {
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap_or_else(|error| panic!("no port: {error}"));
    let address = listener.local_addr().unwrap_or_else(|error| panic!("no port: {error}"));
    drop(listener);
    std::thread::sleep(Duration::from_millis(10));
    address.port()
}
