//! What the app remembers of buckets: the list the Hub gave last, when each was used, and how.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::api::buckets::OwnerKind;
use super::api::{AccountId, BucketId, Ms};
use super::store;

/// A bucket as the Hub listed it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Listed {
    pub id: BucketId,
    pub owner: String,
    pub kind: OwnerKind,
    pub account: Option<AccountId>,
    pub private: bool,
    pub size: u64,
    pub files: u64,
}

/// How a bucket was used here.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Used {
    pub last_ms: Option<Ms>,
    pub account: Option<AccountId>,
    pub read_only: Option<bool>,
    /// Everything was on the Hub when it was served last. Anything else is looked at at the next start.
    #[serde(default)]
    pub clean: bool,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Pause {
    /// Absent: until resumed.
    pub until_ms: Option<Ms>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Kept {
    asked_ms: Option<Ms>,
    listed: Vec<Listed>,
    used: BTreeMap<BucketId, Used>,
    #[serde(default)]
    pause: Option<Pause>,
}

/// One file for one Hub.
pub(super) struct Book {
    file: PathBuf,
    kept: Kept,
}

impl Book {
    pub fn open(file: &Path) -> Book {
        Book { file: file.to_owned(), kept: store::read_or_aside(file).unwrap_or_default() }
    }

    pub fn listed(&self) -> &[Listed] {
        &self.kept.listed
    }

    pub fn asked_ms(&self) -> Option<Ms> {
        self.kept.asked_ms
    }

    pub fn used(&self, id: &str) -> Used {
        self.kept.used.get(id).cloned().unwrap_or_default()
    }

    pub fn pause(&self) -> Option<&Pause> {
        self.kept.pause.as_ref()
    }

    pub fn set_pause(&mut self, pause: Option<Pause>) {
        self.kept.pause = pause;
        self.save();
    }

    /// Takes the Hub's answer over.
    pub fn list(&mut self, listed: Vec<Listed>, now: Ms) {
        self.kept.listed = listed;
        self.kept.asked_ms = Some(now);
        self.save();
    }

    pub fn change(&mut self, id: &str, change: impl FnOnce(&mut Used)) {
        let before = self.used(id);
        let mut used = before.clone();
        change(&mut used);
        if used != before {
            self.kept.used.insert(id.to_owned(), used);
            self.save();
        }
    }

    /// Losing this file costs the order of the menu and a look at each bucket, nothing else.
    fn save(&self) {
        if let Err(error) = store::write(&self.file, &self.kept) {
            tracing::warn!(%error, "the list of buckets could not be written");
        }
    }
}
