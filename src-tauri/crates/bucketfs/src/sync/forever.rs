//! Files that are written for ever: a log has no end, and must be on the Hub all the same (design.md
//! promise 7). In between, what is committed without a gap goes up, and only if that is more than the Hub has.
//!
//! A copy under way looks much the same; what grows fast is taken for one and left alone until it is finished.

use std::time::Duration;

use crate::bucket_fs::BucketFs;
use crate::staging::Staged;

/// A version costs an upload of what is new and a look at everything before it: a second more between two of
/// them for so many bytes.
const BYTES_FOR_A_SECOND: u64 = 4 << 20;
/// On average; what grows faster is a copy.
const FAST: u64 = 1 << 20;

/// Bytes from the start that may go up now although the file is not quiet; `None` when it is not its time.
pub fn due(fs: &BucketFs, staged: &Staged) -> Option<u64> {
    let session = staged.session()?;
    let (prefix, known) = staged.with_layout(|layout| {
        let known = layout.base.as_ref().map_or(0, |base| base.size);
        (layout.committed_prefix(), known.max(session.sent))
    });
    if prefix <= known {
        return None; // a version on the Hub never gets shorter by this
    }
    let running = session.since.elapsed();
    let grown = prefix.saturating_sub(session.size_then);
    if grown / running.as_secs().max(1) > FAST {
        return None;
    }
    let pause = fs.config.forever.max(Duration::from_secs(prefix / BYTES_FOR_A_SECOND));
    let waited = session.sent_at.map_or(running, |at| at.elapsed());
    (waited >= pause).then_some(prefix)
}
