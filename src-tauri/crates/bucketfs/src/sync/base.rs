//! Keeping the base of an edit: when the Hub does not refer to it any more (deleted or replaced, by others or
//! by our own save), what the edit needs of it is fetched at once and kept (design.md promise 8). The Hub
//! collects content without a name when it likes.

use std::sync::Arc;
use std::time::Duration;

use crate::attr::FileId;
use crate::bucket_fs::{BucketFs, blocking};
use crate::error::{Error, ErrorKind, Result};
use crate::event::Event;
use crate::names::Content;
use crate::staging::{Piece, Refusal, Staged};

/// Fetched and synced at once.
const PIECE: u64 = 8 << 20;
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// Starts fetching what the edit of this file needs of its base; nothing happens to a file without one.
pub fn keep(fs: &Arc<BucketFs>, id: FileId) {
    let Some(staged) = fs.staging.get(id) else { return };
    if next_missing(&staged).is_none() || !fs.bases.lock().insert(id) {
        return;
    }
    let fs = fs.clone();
    fs.tasks.clone().spawn(async move {
        tokio::select! {
            () = keep_trying(&fs, &staged) => {}
            () = fs.stop.cancelled() => {}
        }
        fs.bases.lock().remove(&id);
    });
}

async fn keep_trying(fs: &Arc<BucketFs>, staged: &Arc<Staged>) {
    let mut wait = FIRST_WAIT;
    loop {
        match bring(fs, staged).await {
            Ok(()) => return,
            Err(error) if error.kind == ErrorKind::NotFound => return tell(fs, staged, &error),
            Err(error) => tracing::warn!(file = %staged.id, %error, "the base of an edit is not yet kept"),
        }
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(LONGEST_WAIT);
    }
}

async fn bring(fs: &Arc<BucketFs>, staged: &Arc<Staged>) -> Result<()> {
    while let Some((base, range)) = next_missing(staged) {
        if fs.space().is_ok_and(|space| space.available < range.end - range.start) {
            return Err(Error::new(ErrorKind::NoSpace, "The disk has no room for the base of an edit."));
        }
        let pieces = fs.content.read(&base.hash, base.size, range.clone()).await?;
        let bytes = pieces.concat();
        if bytes.len() as u64 != range.end - range.start {
            return Err(Error::new(ErrorKind::Hub, "The Hub gave fewer bytes than it has."));
        }
        let (copy, at) = (staged.clone(), range.start);
        match blocking(move || Ok(copy.keep_base(&base, at, &bytes))).await? {
            Ok(()) => {}
            Err(Refusal::Retired) => return Ok(()),
            Err(Refusal::Hole | Refusal::HoleForWantOfRoom) => return Ok(()),
            Err(Refusal::Disk(error) | Refusal::Lost(error)) => {
                return Err(Error::disk("keeping the base of an edit", &error));
            }
        }
    }
    Ok(())
}

/// The next stretch of the base that is not on this machine, of a file that is edited.
fn next_missing(staged: &Staged) -> Option<(Content, std::ops::Range<u64>)> {
    staged.with_layout(|layout| {
        let base = layout.base.clone().filter(|_| layout.dirty && layout.holes.is_empty())?;
        layout.pieces(0..layout.size).into_iter().find_map(|piece| match piece {
            Piece::Base(range) => Some((base.clone(), range.start..range.end.min(range.start + PIECE))),
            _ => None,
        })
    })
}

fn tell(fs: &BucketFs, staged: &Staged, error: &Error) {
    let path = fs.work_key_path(staged.id);
    tracing::error!(path, %error, "the Hub has given up what an edit stands on");
    let cause = "The Hub has given up the version this edit began with, and parts of it were never here.";
    let advice = "Save the whole file again, or copy out what you changed.";
    let (cause, advice) = (cause.to_owned(), advice.to_owned());
    fs.tell(Event::UploadFailed { path, cause, advice, will_retry: false });
}
