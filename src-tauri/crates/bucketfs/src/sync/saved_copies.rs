//! Staged copies whose content is on the Hub are kept for reading while there is room: what was just
//! written is often read next. The quietest go first; what is not on the Hub is never given up.

use std::sync::Arc;

use crate::attr::Timestamp;
use crate::bucket_fs::{BucketFs, blocking};
use crate::error::Result;
use crate::local::litter;
use crate::names::Layer;
use crate::staging::{Layout, Staged};

/// Each has two files and a place in memory, so small ones are bounded by number.
const MOST: usize = 1000;

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
    for (staged, size) in saved {
        if count <= MOST && bytes <= fs.config.saved_copies_bytes {
            break;
        }
        if give_up(fs, staged).await? {
            count -= 1;
            bytes -= size;
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
    let (id, generation) = (staged.id, staged.with_layout(|layout| layout.generation));
    let (size, mtime, base) = staged.with_layout(|layout| (layout.size, layout.mtime, layout.base.clone()));
    let known = fs
        .names
        .change(move |tx| {
            // What stays on this machine is on the Hub under no name.
            let node =
                tx.node(id)?.filter(|node| node.layer == Layer::Bucket || litter::is_silly(&node.name));
            let Some(mut node) = node else { return Ok(false) };
            // After a power cut the row may be older than the copy, from before its first save.
            if node.base.is_none() || node.base == base {
                (node.size, node.base, node.mtime) = (size, base, mtime);
            } else {
                // Others have changed the file since: the row's size belongs to the row's content.
                node.mtime = Timestamp::after(node.mtime.max(mtime));
            }
            node.ctime = Timestamp(node.ctime.0.max(mtime.0));
            tx.put(&node)?;
            Ok(true)
        })
        .await?;
    if !known {
        return Ok(false);
    }
    // After a power cut the row must lead to the Hub's content: the copy will not.
    fs.sync_names().await?;
    let staging = fs.staging.clone();
    let unchanged = move |layout: &Layout| {
        is_saved(layout) && layout.generation == generation && layout.mtime == mtime && layout.size == size
    };
    blocking(move || Ok(staging.retire(id, unchanged))).await
}
