//! The web view of the app, and a browser of the person's: both by WebKitWebDriver.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::Duration;

use fantoccini::wd::Capabilities;
use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};

use crate::home::Home;
use crate::wait::until;

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
        let port = free_port();
        let driver = home
            .command("WebKitWebDriver")
            .env("TAURI_WEBVIEW_AUTOMATION", "true")
            .args([format!("--port={port}"), "--host=127.0.0.1".into()])
            .stdin(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("WebKitWebDriver: {error}"));
        let mut wanted = Capabilities::new();
        wanted.insert("webkitgtk:browserOptions".into(), json!({ "binary": program, "args": arguments }));
        let client = until("a web view", || async {
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

    /// Writes a picture of the page to `file`.
    pub async fn picture(&self, file: &Path) {
        let drawn = "const done = arguments[arguments.length - 1]; \
                     requestAnimationFrame(() => requestAnimationFrame(() => done(1)))";
        // A window that is not drawn (covered, or no compositor) never calls back.
        let waited = self.client.execute_async(drawn, vec![]);
        let _: Result<Result<Value, _>, _> = tokio::time::timeout(Duration::from_secs(2), waited).await;
        match self.client.screenshot().await {
            Ok(bytes) => {
                std::fs::write(file, bytes).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
            }
            Err(error) => panic!("no picture: {error}"),
        }
    }
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
