//! What a pin stands for now. It follows its file or folder when that is moved, and stays with its name when another
//! one takes it: programs save by writing beside a file and renaming over it.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::Copied;
use crate::attr::{FileId, Kind, ROOT};
use crate::bucket_fs::{BucketFs, blocking};
use crate::error::{Error, ErrorKind, Result};
use crate::names::pins::{self, Pin};
use crate::names::{Layer, Node, query};

/// Between two renames of a program that saves, a file is at no name or at a strange one for a moment.
const SETTLED: Duration = Duration::from_secs(2);

/// Since when a pin's node has been at another path.
#[derive(Default)]
pub struct Moves(HashMap<String, Instant>);

/// A pin and whether anything is there.
pub struct Resolved {
    pub pin: Pin,
    pub found: bool,
    /// Not sure yet: look again after a while.
    pub unsettled: bool,
}

impl Moves {
    /// What the pin stands for now; a change of that is stored.
    ///
    /// Errors: the Hub's, when the pin's name has to be looked up there.
    pub async fn resolve(&mut self, fs: &BucketFs, pin: Pin) -> Result<Resolved> {
        let by_id = fs.names.node(pin.node)?.filter(|node| can_be_kept(node));
        let Some(node) = by_id else {
            return match fs.node_at(&pin.path).await {
                Ok(id) => Ok(found(adopt(fs, pin, id).await?)),
                Err(error) if error.kind == ErrorKind::NotFound || error.kind == ErrorKind::NotDirectory => {
                    Ok(Resolved { pin, found: false, unsettled: false })
                }
                Err(error) => Err(error),
            };
        };
        let now = fs.path_of(&node);
        if now == pin.path {
            self.0.remove(&pin.path);
            return Ok(found(pin));
        }
        let path = pin.path.clone();
        let other = fs.names.ask(|db| query::at_shown_path(db, &path))?;
        if let Some(other) = other.filter(|other| can_be_kept(other) && other.kind == node.kind) {
            self.0.remove(&pin.path);
            return Ok(found(adopt(fs, pin, other.id).await?));
        }
        let since = *self.0.entry(pin.path.clone()).or_insert_with(Instant::now);
        if since.elapsed() < SETTLED {
            return Ok(Resolved { pin, found: true, unsettled: true });
        }
        self.0.remove(&pin.path);
        let moved = Pin { path: now, ..pin };
        let (row, old) = (moved.clone(), path);
        fs.names
            .change(move |tx| {
                tx.remove_pin(&old)?;
                tx.put_pin(&row)
            })
            .await?;
        fs.copy_pins().await?;
        Ok(found(moved))
    }
}

fn found(pin: Pin) -> Resolved {
    Resolved { pin, found: true, unsettled: false }
}

fn can_be_kept(node: &Node) -> bool {
    !node.gone && node.layer == Layer::Bucket && node.kind != Kind::Symlink
}

async fn adopt(fs: &BucketFs, pin: Pin, id: FileId) -> Result<Pin> {
    let pin = Pin { node: id, ..pin };
    let row = pin.clone();
    fs.names.change(move |tx| tx.put_pin(&row)).await?;
    Ok(pin)
}

/// After the database was lost: the pins it knew, from the copy beside it.
pub async fn recall_pins(fs: &BucketFs) -> Result<()> {
    if !fs.names.ask(pins::all)?.is_empty() {
        return Ok(());
    }
    let path = fs.state.pins();
    let text = blocking(move || match std::fs::read(&path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::disk("reading what is kept offline", &error)),
    });
    let Some(text) = text.await? else { return Ok(()) };
    let copied: Copied = match serde_json::from_slice(&text) {
        Ok(copied) => copied,
        Err(error) => {
            tracing::warn!(%error, "the copy of what is kept offline is damaged");
            return Ok(());
        }
    };
    fs.names
        .change(move |tx| {
            for pin in &copied.pins {
                let node = if pin.path.is_empty() { ROOT } else { FileId(0) };
                tx.put_pin(&Pin { path: pin.path.clone(), node, at_ms: pin.at_ms })?;
            }
            Ok(())
        })
        .await
}

impl BucketFs {
    /// The file or folder at a visible path; folders on the way are listed where they are not.
    ///
    /// Errors: `NotFound`, and the Hub's.
    pub(crate) async fn node_at(&self, path: &str) -> Result<FileId> {
        let mut at = ROOT;
        for part in path.split('/').filter(|part| !part.is_empty()) {
            at = self.lookup(at, part.as_bytes()).await?.id;
        }
        Ok(at)
    }
}
