//! Taking a listing of the Hub into one folder of the tree.
//!
//! The listing is a hint about the past: what we changed since it was asked for is left alone (`settled`),
//! what is edited here is never overwritten, and a name is taken away only by a listing that was complete.

use std::collections::HashSet;

use hub::{FileEntry, TreeEntry};
use sha2::{Digest, Sha256};

use super::node::{Content, Layer, Node, Place};
use super::transaction::Tx;
use super::{commits, query};
use crate::attr::{FileId, Kind, ROOT, Timestamp};
use crate::error::Result;

const NAME_MAX: usize = 255;

/// What the merge must know of the rest of the file system.
pub struct Outside<'a> {
    /// Full keys that we added, changed or deleted on the Hub after the listing was asked for.
    pub settled: &'a HashSet<String>,
    /// What is staged of a file here.
    pub staged: &'a dyn Fn(FileId) -> Option<StagedNow>,
    pub uid: u32,
    pub gid: u32,
}

/// A staged copy as the merge sees it.
pub struct StagedNow {
    /// Differs from what the Hub had.
    pub edited: bool,
    /// The time shown for the file.
    pub mtime: Timestamp,
}

impl Outside<'_> {
    fn edited(&self, id: FileId) -> bool {
        (self.staged)(id).is_some_and(|staged| staged.edited)
    }
}

/// What a listing has shown so far.
#[derive(Default)]
pub struct Sighting {
    /// Key components of the folder, each a file's or a folder's.
    pub keys: HashSet<(String, Kind)>,
    /// A page has been taken in.
    begun: bool,
    /// The folder held nothing before the first page; `keys` is not complete then.
    all_new: bool,
    /// Files whose content others replaced or deleted: a saved copy of the old content must not be read any
    /// more.
    pub overtaken: Vec<FileId>,
    /// Something of others is not shown, because a file of ours is on its way to that key or from it.
    pub hides: bool,
    /// Edited files whose base the Hub does not refer to any more.
    pub lost_base: Vec<FileId>,
    /// The folder has another place by now: nothing was taken in.
    pub elsewhere: bool,
}

/// Takes in one page of `folder`, which stands at `place` on the Hub. Adds the key components it saw to
/// `seen`. `true` when something changed.
pub fn take_page(
    tx: &mut Tx<'_>,
    folder: &Node,
    place: &str,
    page: &[TreeEntry],
    outside: &Outside<'_>,
    sighting: &mut Sighting,
) -> Result<bool> {
    let mut changed = false;
    // A folder that had this name was moved away here: until the Hub has heard, what is unknown here went along.
    let overlaid = query::is_overlaid(tx.db(), folder, place)?;
    if !sighting.begun {
        sighting.begun = true;
        sighting.all_new = query::is_empty(tx.db(), folder.id)?;
    }
    let mut quick = Quick::of(tx, folder, overlaid, outside)?;
    for entry in page {
        let path = entry.path().trim_end_matches('/');
        let Some(key) = component(path, place) else {
            tracing::warn!(path, "a key the file system cannot show is left out");
            continue;
        };
        let kind = if matches!(entry, TreeEntry::File(_)) { Kind::File } else { Kind::Directory };
        let look = quick.look(tx, folder, key, entry)?;
        if !matches!(look, Look::New) || !sighting.all_new {
            sighting.keys.insert((key.to_owned(), kind));
        }
        match look {
            Look::New => {
                let mut child = tx.new_node(folder.id, key.as_bytes(), kind, Layer::Bucket)?;
                describe(&mut child, entry, outside);
                tx.put_listed(&child)?;
                changed = true;
                continue;
            }
            Look::Same => continue,
            Look::Other => {}
        }
        if outside.settled.contains(path) {
            continue;
        }
        let unknown = query::child_by_key(tx.db(), folder.id, key, kind)?.is_none();
        if (overlaid && unknown) || moved_away(tx, entry, path, sighting)? {
            continue;
        }
        changed |= match entry {
            TreeEntry::Directory { .. } => take_folder(tx, folder, key, (path, entry), outside)?,
            TreeEntry::File(file) => take_file(tx, folder, key, (file, entry), outside, sighting)?,
        };
    }
    Ok(changed)
}

/// What most names of a listing are: new here, or as they were.
enum Look {
    /// The key can be shown as it is, and nothing here stands for it or has its name.
    New,
    /// Stands here just as the Hub has it.
    Same,
    /// To be looked at from all sides.
    Other,
}

/// Tells them with as few questions as it takes.
struct Quick {
    /// Nothing here was moved, removed or changed in a way that the Hub may not have heard of.
    possible: bool,
    /// The folder held nothing when the page began, and holds since then what is in `seen`.
    empty: bool,
    /// Names of this page, in the form in which they are compared.
    seen: HashSet<Vec<u8>>,
}

impl Quick {
    fn of(tx: &Tx<'_>, folder: &Node, overlaid: bool, outside: &Outside<'_>) -> Result<Self> {
        let possible = !overlaid
            && outside.settled.is_empty()
            && !query::any_deletes(tx.db())?
            && !query::any_displaced(tx.db())?;
        let empty = possible && query::is_empty(tx.db(), folder.id)?;
        Ok(Quick { possible, empty, seen: HashSet::new() })
    }

    fn look(&mut self, tx: &Tx<'_>, folder: &Node, key: &str, entry: &TreeEntry) -> Result<Look> {
        if !self.possible || key.len() > NAME_MAX {
            self.empty = false; // it may be shown under a name that is another's key
            return Ok(Look::Other);
        }
        if self.empty {
            self.empty = self.seen.insert(query::folded(key.as_bytes()));
            return Ok(if self.empty { Look::New } else { Look::Other });
        }
        Ok(match query::child(tx.db(), folder.id, key.as_bytes())? {
            None => Look::New,
            Some(child) if child.name == key.as_bytes() && is_as_listed(&child, entry) => Look::Same,
            Some(_) => Look::Other,
        })
    }
}

/// The row says of itself what the listing says, and nothing of ours is under way with it.
fn is_as_listed(child: &Node, entry: &TreeEntry) -> bool {
    let in_its_place = child.layer == Layer::Bucket && child.key.is_none() && child.place == Place::Inherited;
    in_its_place
        && match entry {
            TreeEntry::Directory { .. } => child.kind == Kind::Directory,
            TreeEntry::File(file) => {
                let base = child.base.as_ref();
                child.kind == Kind::File
                    && base.is_some_and(|base| base.hash == file.xet_hash && base.size == file.size)
            }
        }
}

/// What a listing says of a file or folder that is new here.
fn describe(child: &mut Node, entry: &TreeEntry, outside: &Outside<'_>) {
    child.place = Place::Inherited;
    (child.uid, child.gid) = (outside.uid, outside.gid);
    if let TreeEntry::File(file) = entry {
        child.size = file.size;
        child.base = Some(Content { hash: file.xet_hash.clone(), size: file.size });
        if let Some(mtime) = file.mtime_ms.or(file.uploaded_at_ms).map(Timestamp::from_ms) {
            (child.mtime, child.ctime, child.atime) = (mtime, mtime, mtime);
        }
    }
}

/// What stands at the key is a file or folder of ours that was moved away from it here, and the Hub has not heard.
/// Others may have changed it meanwhile: that shows when it has.
fn moved_away(tx: &Tx<'_>, entry: &TreeEntry, path: &str, sighting: &mut Sighting) -> Result<bool> {
    if !query::moved_away_from(tx.db(), path)? {
        return Ok(false);
    }
    if let TreeEntry::File(file) = entry {
        let ours = query::placed_at(tx.db(), path)?;
        sighting.hides |=
            !ours.iter().any(|node| node.base.as_ref().is_some_and(|base| base.hash == file.xet_hash));
    }
    Ok(true)
}

/// After the last page of a complete listing: what the Hub no longer has goes away, except local edits.
pub fn take_away_unseen(
    tx: &mut Tx<'_>,
    folder: &Node,
    place: &str,
    outside: &Outside<'_>,
    sighting: &mut Sighting,
) -> Result<bool> {
    if sighting.all_new {
        return Ok(false); // nothing was here that could be gone
    }
    let mut changed = false;
    for mut child in tx.all_children(folder.id)? {
        let Some(key) = child.key().map(str::to_owned) else { continue };
        if child.layer == Layer::Local || child.place != Place::Inherited {
            continue;
        }
        if outside.settled.contains(&query::join(place, &key)) || sighting.keys.contains(&(key, child.kind)) {
            continue;
        }
        match child.kind {
            Kind::Directory => changed |= folder_vanished(tx, &mut child, outside, sighting)?,
            _ if outside.edited(child.id) => {
                // Deleted there, edited here: the edit stays and will be a new file.
                child.place = Place::Nowhere;
                tx.put(&child)?;
                sighting.lost_base.push(child.id);
            }
            _ => {
                bury(tx, &mut child, outside, sighting)?;
                changed = true;
            }
        }
    }
    Ok(changed)
}

/// Deleted elsewhere. Whoever has it open goes on seeing the clock that its saved copy showed, which goes now.
fn bury(tx: &mut Tx<'_>, child: &mut Node, outside: &Outside<'_>, sighting: &mut Sighting) -> Result<()> {
    if let Some(staged) = (outside.staged)(child.id) {
        child.mtime = staged.mtime;
        child.ctime = child.ctime.max(staged.mtime);
    }
    child.gone = true;
    tx.put(child)?;
    sighting.overtaken.push(child.id);
    Ok(())
}

/// A folder without keys has no existence on the Hub. One that a person emptied here stays; one whose
/// files somebody else deleted goes with them.
fn folder_vanished(
    tx: &mut Tx<'_>,
    folder: &mut Node,
    outside: &Outside<'_>,
    sighting: &mut Sighting,
) -> Result<bool> {
    let children = tx.all_children(folder.id)?;
    let mut keeps = folder.listed && children.is_empty();
    for mut child in children {
        if child.kind == Kind::Directory && child.place == Place::Inherited {
            keeps |= !folder_vanished(tx, &mut child, outside, sighting)?;
        } else if child.layer == Layer::Local {
            keeps |= !crate::local::litter::is_litter(&child.name);
        } else if child.place != Place::Inherited || outside.edited(child.id) {
            if child.place == Place::Inherited {
                child.place = Place::Nowhere;
                tx.put(&child)?;
            }
            keeps = true;
        } else {
            bury(tx, &mut child, outside, sighting)?;
        }
    }
    if keeps {
        folder.place = Place::Nowhere;
        folder.listed = true;
    } else {
        folder.gone = true;
    }
    tx.put(folder)?;
    Ok(!keeps)
}

fn take_folder(
    tx: &mut Tx<'_>,
    parent: &Node,
    key: &str,
    (path, entry): (&str, &TreeEntry),
    outside: &Outside<'_>,
) -> Result<bool> {
    match query::child_by_key(tx.db(), parent.id, key, Kind::Directory)? {
        Some(mut child) => {
            if child.place == Place::Nowhere {
                child.place = Place::Inherited;
                child.listed = false;
                tx.put(&child)?;
            }
            Ok(false)
        }
        None => {
            // Removed here with what was in it; the Hub implies the folder by files it has not deleted yet, or that
            // were moved out of it here. When it has heard, the folder is listed once more, and what others keep in
            // it shows then.
            if query::deletes_below(tx.db(), path)?
                || query::moved_away_below(tx.db(), path)?
                || settled_below(outside, path)
            {
                return Ok(false);
            }
            let mut child = tx.new_node(parent.id, key.as_bytes(), Kind::Directory, Layer::Bucket)?;
            name_it(tx, &mut child, key)?;
            describe(&mut child, entry, outside);
            tx.put_listed(&child)?;
            Ok(true)
        }
    }
}

fn settled_below(outside: &Outside<'_>, folder: &str) -> bool {
    outside.settled.iter().any(|key| key.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/')))
}

fn take_file(
    tx: &mut Tx<'_>,
    parent: &Node,
    key: &str,
    (file, entry): (&FileEntry, &TreeEntry),
    outside: &Outside<'_>,
    sighting: &mut Sighting,
) -> Result<bool> {
    let path = file.path.as_str();
    let content = Content { hash: file.xet_hash.clone(), size: file.size };
    if let Some(delete) = query::delete_at(tx.db(), path)? {
        let ours = delete.hash.as_deref() == Some(content.hash.as_str())
            || commits::own_at(tx.db(), path)?.contains(&content.hash);
        if ours {
            return Ok(false); // removed here, the Hub has not been told yet
        }
        // Somebody put a newer version there: their file is not ours to delete.
        tx.forget_delete(path)?;
    }
    match query::child_by_key(tx.db(), parent.id, key, Kind::File)? {
        Some(mut child) => {
            if outside.edited(child.id) && child.base.as_ref() != Some(&content) {
                sighting.lost_base.push(child.id);
            }
            if child.place != Place::Inherited
                || outside.edited(child.id)
                || child.base.as_ref() == Some(&content)
            {
                sighting.hides |= child.base.as_ref() != Some(&content);
                return Ok(false); // ours is under way; the save compares identities
            }
            if let Some(staged) = (outside.staged)(child.id) {
                child.mtime = child.mtime.max(staged.mtime); // the new time must be later than the one shown
            }
            child.size = content.size;
            child.base = Some(content);
            child.touch();
            tx.put(&child)?;
            tx.commit_overtaken(path)?;
            sighting.overtaken.push(child.id);
            Ok(true)
        }
        None => {
            let mut child = tx.new_node(parent.id, key.as_bytes(), Kind::File, Layer::Bucket)?;
            name_it(tx, &mut child, key)?;
            describe(&mut child, entry, outside);
            tx.put_listed(&child)?;
            Ok(true)
        }
    }
}

/// The component of `path` directly below `place`, if a file system can show it at all.
fn component<'p>(path: &'p str, place: &str) -> Option<&'p str> {
    let rest = if place.is_empty() { path } else { path.strip_prefix(place)?.strip_prefix('/')? };
    let fine = !rest.is_empty() && rest != "." && rest != ".." && !rest.contains('/') && !rest.contains('\0');
    fine.then_some(rest)
}

/// Shows the key as it is where that is possible, else under a marked name that stays the same for ever:
/// too long, equal to another under NFC, file and folder of one name, or the name of a symlink of ours (design.md
/// promise 12).
fn name_it(tx: &Tx<'_>, child: &mut Node, key: &str) -> Result<()> {
    let clash = query::child(tx.db(), child.parent, key.as_bytes())?.is_some();
    if !clash && key.len() <= NAME_MAX {
        return Ok(());
    }
    child.key = Some(key.to_owned());
    for salt in 0..64u32 {
        let name = marked(key, child.kind, salt);
        if query::child(tx.db(), child.parent, name.as_bytes())?.is_none() {
            child.name = name.into_bytes();
            return Ok(());
        }
    }
    child.name = format!("{}~{}", child.id, "unnamed").into_bytes();
    Ok(())
}

fn marked(key: &str, kind: Kind, salt: u32) -> String {
    let digest = Sha256::new()
        .chain_update(key.as_bytes())
        .chain_update([kind == Kind::Directory].map(u8::from))
        .chain_update(salt.to_le_bytes())
        .finalize();
    let mark = format!("~{:02x}{:02x}{:02x}", digest[0], digest[1], digest[2]);
    let (stem, extension) = match key.rfind('.') {
        Some(dot) if dot > 0 && key.len() - dot <= 16 => key.split_at(dot),
        _ => (key, ""),
    };
    let room = NAME_MAX - mark.len() - extension.len();
    let mut cut = stem.len().min(room);
    while !stem.is_char_boundary(cut) {
        cut -= 1;
    }
    format!("{}{mark}{extension}", &stem[..cut])
}

/// The root and its fixed companions, made on first use.
pub fn ensure_fixed(tx: &mut Tx<'_>, prefix: &str, uid: u32, gid: u32) -> Result<()> {
    if tx.node(ROOT)?.is_none() {
        let mut root = Node::new(ROOT, ROOT, b"", Kind::Directory, Layer::Bucket);
        root.place = Place::At(prefix.to_owned());
        (root.uid, root.gid) = (uid, gid);
        tx.put(&root)?;
    }
    if tx.node(ORPHANS)?.is_none() {
        let mut orphans = Node::new(ORPHANS, ORPHANS, b"", Kind::Directory, Layer::Local);
        orphans.listed = true;
        tx.put(&orphans)?;
    }
    if tx.node(NEVER_INDEX)?.is_none() {
        let mut marker = Node::new(NEVER_INDEX, ROOT, b".metadata_never_index", Kind::File, Layer::Local);
        (marker.uid, marker.gid) = (uid, gid);
        tx.put(&marker)?;
    }
    Ok(())
}

/// Where `.nfs…` files of removed folders wait for their last close; not reachable by name.
pub const ORPHANS: FileId = FileId(2);
/// Keeps Spotlight out (macos-nfs.md F).
const NEVER_INDEX: FileId = FileId(3);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marked_names_fit_differ_and_keep_their_extension() {
        let long = format!("{}.safetensors", "ü".repeat(300));
        let name = marked(&long, Kind::File, 0);
        assert!(name.len() <= NAME_MAX && name.ends_with(".safetensors"), "{name}");
        assert_ne!(name, marked(&long, Kind::File, 1));
        assert_ne!(marked("a", Kind::File, 0), marked("a", Kind::Directory, 0));
    }

    #[test]
    fn keys_a_file_system_cannot_show_are_left_out() {
        assert_eq!(component("a/b", "a"), Some("b"));
        assert_eq!(component("logs.json", "logs"), None, "a neighbour by raw prefix");
        for path in ["a/", "a/..", "a/.", "a//", "b/c", "a/x/y"] {
            assert_eq!(component(path, "a"), None, "{path}");
        }
    }
}
