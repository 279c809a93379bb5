//! READDIR, READDIRPLUS (RFC 1813 3.3.16, 3.3.17).
//!
//! Cookies are the file system's and stay usable whatever changes, so the cookie verifier is constant and
//! BAD_COOKIE is never answered: macOS would take it for the end of the directory and files would vanish
//! (macos-nfs.md B8). Both byte limits are kept exactly: `count` and `maxcount` bound the whole result after
//! the status, `dircount` what the entries take without attributes and handles.

use super::{Outcome, Procedures, ok};
use crate::file_system::{DirEntry, DirPage, FileSystem};
use crate::handle::{HANDLE_LENGTH, Handles, Target};
use crate::limits::MAX_TRANSFER;
use crate::types::{fattr3, nfsstat3};
use crate::xdr::{ATTRIBUTES, Args, Out};

/// "No verifier": RFC 1813 allows zero for servers whose cookies are always valid.
const COOKIE_VERIFIER: [u8; 8] = [0; 8];
/// Entries asked of the file system at a time.
const PAGE: usize = 512;
/// The end mark of the list, and the end-of-directory flag.
const TAIL: usize = 8;

impl<F: FileSystem> Procedures<F> {
    pub(super) async fn readdir(&self, on: Target, mut args: Args) -> Outcome {
        let cookie = args.u64()?;
        args.u64()?;
        let count = args.u32()?;
        let bounds = Bounds { names: usize::MAX, whole: count.min(MAX_TRANSFER) as usize };
        self.list(on, cookie, bounds, Style::Names).await
    }

    pub(super) async fn readdirplus(&self, on: Target, mut args: Args) -> Outcome {
        let cookie = args.u64()?;
        args.u64()?;
        let dircount = args.u32()?;
        let maxcount = args.u32()?;
        let bounds = Bounds { names: dircount as usize, whole: maxcount.min(MAX_TRANSFER) as usize };
        self.list(on, cookie, bounds, Style::Full).await
    }

    async fn list(&self, on: Target, cookie: u64, bounds: Bounds, style: Style) -> Outcome {
        let with_attr = style == Style::Full;
        let mut page = self.fs.readdir(on.id, cookie, page_size(&bounds, style), with_attr).await?;
        let mut listing = Listing::new(&self.handles, page.dir_attr.as_ref(), bounds, style);
        let at_end = loop {
            match listing.take(&page) {
                Taken::Full => break false,
                Taken::All if page.end || page.entries.is_empty() => break true,
                Taken::All => {}
            }
            let last = page.entries.last().map_or(cookie, |entry| entry.cookie);
            page = self.fs.readdir(on.id, last, PAGE, with_attr).await?;
        };
        if listing.entries == 0 && !at_end {
            return Err(self.refuse(on.id, nfsstat3::NFS3ERR_TOOSMALL).await.into());
        }
        Ok(listing.finish(at_end).into())
    }
}

/// How many entries the first page should have: no more than could fit.
fn page_size(bounds: &Bounds, style: Style) -> usize {
    let smallest = smallest_entry(style);
    (bounds.whole / smallest).min(bounds.names / 28).clamp(1, PAGE)
}

fn smallest_entry(style: Style) -> usize {
    match style {
        Style::Names => 28,
        Style::Full => 28 + 8 + 4 + HANDLE_LENGTH + ATTRIBUTES,
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Style {
    Names,
    Full,
}

struct Bounds {
    /// Bytes of file ids, names and cookies.
    names: usize,
    /// Bytes of everything after the status.
    whole: usize,
}

enum Taken {
    All,
    Full,
}

/// A listing being written.
struct Listing<'a> {
    handles: &'a Handles,
    out: Out,
    start: usize,
    names: usize,
    entries: usize,
    bounds: Bounds,
    style: Style,
}

impl<'a> Listing<'a> {
    fn new(handles: &'a Handles, dir_attr: Option<&fattr3>, bounds: Bounds, style: Style) -> Self {
        let mut out = ok(bounds.whole.min(64 << 10));
        let start = out.0.len();
        out.post_op_attr(dir_attr);
        out.fixed(&COOKIE_VERIFIER);
        Listing { handles, out, start, names: 0, entries: 0, bounds, style }
    }

    fn take(&mut self, page: &DirPage) -> Taken {
        for entry in &page.entries {
            let before = self.out.0.len();
            self.write(entry);
            // The mark before the entry belongs to the directory information, too.
            let names = 24 + entry.name.len().next_multiple_of(4);
            let whole = self.out.0.len() - self.start + TAIL;
            if self.names + names > self.bounds.names || whole > self.bounds.whole {
                self.out.0.truncate(before);
                return Taken::Full;
            }
            self.names += names;
            self.entries += 1;
        }
        Taken::All
    }

    fn write(&mut self, entry: &DirEntry) {
        self.out.bool(true);
        self.out.u64(entry.id);
        self.out.opaque(&entry.name);
        self.out.u64(entry.cookie);
        if self.style == Style::Full {
            self.out.post_op_attr(entry.attr.as_ref());
            self.out.bool(entry.attr.is_some());
            if let Some(attr) = &entry.attr {
                self.out.opaque(&self.handles.of(entry.id, attr).0);
            }
        }
    }

    fn finish(mut self, at_end: bool) -> Out {
        self.out.bool(false);
        self.out.bool(at_end);
        self.out
    }
}
