//! READDIR: a folder in the order of its file ids, an order no insertion or deletion disturbs.

use crate::attr::{Attr, FileId, Kind};
use crate::bucket_fs::BucketFs;
use crate::error::{Error, ErrorKind, Result};
use crate::local::litter;
use crate::names::{Layer, Node, Place, query};

/// One entry; `cookie` is the place after it.
#[derive(Debug, Clone)]
pub struct Entry {
    pub cookie: u64,
    pub name: Vec<u8>,
    pub attr: Attr,
}

/// A stretch of a folder.
#[derive(Debug, Clone)]
pub struct Page {
    pub entries: Vec<Entry>,
    pub end: bool,
    pub dir: Attr,
}

const DOT: u64 = 1;
const DOT_DOT: u64 = 2;

impl BucketFs {
    /// Entries after `cookie` (0: from `.` on), at most `limit`. Waits for the Hub's listing the first time.
    ///
    /// Errors: never an empty listing for a folder that could not be listed.
    pub async fn readdir(&self, dir: FileId, cookie: u64, limit: usize) -> Result<Page> {
        let folder = self.listed_folder(dir).await?;
        let mut entries = Vec::new();
        if cookie < DOT {
            entries.push(Entry { cookie: DOT, name: b".".to_vec(), attr: self.attr_of(&folder) });
        }
        if cookie < DOT_DOT {
            let parent = self.live(folder.parent).unwrap_or_else(|_| folder.clone());
            entries.push(Entry { cookie: DOT_DOT, name: b"..".to_vec(), attr: self.attr_of(&parent) });
        }
        let limit = limit.max(1);
        // SQLite counts in signed 64 bits: a larger cookie, which is none of ours, must not begin anew.
        let after = FileId(cookie.clamp(DOT_DOT, i64::MAX as u64));
        // One more than wanted tells whether this is the end.
        let mut children = self.names.ask(|db| query::entries(db, dir, after, limit + 1))?;
        let end = children.len() <= limit;
        children.truncate(limit);
        entries.extend(children.into_iter().map(|(name, attr)| Entry {
            cookie: attr.id.0,
            attr: self.as_staged(attr),
            name,
        }));
        Ok(Page { entries, end, dir: self.attr_of(&folder) })
    }

    /// On return a change of `name` in this folder need not wait for the Hub: the folder has been listed, and,
    /// when the change may take a folder of that name away, what is `inside` that. Finder's own names need no
    /// listing.
    ///
    /// Errors: those of the listing. What is no folder, or gone, is for the change itself to say.
    pub async fn know_names(&self, dir: FileId, name: &[u8], inside: bool) -> Result<()> {
        let Ok(folder) = self.live(dir) else { return Ok(()) };
        if folder.kind != Kind::Directory || self.config.read_only {
            return Ok(());
        }
        if !litter::is_litter(name) {
            self.listed_folder(dir).await?;
        }
        if !inside {
            return Ok(());
        }
        match self.names.ask(|db| query::child(db, dir, name))? {
            Some(child) if child.kind == Kind::Directory => self.listed_folder(child.id).await.map(|_| ()),
            _ => Ok(()),
        }
    }

    /// Why the Hub is known to be out of reach, if it is.
    pub fn offline_cause(&self) -> Option<String> {
        self.queue.offline_cause()
    }

    /// A live folder whose names are known; fetched from the Hub when they are not.
    pub(crate) async fn listed_folder(&self, dir: FileId) -> Result<std::sync::Arc<Node>> {
        let folder = self.live(dir)?;
        if folder.kind != Kind::Directory {
            return Err(Error::new(
                ErrorKind::NotDirectory,
                format!("{} is not a folder.", folder.display_name()),
            ));
        }
        if folder.gone {
            return Ok(folder);
        }
        self.listings.looked_at(self, &folder);
        if folder.listed {
            if self.may_be_outdated(&folder) {
                self.listings.renew(&self.this()?, dir).await;
                return self.live(dir);
            }
            return Ok(folder);
        }
        self.listings.fetch(&self.this()?, dir).await?;
        self.live(dir)
    }

    /// The bucket changed since this folder was listed, and the Hub can be asked.
    fn may_be_outdated(&self, folder: &Node) -> bool {
        folder.layer == Layer::Bucket
            && folder.place != Place::Nowhere
            && !self.listings.is_fresh(folder.id)
            && self.queue.offline_cause().is_none()
    }
}
