//! Keeping files and folders offline: downloaded, following what changes on the Hub and here, never given up.
//!
//! A pin is a row of the database (`names/pins.rs`); what it wants follows from the tree at any moment, so that
//! renames, remote changes and edits need no bookkeeping. The keeper looks, lists, downloads and gives up
//! (`keeper.rs`); the bytes lie in `content/kept`.

mod downloads;
pub mod keeper;
mod plan;
mod refresh;
pub mod report;
mod resolve;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::StreamExt;
use hub::TreeEntry;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use self::plan::Tree;
use self::report::{CacheReport, PinCost, PinReport, PinState};
use crate::attr::{Kind, Timestamp};
use crate::bucket_fs::{BucketFs, blocking};
use crate::content::ContentKey;
use crate::durable::replace_file;
use crate::error::{Error, ErrorKind, Result};
use crate::figures::size;
use crate::names::pins::{self, Pin};
use crate::names::{Layer, Node, query};
use crate::sync::saved_copies;

/// What the keeper knows, for whoever asks.
pub struct Offline {
    stirred: watch::Sender<u64>,
    state: Mutex<State>,
    /// Bytes to be downloaded still.
    left: AtomicU64,
    /// Held while the copy of the pins beside the database is written.
    copying: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct State {
    /// As the last look found them; a pin that was added since is not among them.
    trees: Vec<Arc<Tree>>,
    /// Contents that could not be had, and why.
    failed: HashMap<ContentKey, Trouble>,
    /// Why nothing at all can be kept now: the disk.
    stuck: Option<Trouble>,
    /// Somebody has just unpinned something: what nobody wants goes at once.
    give_up_now: bool,
    /// Pins that are told of when they are whole.
    awaited: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Trouble {
    why: String,
    advice: String,
    full: bool,
}

impl Default for Offline {
    fn default() -> Self {
        Offline {
            stirred: watch::Sender::new(0),
            state: Mutex::default(),
            left: AtomicU64::new(0),
            copying: tokio::sync::Mutex::default(),
        }
    }
}

impl Offline {
    /// Something may have changed in what is to be kept.
    pub fn stir(&self) {
        self.stirred.send_modify(|version| *version += 1);
    }

    fn downloaded(&self, bytes: u64) {
        let _ = self
            .left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| Some(left.saturating_sub(bytes)));
    }

    /// Bytes to be downloaded still, as far as is known.
    pub fn left(&self) -> u64 {
        self.left.load(Ordering::Relaxed)
    }
}

/// The pins as they are copied beside the database, for the day that is lost.
#[derive(Serialize, Deserialize)]
struct Copied {
    pins: Vec<CopiedPin>,
}

#[derive(Serialize, Deserialize)]
struct CopiedPin {
    path: String,
    at_ms: i64,
}

impl BucketFs {
    /// What keeping this file or folder offline would take. Asks the Hub for everything in a folder.
    ///
    /// Errors: `NotFound`; `Invalid` for what never leaves this machine; the Hub's.
    pub async fn pin_cost(&self, path: &str) -> Result<PinCost> {
        let node = self.to_keep(path).await?;
        let (files, bytes, download_bytes) = match node.kind {
            Kind::Directory => self.cost_of_folder(&node).await?,
            _ => self.cost_of(&[node.base.clone().map(|base| (base.hash, base.size))], node.size),
        };
        let available_bytes = self.space()?.available;
        let path = self.path_of(&node);
        let kept = self.covering_pin(&path)?.is_some();
        let folder = node.kind == Kind::Directory;
        Ok(PinCost { path, folder, files, bytes, download_bytes, available_bytes, kept })
    }

    /// Keeps this file or folder offline from now on. The download goes on by itself after the return, over
    /// restarts; [`BucketFs::pins`] tells how far it is.
    ///
    /// Errors: those of [`BucketFs::pin_cost`]; `NoSpace` when the disk cannot take it, and nothing is begun.
    pub async fn pin(&self, path: &str) -> Result<PinReport> {
        let node = self.to_keep(path).await?;
        let cost = self.pin_cost(path).await?;
        if !cost.fits() {
            return Err(Error::new(
                ErrorKind::NoSpace,
                format!(
                    "Keeping {} offline takes {} more, and the disk can take {}.",
                    shown(&cost.path),
                    size(cost.download_bytes),
                    size(cost.available_bytes)
                ),
            )
            .advise("Free some space on this machine, or keep less offline."));
        }
        let pin = Pin { path: cost.path.clone(), node: node.id, at_ms: Timestamp::now().as_ms() };
        let existing = self.names.ask(pins::all)?.into_iter().find(|known| known.path == pin.path);
        let pin = existing.unwrap_or(pin);
        let row = pin.clone();
        self.names.change(move |tx| tx.put_pin(&row)).await?;
        self.copy_pins().await?;
        self.sync_names().await?;
        self.offline.state.lock().awaited.push(pin.path.clone());
        self.offline.left.fetch_add(cost.download_bytes, Ordering::Relaxed);
        self.offline.stir();
        self.queue.stir();
        Ok(PinReport {
            path: pin.path,
            folder: cost.folder,
            files: cost.files,
            bytes: cost.bytes,
            bytes_here: cost.bytes - cost.download_bytes.min(cost.bytes),
            since_ms: pin.at_ms,
            state: if cost.download_bytes > 0 { PinState::Downloading } else { PinState::Looking },
        })
    }

    /// Keeps this file or folder offline no longer: its space comes back in a moment, except of what another pin
    /// wants too.
    ///
    /// Errors: `NotFound`, with a hint when a folder around it is what is kept.
    pub async fn unpin(&self, path: &str) -> Result<()> {
        let path = clean(path);
        let row = path.clone();
        if !self.names.change(move |tx| tx.remove_pin(&row)).await? {
            let error = Error::new(ErrorKind::NotFound, format!("{} is not kept offline.", shown(&path)));
            return Err(match self.covering_pin(&path)? {
                Some(pin) => Error::new(
                    ErrorKind::NotFound,
                    format!("{} is kept offline because {} is.", shown(&path), shown(&pin.path)),
                )
                .advise("Stop keeping that one, then keep what you still want of it."),
                None => error.advise("`bucketbarctl pins` lists what is."),
            });
        }
        self.copy_pins().await?;
        self.sync_names().await?;
        {
            let mut state = self.offline.state.lock();
            state.give_up_now = true;
            state.awaited.retain(|awaited| *awaited != path);
            state.trees.retain(|tree| tree.pin.path != path);
        }
        self.offline.stir();
        self.queue.stir();
        Ok(())
    }

    /// Everything that is kept offline, by path. Blocks on the disk when much is.
    pub fn pins(&self) -> Result<Vec<PinReport>> {
        let rows = self.names.ask(pins::all)?;
        let state = self.offline.state.lock();
        let trees = state.trees.clone();
        let (failed, stuck) = (state.failed.clone(), state.stuck.clone());
        drop(state);
        let report = |pin: Pin| match trees.iter().find(|tree| tree.pin.path == pin.path) {
            Some(tree) => self.report(tree, &failed, stuck.as_ref()),
            None => PinReport {
                path: pin.path,
                folder: matches!(self.names.node(pin.node), Ok(Some(node)) if node.kind == Kind::Directory),
                files: 0,
                bytes: 0,
                bytes_here: 0,
                since_ms: pin.at_ms,
                state: self.why_waiting().map_or(PinState::Looking, |why| PinState::Waiting { why }),
            },
        };
        Ok(rows.into_iter().map(report).collect())
    }

    /// What of this bucket lies on this machine, and why.
    pub fn cache_report(&self) -> CacheReport {
        let stats = self.content.stats();
        let unsent = |layout: &crate::staging::Layout| if layout.dirty { layout.local_bytes() } else { 0 };
        CacheReport {
            kept_bytes: stats.kept_offline,
            to_keep_bytes: self.offline.left(),
            read_bytes: stats.bytes_on_disk,
            read_limit: stats.limit,
            saved_bytes: saved_copies::bytes(self),
            saved_limit: self.config.saved_copies_bytes,
            unsent_bytes: self.staging.all().iter().map(|staged| staged.with_layout(unsent)).sum(),
            available_bytes: self.space().map_or(0, |space| space.available),
        }
    }

    /// Bytes of kept contents that were fetched from the Hub since the start.
    pub fn downloaded_to_keep(&self) -> u64 {
        self.content.kept().downloaded()
    }

    fn report(
        &self,
        tree: &Tree,
        failed: &HashMap<ContentKey, Trouble>,
        stuck: Option<&Trouble>,
    ) -> PinReport {
        let (bytes, bytes_here) = (tree.bytes(), tree.bytes_here(self));
        let trouble = || tree.wanted.iter().find_map(|one| failed.get(&one.key));
        let state = if !tree.found {
            PinState::Gone
        } else if tree.listed && bytes_here == bytes {
            PinState::Kept
        } else if let Some(why) = self.why_waiting() {
            PinState::Waiting { why }
        } else if let Some(trouble) = stuck.or_else(trouble) {
            PinState::Failed { why: trouble.why.clone(), advice: trouble.advice.clone() }
        } else if !tree.listed {
            PinState::Looking
        } else {
            PinState::Downloading
        };
        PinReport {
            path: tree.pin.path.clone(),
            folder: tree.folder,
            files: tree.files,
            bytes,
            bytes_here,
            since_ms: tree.pin.at_ms,
            state,
        }
    }

    fn why_waiting(&self) -> Option<String> {
        if let Some(cause) = self.queue.offline_cause() {
            return Some(format!("The Hub is out of reach: {cause}"));
        }
        self.queue.is_signed_out().then(|| "Nobody is signed in to the Hub.".to_owned())
    }

    /// The file or folder at this visible path, if it can be kept.
    async fn to_keep(&self, path: &str) -> Result<Arc<Node>> {
        let node = self.live(self.node_at(&clean(path)).await?)?;
        let refusal = match (node.kind, node.layer) {
            (Kind::Symlink, _) => "is a symbolic link; keep what it points to",
            (_, Layer::Local) => "never leaves this machine, so it is here anyway",
            _ => return Ok(node),
        };
        Err(Error::new(ErrorKind::Invalid, format!("{} {refusal}.", shown(&clean(path)))))
    }

    /// Files, bytes, and bytes that are not here.
    async fn cost_of_folder(&self, folder: &Node) -> Result<(u64, u64, u64)> {
        let place = self.names.ask(|db| query::actual_place(db, folder))?;
        if let (Some(place), None) = (place, self.queue.offline_cause()) {
            return self.cost_on_hub(&place).await;
        }
        let (fs, pin) = (self.this()?, Pin { path: String::new(), node: folder.id, at_ms: 0 });
        let tree = blocking(move || Tree::look(&fs, &pin, true)).await?;
        if !tree.listed {
            return Err(Error::new(
                ErrorKind::Offline,
                "How large this folder is cannot be said while the Hub is out of reach.",
            )
            .advise("Try again when this machine is online."));
        }
        let bytes = tree.bytes();
        Ok((tree.files, bytes, bytes - tree.bytes_here(self).min(bytes)))
    }

    async fn cost_on_hub(&self, place: &str) -> Result<(u64, u64, u64)> {
        let (mut files, mut bytes, mut missing) = (0, 0, 0);
        let mut pages = self.bucket.list_all(place);
        while let Some(page) = pages.next().await {
            let file = |entry| match entry {
                TreeEntry::File(file) => Some(Some((file.xet_hash, file.size))),
                TreeEntry::Directory { .. } => None,
            };
            let page: Vec<_> = page?.into_iter().filter_map(file).collect();
            let cost = self.cost_of(&page, 0);
            (files, bytes, missing) = (files + cost.0, bytes + cost.1, missing + cost.2);
        }
        Ok((files, bytes, missing))
    }

    /// `local` bytes each of files that the Hub has not.
    fn cost_of(&self, contents: &[Option<(String, u64)>], local: u64) -> (u64, u64, u64) {
        let (mut bytes, mut missing) = (0, 0);
        for content in contents {
            let Some((hash, size)) = content else {
                bytes += local;
                continue;
            };
            let here = ContentKey::parse(hash).map_or(0, |key| self.content.kept().here(&key, *size));
            (bytes, missing) = (bytes + size, missing + size - here);
        }
        (contents.len() as u64, bytes, missing)
    }

    /// The pin that keeps this path: its own, or one of a folder around it.
    fn covering_pin(&self, path: &str) -> Result<Option<Pin>> {
        Ok(self.names.ask(pins::all)?.into_iter().find(|pin| query::is_within(path, &pin.path)))
    }

    /// The pins are known even if the database is lost.
    async fn copy_pins(&self) -> Result<()> {
        let _turn = self.offline.copying.lock().await;
        let pins = self.names.ask(pins::all)?;
        let pins = pins.into_iter().map(|pin| CopiedPin { path: pin.path, at_ms: pin.at_ms }).collect();
        let path = self.state.pins();
        blocking(move || {
            let text = serde_json::to_vec(&Copied { pins }).unwrap_or_default();
            replace_file(&path, &text).map_err(|error| Error::disk("noting what is kept offline", &error))
        })
        .await
    }
}

/// A path as pins have it: no slash at either end, none twice.
fn clean(path: &str) -> String {
    path.split('/').filter(|part| !part.is_empty() && *part != ".").collect::<Vec<_>>().join("/")
}

fn shown(path: &str) -> &str {
    if path.is_empty() { "The whole bucket" } else { path }
}
