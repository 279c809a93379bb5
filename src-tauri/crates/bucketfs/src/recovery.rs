//! What an earlier life left: staged files are taken up, the tree rebuilt from their sidecars if the
//! database is lost, epochs closed whose client died with its kernel.

use std::path::PathBuf;
use std::sync::Arc;

use crate::attr::{FileId, Kind, ROOT};
use crate::bucket_fs::{BucketFs, blocking};
use crate::error::Result;
use crate::event::Event;
use crate::local::litter;
use crate::names::{Content, Layer, Node, Place, Tx, query};
use crate::ops::free_name;
use crate::staging::{Found, Layout, Staged};
use crate::sync::saved_copies;

/// Identity of this boot of the machine; after another boot no client remembers UNSTABLE data.
pub fn boot_id() -> String {
    #[cfg(target_os = "linux")]
    if let Ok(id) = std::fs::read_to_string("/proc/sys/kernel/random/boot_id") {
        return id.trim().to_owned();
    }
    // macOS: kern.bootsessionuuid changes with every boot.
    #[cfg(target_os = "macos")]
    if let Ok(output) =
        std::process::Command::new("/usr/sbin/sysctl").args(["-n", "kern.bootsessionuuid"]).output()
    {
        return String::from_utf8_lossy(&output.stdout).trim().to_owned();
    }
    String::new()
}

/// Takes up every staged copy. `rebuilt` is where a damaged database was kept.
pub async fn take_up(fs: &Arc<BucketFs>, rebuilt: Option<PathBuf>) -> Result<()> {
    let staging = fs.staging.clone();
    let found = blocking(move || staging.recover()).await?;
    let boot = fs.config.boot.clone();
    let new_boot = begin_boot(fs).await?;
    let (mut files, mut bytes, mut other_boot) = (0u64, 0u64, false);
    for one in found {
        // What is not edited the Hub has: without a row it was removed.
        let edited = one.staged.with_layout(|layout| layout.dirty);
        if !known_or_rebuilt(fs, &one, rebuilt.is_some() || (one.boot != boot && edited)).await? {
            fs.condemn(vec![one.staged.id]).await;
            continue;
        }
        if one.boot != boot {
            other_boot = true;
            if one.epoch_open {
                close_lost_epoch(fs, &one.staged).await?;
            } else if saved_copies::give_up(fs, one.staged.clone()).await? {
                // Clean, so the Hub has it. An overwrite whose record was lost may have left bytes in the copy.
                continue;
            }
            let (staged, boot) = (one.staged.clone(), boot.clone());
            blocking(move || {
                staged.note_boot(&boot);
                Ok(())
            })
            .await?;
        }
        if is_overtaken(fs, &one.staged)? {
            let (staging, id) = (fs.staging.clone(), one.staged.id);
            let clean =
                |layout: &Layout| !layout.dirty && layout.in_flight == 0 && layout.unstable.is_empty();
            if blocking(move || Ok(staging.retire(id, clean))).await? {
                continue;
            }
        }
        let (dirty, local) = one.staged.with_layout(|layout| (layout.dirty, layout.local_bytes()));
        if dirty {
            files += 1;
            bytes += local;
        }
    }
    if new_boot {
        fs.sweep().await?;
    }
    if other_boot {
        fs.sync_names().await?; // names found and made here are as good as any
    }
    if let Some(kept_at) = rebuilt {
        fs.tell(Event::DatabaseRebuilt { kept_at: kept_at.display().to_string(), files });
    } else if files > 0 {
        fs.tell(Event::Recovered { files, bytes });
    }
    Ok(())
}

/// Whether the row knows a later content, of others: the process ended between that and giving the copy up. A row
/// older than the copy (a power cut took it back) has the older time as well.
fn is_overtaken(fs: &BucketFs, staged: &Staged) -> Result<bool> {
    let Some(node) = fs.names.node(staged.id)? else { return Ok(false) };
    Ok(staged.with_layout(|layout| {
        !layout.dirty && node.base.is_some() && node.base != layout.base && node.mtime > layout.mtime
    }))
}

/// Notes this boot in the database; `true` when the last start was in another one.
async fn begin_boot(fs: &Arc<BucketFs>) -> Result<bool> {
    let now = i64::from(crc32fast::hash(fs.config.boot.as_bytes()));
    fs.names
        .change(move |tx| {
            let last = tx.meta("boot")?;
            if last != Some(now) {
                tx.set_meta("boot", now)?;
            }
            Ok(last.is_some_and(|last| last != now))
        })
        .await
}

/// What [`BucketFs::client_is_gone`] did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tidied {
    /// Files with data nobody committed, kept under a marked name.
    pub kept_apart: u64,
    /// `.nfs…` files and tombstones that only a client's open files kept.
    pub swept: u64,
}

impl BucketFs {
    /// The kernel that had this bucket mounted is gone: unmounted, politely or by force. Nobody will commit what
    /// is open, so it is kept as `NAME (recovered DATE)` and goes up; nobody has `.nfs…` files open.
    ///
    /// Not to be called while a kernel may still have the bucket mounted: the names of files that it is
    /// writing to would change under it (no byte would be lost).
    pub async fn client_is_gone(self: &Arc<Self>) -> Result<Tidied> {
        let mut tidied = Tidied::default();
        if self.config.read_only {
            return Ok(tidied);
        }
        let open = |staged: &Arc<Staged>| staged.with_layout(|layout| !layout.unstable.is_empty());
        for staged in self.staging.all().into_iter().filter(open) {
            if self.names.node(staged.id)?.is_some_and(|node| !litter::is_silly(&node.name)) {
                close_lost_epoch(self, &staged).await?;
                tidied.kept_apart += 1;
            }
        }
        tidied.swept = self.sweep().await?;
        self.queue.wake();
        Ok(tidied)
    }

    /// Takes away what is only there for a client that has it open. Answers how many.
    async fn sweep(&self) -> Result<u64> {
        let staging = self.staging.clone();
        let edited =
            move |id| staging.get(id).is_some_and(|staged| staged.with_layout(|layout| layout.dirty));
        let gone = self
            .names
            .change(move |tx| {
                let mut gone = query::silly(tx.db())?;
                gone.retain(|node| litter::is_silly(before_id(&node.name)));
                // A tombstone with edits of ours comes back as a file of its own.
                gone.extend(query::tombstones(tx.db())?.into_iter().filter(|node| !edited(node.id)));
                for node in &gone {
                    tx.erase(node.id)?;
                }
                Ok(gone)
            })
            .await?;
        let count = gone.len() as u64;
        gone.iter().for_each(|node| self.departed.note(node.id, &node.name));
        self.condemn(gone.into_iter().map(|node| node.id).collect()).await;
        Ok(count)
    }
}

/// An orphan is called `.nfs….ID`.
fn before_id(name: &[u8]) -> &[u8] {
    match name.iter().rposition(|byte| *byte == b'.') {
        Some(dot) if dot > 4 && name.len() - dot == 17 => &name[..dot],
        _ => name,
    }
}

/// A staged copy whose file is in the tree is taken up. Without a row it was removed just before the
/// crash, unless the database is a new one or the machine went down with the row still on its way to the
/// disk: then the sidecar makes the row. A file that comes back is a lesser evil than one that is lost.
async fn known_or_rebuilt(fs: &Arc<BucketFs>, found: &Found, rebuilt: bool) -> Result<bool> {
    if fs.names.node(found.staged.id)?.is_some() {
        return Ok(true);
    }
    if !rebuilt {
        return Ok(false);
    }
    let (id, path, birth) = (found.staged.id, found.path.clone(), found.staged.birth.clone());
    let owner = (fs.config.uid, fs.config.gid);
    let (size, base, identity) =
        found.staged.with_layout(|layout| (layout.size, layout.base.clone(), layout.identity.clone()));
    let base = match base.filter(|base| Some(&base.hash) == identity.as_ref()) {
        Some(base) => Some(base),
        // More was written since the last save: only its hash is known, and nobody reads by it.
        None => identity.map(|hash| Content { hash, size: birth.base_size }),
    };
    fs.names
        .change(move |tx| {
            let mut parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
            let name = parts.pop().unwrap_or("recovered file").to_owned();
            let mut parent = ROOT;
            for part in parts {
                parent = folder_called(tx, parent, part, owner)?;
            }
            let layer =
                if birth.local || litter::is_litter(name.as_bytes()) { Layer::Local } else { Layer::Bucket };
            let name = match tx.child(parent, name.as_bytes())? {
                Some(_) => free_name(tx, parent, name.as_bytes(), "recovered")?,
                None => name.into_bytes(),
            };
            let mut node = Node::new(id, parent, &name, Kind::File, layer);
            (node.uid, node.gid) = owner;
            node.mode = birth.mode;
            node.size = size;
            if layer == Layer::Bucket && base.is_some() {
                node.base = base;
                node.place = Place::Inherited;
            }
            tx.put(&node)
        })
        .await?;
    Ok(true)
}

fn folder_called(tx: &mut Tx<'_>, parent: FileId, name: &str, owner: (u32, u32)) -> Result<FileId> {
    let shown = match tx.child(parent, name.as_bytes())? {
        Some(folder) if folder.kind == Kind::Directory => return Ok(folder.id),
        Some(_) => free_name(tx, parent, name.as_bytes(), "recovered")?,
        None => name.as_bytes().to_vec(),
    };
    let mut folder = tx.new_node(parent, &shown, Kind::Directory, Layer::Bucket)?;
    (folder.uid, folder.gid) = owner;
    folder.place = Place::Inherited; // to be listed: the Hub may know it
    tx.put(&folder)?;
    Ok(folder.id)
}

/// The machine has booted since: what was never committed may be half of what was meant. It is kept, as
/// `NAME (recovered DATE)`, and the Hub's version keeps the name (design.md promise 7).
async fn close_lost_epoch(fs: &Arc<BucketFs>, staged: &Arc<Staged>) -> Result<()> {
    let (id, owner) = (staged.id, (fs.config.uid, fs.config.gid));
    let path = fs.work_key_path(id);
    let kept_as = fs.names.change(move |tx| split_off(tx, id, "recovered", owner)).await?;
    if let Some(kept_as) = kept_as {
        fs.note_path(staged.clone(), fs.work_key_path(id)).await;
        fs.tell(Event::KeptApart { path, kept_as });
    }
    // Before the epoch is closed: closed and under its old name, half a file would go up as the whole.
    fs.sync_names().await?;
    let staged = staged.clone();
    let closed = blocking(move || Ok(staged.close_epoch())).await?;
    if let Err(refusal) = closed {
        tracing::error!(?refusal, "a recovered file could not be synced");
    }
    Ok(())
}

/// The file id (and whoever has it open) moves with the local data to a marked name; what the Hub has keeps
/// the old name under a new id. Returns the marked name, or `None` when there was nothing to be kept apart.
pub(crate) fn split_off(
    tx: &mut Tx<'_>,
    id: FileId,
    mark: &str,
    owner: (u32, u32),
) -> Result<Option<String>> {
    let mut node = tx.live(id)?;
    if node.gone || node.layer == Layer::Local {
        return Ok(None);
    }
    let old = node.clone();
    node.name = free_name(tx, node.parent, &node.name, mark)?;
    node.key = None;
    node.place = Place::Nowhere;
    node.expect = None;
    let kept_as = node.display_name();
    tx.put(&node)?;
    if old.base.is_some() && query::actual_place(tx.db(), &old)?.is_some() {
        let mut theirs = tx.new_node(old.parent, &old.name, Kind::File, Layer::Bucket)?;
        theirs.key = old.key.clone();
        theirs.place = old.place.clone();
        theirs.size = old.base.as_ref().map_or(0, |base| base.size);
        theirs.base = old.base.clone();
        (theirs.uid, theirs.gid) = owner;
        tx.put(&theirs)?;
    }
    tx.touch_folder(node.parent)?;
    Ok(Some(kept_as))
}
