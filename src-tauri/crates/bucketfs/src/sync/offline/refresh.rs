//! The names of a kept folder, all the way down, as the Hub has them now.
//!
//! After a start, or when the bucket changed and nobody said where, every folder may be out of date. One recursive
//! listing (a call for a thousand files) is compared with the tree then, and only folders that differ are listed by
//! themselves.

use std::collections::HashMap;
use std::sync::Arc;

use futures_util::{StreamExt, stream};
use hub::TreeEntry;
use twox_hash::XxHash3_64;

use crate::attr::{FileId, Kind};
use crate::bucket_fs::{BucketFs, blocking};
use crate::error::{Error, Result};
use crate::names::{pins, query};

/// Folders listed beside each other.
const AT_ONCE: usize = 6;
/// More folders than this are compared with one listing of everything first.
const FEW: usize = 3;
/// A folder full of folders needs a round for each level; a bucket that never rests is looked at again later.
const ROUNDS: usize = 256;

/// On return every folder from `top` down has been listed and no change of the Hub that is known of is missing.
///
/// Errors: the Hub's. What was listed before one stays.
pub async fn refresh(fs: &Arc<BucketFs>, top: FileId) -> Result<()> {
    let mut compared = false;
    for _ in 0..ROUNDS {
        let stale = stale(fs, top).await?;
        if stale.is_empty() {
            return Ok(());
        }
        if !compared && stale.iter().filter(|folder| folder.listed).count() > FEW {
            compared = true;
            compare(fs, top, &stale).await?;
            continue;
        }
        let listings = stale.iter().map(|folder| fs.listings.fetch(fs, folder.id));
        let failed: Option<Error> = stream::iter(listings)
            .buffer_unordered(AT_ONCE)
            .filter_map(async |outcome| outcome.err())
            .boxed()
            .next()
            .await;
        if let Some(error) = failed {
            return Err(error);
        }
    }
    Ok(())
}

struct Folder {
    id: FileId,
    listed: bool,
}

async fn stale(fs: &Arc<BucketFs>, top: FileId) -> Result<Vec<Folder>> {
    let fs = fs.clone();
    blocking(move || {
        let mut stale = Vec::new();
        fs.names.ask(|db| {
            pins::below(db, top, |node| {
                if node.kind == Kind::Directory
                    && node.placed
                    && !(node.listed && fs.listings.is_fresh(node.id))
                {
                    stale.push(Folder { id: node.id, listed: node.listed });
                }
            })
        })?;
        Ok(stale)
    })
    .await
}

/// The names of one folder, in whatever order.
#[derive(Default, Clone, Copy, PartialEq, Eq)]
struct Digest {
    count: u64,
    sum: u64,
}

impl Digest {
    fn add(&mut self, kind: Kind, key: &str, hash: &str) {
        let seed = XxHash3_64::oneshot_with_seed(kind as u64, key.as_bytes());
        self.count += 1;
        self.sum = self.sum.wrapping_add(XxHash3_64::oneshot_with_seed(seed, hash.as_bytes()));
    }
}

/// Folders that are just as the Hub has them count as listed now.
async fn compare(fs: &Arc<BucketFs>, top: FileId, stale: &[Folder]) -> Result<()> {
    let place = {
        let node = fs.live(top)?;
        fs.names.ask(|db| query::actual_place(db, &node))?
    };
    let Some(place) = place else { return Ok(()) };
    let before = fs.listings.point(stale.iter().map(|folder| folder.id));
    let on_hub = digests_of_hub(fs, &place).await?;
    let ids: Vec<FileId> = stale.iter().filter(|folder| folder.listed).map(|folder| folder.id).collect();
    let (this, looked_at) = (fs.clone(), ids.len());
    let alike = blocking(move || {
        let mut alike = Vec::new();
        for id in ids {
            if let Some((place, digest)) = digest_here(&this, id)?
                && on_hub.get(&place).copied().unwrap_or_default() == digest
            {
                alike.push(id);
            }
        }
        Ok(alike)
    })
    .await?;
    tracing::debug!(folders = looked_at, alike = alike.len(), "a kept folder was compared with the Hub");
    fs.listings.take_for_fresh(&alike, &before);
    Ok(())
}

async fn digests_of_hub(fs: &BucketFs, top: &str) -> Result<HashMap<String, Digest>> {
    let mut digests: HashMap<String, Digest> = HashMap::new();
    let mut pages = fs.bucket.list_all(top);
    let mut last = String::new();
    while let Some(page) = pages.next().await {
        for entry in page? {
            let TreeEntry::File(file) = entry else { continue };
            let below = if top.is_empty() { 0 } else { top.len() + 1 };
            for (at, _) in file.path.match_indices('/').filter(|(at, _)| *at > below) {
                // Everything in a folder comes one after the other.
                let known = last.starts_with(&file.path[..at]) && last.as_bytes().get(at) == Some(&b'/');
                if !known {
                    let (parent, key) = split(&file.path[..at]);
                    digests.entry(parent.to_owned()).or_default().add(Kind::Directory, key, "");
                }
            }
            let (parent, key) = split(&file.path);
            match digests.get_mut(parent) {
                Some(digest) => digest.add(Kind::File, key, &file.xet_hash),
                None => digests.entry(parent.to_owned()).or_default().add(Kind::File, key, &file.xet_hash),
            }
            last = file.path;
        }
    }
    Ok(digests)
}

fn split(path: &str) -> (&str, &str) {
    path.rsplit_once('/').unwrap_or(("", path))
}

/// The folder's place on the Hub, and what the tree says the Hub has in it.
fn digest_here(fs: &BucketFs, id: FileId) -> Result<Option<(String, Digest)>> {
    fs.names.ask(|db| {
        let Some(folder) = query::node(db, id)? else { return Ok(None) };
        let Some(place) = query::actual_place(db, &folder)? else { return Ok(None) };
        let mut digest = Digest::default();
        pins::on_hub_in(db, id, |kind, key, hash| digest.add(kind, key, hash))?;
        Ok(Some((place, digest)))
    })
}
