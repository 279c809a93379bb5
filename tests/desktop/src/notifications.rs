//! The notification service: dunst, asked by dunstctl.

use std::collections::BTreeSet;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};

use serde_json::Value;

use crate::home::Home;
use crate::wait::until;

pub struct Dunst {
    daemon: Child,
    /// Told of already: dunst 1.9 forgets nothing.
    known: Mutex<BTreeSet<i64>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    pub id: i64,
    pub title: String,
    pub body: String,
}

impl Dunst {
    /// # Panics
    /// When it does not start.
    pub async fn start(home: &Home) -> Dunst {
        let child = home.command("dunst").stdout(Stdio::null()).spawn();
        let daemon = child.unwrap_or_else(|error| panic!("dunst: {error}"));
        let dunst = Dunst { daemon, known: Mutex::default() };
        until("dunst answers", || async { ctl(&["count", "displayed"]).ok_or("no answer") }).await;
        dunst
    }

    /// How many are on the screen.
    pub fn displayed(&self) -> usize {
        ctl(&["count", "displayed"]).and_then(|text| text.trim().parse().ok()).unwrap_or_default()
    }

    /// All that were on the screen and are not any more, the latest first.
    pub fn history(&self) -> Vec<Told> {
        let json: Value =
            ctl(&["history"]).and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
        let word = |entry: &Value, name: &str| entry[name]["data"].as_str().unwrap_or_default().to_owned();
        let entries = json["data"][0].as_array().cloned().unwrap_or_default();
        let told = |entry: &Value| Told {
            id: entry["id"]["data"].as_i64().unwrap_or_default(),
            title: word(entry, "summary"),
            body: word(entry, "body"),
        };
        entries.iter().map(told).collect()
    }

    /// Clicks the latest.
    pub fn click(&self) {
        ctl(&["action"]);
    }

    /// Puts all away, as by "close all", and tells what there was since the last time.
    pub async fn put_away(&self) -> Vec<Told> {
        until("all are put away", || async {
            ctl(&["close-all"]);
            if self.displayed() == 0 { Ok(()) } else { Err("some are there") }
        })
        .await;
        let mut told = self.history();
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        told.retain(|told| known.insert(told.id));
        told
    }
}

impl Drop for Dunst {
    fn drop(&mut self) {
        let _ = self.daemon.kill();
        let _ = self.daemon.wait();
    }
}

fn ctl(words: &[&str]) -> Option<String> {
    let done = Command::new("dunstctl").args(words).stderr(Stdio::null()).output().ok()?;
    done.status.success().then(|| String::from_utf8_lossy(&done.stdout).into_owned())
}
