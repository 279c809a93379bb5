//! Staged copies whose content is on the Hub are kept for reading while there is room: what was just
//! written is often read next. The quietest go first; what is not on the Hub is never given up.

use std::sync::Arc;

use crate::attr::{FileId, Timestamp};
use crate::bucket_fs::{BucketFs, blocking};
use crate::error::Result;
use crate::local::litter;
use crate::names::{Content, Layer, Tx};
use crate::staging::{Layout, Staged, StagingArea};

/// Each has two files and a place in memory, so small ones are bounded by number.
const MOST: usize = 1000;
/// Given up with one change of the database.
const AT_ONCE: usize = 256;

/// Gives up as many saved copies as the limits ask for.
pub async fn trim(fs: &Arc<BucketFs>) -> Result<()> {
    let mut saved: Vec<(Arc<Staged>, u64)> = Vec::new();
    for staged in fs.staging.all() {
        if let Some(bytes) = staged.with_layout(|layout| is_saved(layout).then(|| layout.local_bytes())) {
            saved.push((staged, bytes));
        }
    }
    // Each is asked once: the clock goes on while they are compared, and a sort by it has no order.
    saved.sort_by_cached_key(|(staged, _)| std::cmp::Reverse(staged.quiet_for()));
    let mut count = saved.len();
    let mut bytes: u64 = saved.iter().map(|(_, bytes)| bytes).sum();
    let mut saved = saved.into_iter();
    while count > MOST || bytes > fs.config.saved_copies_bytes {
        let (mut part, mut sizes) = (Vec::new(), Vec::new());
        let (mut count_then, mut bytes_then) = (count, bytes);
        while part.len() < AT_ONCE && (count_then > MOST || bytes_then > fs.config.saved_copies_bytes) {
            let Some((staged, size)) = saved.next() else { break };
            count_then -= 1;
            bytes_then -= size;
            part.push(staged);
            sizes.push(size);
        }
        if part.is_empty() {
            break;
        }
        for (gone, size) in give_up_all(fs, part).await?.into_iter().zip(sizes) {
            if gone {
                count -= 1;
                bytes -= size;
            }
        }
    }
    Ok(())
}

/// Gives up the quietest saved copies until about `bytes` of disk are free; answers how many.
pub async fn free(fs: &Arc<BucketFs>, bytes: u64) -> Result<u64> {
    let mut saved: Vec<Arc<Staged>> =
        fs.staging.all().into_iter().filter(|staged| staged.with_layout(is_saved)).collect();
    saved.sort_by_cached_key(|staged| std::cmp::Reverse(staged.quiet_for())); // a clock that runs is no order
    let mut freed = 0;
    for staged in saved {
        if freed >= bytes {
            break;
        }
        let size = staged.with_layout(Layout::local_bytes);
        if give_up(fs, staged).await? {
            freed += size;
        }
    }
    Ok(freed)
}

/// Bytes on disk that [`free`] could give up.
pub fn bytes(fs: &BucketFs) -> u64 {
    let saved = |layout: &Layout| if is_saved(layout) { layout.local_bytes() } else { 0 };
    fs.staging.all().iter().map(|staged| staged.with_layout(saved)).sum()
}

fn is_saved(layout: &Layout) -> bool {
    !layout.dirty
        && layout.base.is_some()
        && layout.in_flight == 0
        && layout.unstable.is_empty()
        && layout.holes.is_empty()
}

/// The row takes over what the copy has shown (size and clock must not go back); then the copy goes, unless
/// it was changed meanwhile.
pub(crate) async fn give_up(fs: &Arc<BucketFs>, staged: Arc<Staged>) -> Result<bool> {
    Ok(give_up_all(fs, vec![staged]).await?.contains(&true))
}

/// The same for several, with one change of their rows and one sync; which of them are gone.
async fn give_up_all(fs: &Arc<BucketFs>, copies: Vec<Arc<Staged>>) -> Result<Vec<bool>> {
    let shown: Vec<Shown> = copies.iter().map(|staged| Shown::by(staged)).collect();
    let (rows, staging) = (shown.clone(), fs.staging.clone());
    let known = fs
        .names
        .change(move |tx| rows.iter().map(|shown| shown.note_in_row(tx)).collect::<Result<Vec<bool>>>())
        .await?;
    if !known.contains(&true) {
        return Ok(known);
    }
    // After a power cut the row must lead to the Hub's content: the copy will not.
    fs.sync_names().await?;
    blocking(move || {
        let gone = |(known, shown): (bool, Shown)| known && shown.retire(&staging);
        Ok(known.into_iter().zip(shown).map(gone).collect())
    })
    .await
}

/// What a copy has shown of its file.
#[derive(Clone)]
struct Shown {
    id: FileId,
    generation: u64,
    size: u64,
    mtime: Timestamp,
    base: Option<Content>,
}

impl Shown {
    fn by(staged: &Staged) -> Self {
        staged.with_layout(|layout| Shown {
            id: staged.id,
            generation: layout.generation,
            size: layout.size,
            mtime: layout.mtime,
            base: layout.base.clone(),
        })
    }

    /// `false` when the copy is to stay.
    fn note_in_row(&self, tx: &mut Tx<'_>) -> Result<bool> {
        // What stays on this machine is on the Hub under no name.
        let node =
            tx.node(self.id)?.filter(|node| node.layer == Layer::Bucket || litter::is_silly(&node.name));
        let Some(mut node) = node else { return Ok(false) };
        // After a power cut the row may be older than the copy, from before its first save.
        if node.base.is_none() || node.base == self.base {
            (node.size, node.base, node.mtime) = (self.size, self.base.clone(), self.mtime);
        } else {
            // Others have changed the file since: the row's size belongs to the row's content.
            node.mtime = Timestamp::after(node.mtime.max(self.mtime));
        }
        node.ctime = Timestamp(node.ctime.0.max(self.mtime.0));
        tx.put(&node)?;
        Ok(true)
    }

    fn retire(&self, staging: &StagingArea) -> bool {
        staging.retire(self.id, |layout| {
            is_saved(layout)
                && layout.generation == self.generation
                && layout.mtime == self.mtime
                && layout.size == self.size
        })
    }
}
