//! What of a kept file or folder is wanted here, as far as the tree knows it.

use std::collections::HashMap;
use std::sync::Arc;

use crate::attr::{FileId, Kind};
use crate::bucket_fs::BucketFs;
use crate::content::ContentKey;
use crate::error::Result;
use crate::names::pins::{self, Pin};

/// A file's content on the Hub.
#[derive(Debug, Clone)]
pub struct Wanted {
    pub id: FileId,
    pub key: ContentKey,
    /// What the Hub calls it: of a repo's file outside Xet more than the key says.
    pub hash: Arc<str>,
    pub size: u64,
}

/// One pin and everything in it.
#[derive(Debug, Clone)]
pub struct Tree {
    pub pin: Pin,
    /// Something of this name is there.
    pub found: bool,
    pub folder: bool,
    pub files: u64,
    /// Of files that the Hub has not: they are here.
    pub local_bytes: u64,
    pub wanted: Vec<Wanted>,
    /// Every folder in it has been listed at least once.
    pub listed: bool,
}

impl Tree {
    /// The pin as the database has what lies in it. Blocks on the disk.
    pub fn look(fs: &BucketFs, pin: &Pin, found: bool) -> Result<Tree> {
        let mut tree = Tree {
            pin: pin.clone(),
            found,
            folder: false,
            files: 0,
            local_bytes: 0,
            wanted: Vec::new(),
            listed: true,
        };
        if !found {
            return Ok(tree);
        }
        let top = pin.node;
        fs.names.ask(|db| {
            pins::below(db, top, |node| match node.kind {
                Kind::Directory => {
                    tree.folder |= node.id == top;
                    tree.listed &= node.listed || !node.placed;
                }
                Kind::File => {
                    tree.files += 1;
                    let wanted = node.base.and_then(|(hash, size)| {
                        let key = ContentKey::parse(&hash)?;
                        Some(Wanted { id: node.id, key, hash: hash.into(), size })
                    });
                    match wanted.filter(|wanted| wanted.size > 0) {
                        Some(wanted) => tree.wanted.push(wanted),
                        None => tree.local_bytes += node.size,
                    }
                }
                Kind::Symlink => {}
            })
        })?;
        Ok(tree)
    }

    pub fn bytes(&self) -> u64 {
        self.local_bytes + self.wanted.iter().map(|wanted| wanted.size).sum::<u64>()
    }

    pub fn bytes_here(&self, fs: &BucketFs) -> u64 {
        let kept = fs.content.kept();
        self.local_bytes + self.wanted.iter().map(|one| kept.here(&one.key, one.size)).sum::<u64>()
    }
}

/// Each content that any of the trees wants, once.
pub fn contents<'t>(trees: impl Iterator<Item = &'t Tree>) -> HashMap<ContentKey, Wanted> {
    trees.flat_map(|tree| tree.wanted.iter().map(|wanted| (wanted.key, wanted.clone()))).collect()
}
