//! A Hub, a home, and the app in it.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use desktop::app::{Process, kill_app, mounted};
use desktop::browser::{Page, picture};
use desktop::home::Home;
use desktop::notifications::Told;
use desktop::panel::TrayIcon;
use desktop::wait::until;
use serde_json::{Value, json};
use testkit::LocalHub;

use crate::Desktop;

/// Long enough for a second notification to come, were there one.
const QUIET: Duration = Duration::from_secs(4);

pub struct Scene {
    pub desktop: Arc<Desktop>,
    pub home: Home,
    pub hub: LocalHub,
}

/// The app as it runs now.
pub struct Run {
    pub page: Page,
    pub icon: TrayIcon,
    pub process: Process,
}

impl Scene {
    pub fn new(desktop: Arc<Desktop>, hub: LocalHub) -> Scene {
        desktop.secrets.ensure(&desktop.home);
        Scene { desktop, home: Home::new(&hub), hub }
    }

    /// Starts the app with a window, so that there is a page to look at.
    pub async fn start(&self, page: &str) -> Run {
        let program = testkit::binary("bucketbar");
        let page = Page::of(&self.home, &program, &["--page", page]).await;
        let icon = self.desktop.panel.icon().await;
        Run { page, icon, process: Process::running(&self.home).await }
    }

    /// Signs in by the shortest way: with a token that is pasted.
    pub async fn sign_in(&self, run: &Run) {
        self.call(run, "sign_in_token", json!({ "token": self.hub.token() })).await;
    }

    /// A command of the engine's, called as a page calls it.
    pub async fn call(&self, run: &Run, name: &str, args: Value) -> Value {
        let call = "const [name, args, done] = arguments; \
             window.__TAURI_INTERNALS__.invoke('call', { name, args }) \
             .then(answer => done({ answer }), error => done({ error }))";
        let answer = run.page.client.execute_async(call, vec![json!(name), args]).await;
        let answer = answer.unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(answer.get("error").is_none(), "{name}: {answer}");
        answer["answer"].clone()
    }

    /// Mounts by the tray.
    pub async fn mount(&self, run: &Run, bucket: &str) -> PathBuf {
        run.icon.click(bucket).await;
        mounted(&self.home).await
    }

    /// Waits for a first line of the menu that holds `words`.
    pub async fn status(&self, run: &Run, words: &str) {
        until(&format!("“{words}” in the first line"), || async {
            let line = run.icon.status().await;
            if line.contains(words) { Ok(()) } else { Err(line) }
        })
        .await;
    }

    pub async fn icon(&self, run: &Run, state: &str) {
        until(&format!("the icon “{state}”"), || async {
            let shown = run.icon.shows().await;
            if shown.as_deref() == Some(state) { Ok(()) } else { Err(shown) }
        })
        .await;
    }

    /// What the disk does wrong from now on; nothing for an empty text.
    pub fn disk(&self, orders: &str) {
        let file = self.home.disk_faults();
        let done = if orders.is_empty() { fs::remove_file(file) } else { fs::write(file, orders) };
        done.unwrap_or_else(|error| panic!("orders for the disk: {error}"));
    }

    /// The one notification that came since the last look; `title` and `body` are in it, and no other comes.
    pub async fn told_once(&self, title: &str, body: &[&str]) -> Told {
        until(&format!("a notification “{title}”"), || async {
            if self.desktop.dunst.displayed() > 0 { Ok(()) } else { Err("none") }
        })
        .await;
        tokio::time::sleep(QUIET).await;
        let told = self.desktop.dunst.put_away().await;
        assert_eq!(told.len(), 1, "not one: {told:#?}");
        let told = told[0].clone();
        assert!(told.title.contains(title), "{told:?}");
        assert!(body.iter().all(|words| told.body.contains(words)), "{told:?}");
        println!("    told: “{}” “{}”", told.title, told.body.replace('\n', " "));
        told
    }

    pub fn picture(&self, name: &str) {
        if let Some(file) = self.desktop.picture(name) {
            picture(&file);
        }
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.home.story());
        }
        kill_app(&self.home);
        if let Some(place) = desktop::app::mount_of(&self.home) {
            let _ = std::process::Command::new("umount").args(["-f", "-l"]).arg(place).status();
        }
    }
}
