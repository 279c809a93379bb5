//! One file or folder as the kernel knows it: `struct nfsnode` and its buffers (NFS:kext/nfsnode.h).

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::sync::{Arc, Weak};
use std::time::Duration;

use nfs3_types::nfs3::{Nfs3Option, fattr3, ftype3, nfs_fh3, nfstime3, wcc_data};
use parking_lot::Mutex;
use rangemap::RangeSet;
use tokio::sync::Notify;

use crate::errno::Errno;

/// A page of the unified buffer cache on Apple silicon (16 KiB): partial pages are read before they are kept.
pub const PAGE: u64 = 16 << 10;

/// A vnode. Known by its handle for as long as the mount lives.
pub struct Node {
    /// Number within this mount, for the ledger.
    pub number: u64,
    pub handle: nfs_fh3,
    pub kind: ftype3,
    state: Mutex<State>,
    changed: Notify,
    /// `NBFLUSHINPROG` and `NBINVALINPROG`: one flush, one invalidation at a time.
    pub(crate) flushing: tokio::sync::Mutex<()>,
    pub(crate) invalidating: tokio::sync::Mutex<()>,
}

#[derive(Default)]
pub struct State {
    /// `n_vattr`, when it was loaded, and whether it still counts (NATTRVALID).
    pub attr: Option<fattr3>,
    pub attr_at: Duration,
    pub attr_valid: bool,
    /// `n_xid`: attributes of calls made before it are dropped.
    pub xid: u64,
    /// `n_mtime`: the mtime the cached data belongs to.
    pub mtime: nfstime3,
    /// `n_ncmtime`: the mtime the names of a folder belong to.
    pub names_mtime: nfstime3,
    /// `n_size`.
    pub size: u64,
    /// `NMODIFIED`.
    pub modified: bool,
    /// `n_error` and `NWRITEERR`: one slot, the last error wins.
    pub write_error: Option<Errno>,
    /// `NNEEDINVALIDATE`.
    pub need_invalidate: bool,
    /// By logical block number.
    pub buffers: BTreeMap<u64, Buffer>,
    /// `n_numoutput`: writes under way.
    pub output: usize,
    /// The name cache of a folder; `None` is a negative entry.
    pub names: HashMap<Vec<u8>, Option<Arc<Node>>>,
    /// The whole listing of a folder (directory buffers).
    pub listing: Option<Vec<Vec<u8>>>,
    /// Where it was found last.
    pub place: Option<(Weak<Node>, Vec<u8>)>,
    /// Descriptors of programs.
    pub opens: usize,
    /// The name `.nfs.…` it lives under until its last close (nfs_sillyrename).
    pub silly: Option<(Arc<Node>, Vec<u8>)>,
}

/// One block of the page cache: `struct nfsbuf`.
#[derive(Default)]
pub struct Buffer {
    pub data: Vec<u8>,
    pub valid: RangeSet<u64>,
    /// `nb_dirtyoff..nb_dirtyend`: to be written, or written UNSTABLE and not committed.
    pub dirty: Range<u64>,
    /// `NB_DELWRI`: on the dirty list.
    pub delayed: bool,
    /// `NB_NEEDCOMMIT`.
    pub need_commit: bool,
    /// `NB_STALEWVERF`.
    pub stale_verifier: bool,
    /// `NB_STABLE`: the next write is FILE_SYNC.
    pub stable: bool,
    /// `NB_NOCACHE`: dropped as soon as it is safe.
    pub no_cache: bool,
    /// `NBL_BUSY`.
    pub busy: bool,
    /// `nb_verf`; 0: none yet.
    pub verifier: u64,
}

impl Buffer {
    pub fn is_dirty(&self) -> bool {
        self.delayed
    }

    /// Keeps `bytes` at `at`.
    pub fn fill(&mut self, at: u64, bytes: &[u8]) {
        let end = at as usize + bytes.len();
        if self.data.len() < end {
            self.data.resize(end, 0);
        }
        self.data[at as usize..end].copy_from_slice(bytes);
        if !bytes.is_empty() {
            self.valid.insert(at..end as u64);
        }
    }

    /// Keeps `bytes` at `at` where nothing is known yet: what a program wrote is newer than what was read.
    pub fn fill_gaps(&mut self, at: u64, bytes: &[u8]) {
        let whole = at..at + bytes.len() as u64;
        let gaps: Vec<Range<u64>> = self.valid.gaps(&whole).collect();
        for gap in gaps {
            let (start, end) = ((gap.start - at) as usize, (gap.end - at) as usize);
            self.fill(gap.start, &bytes[start..end]);
        }
    }

    pub fn copy(&self, range: Range<u64>) -> Vec<u8> {
        let mut bytes = vec![0; (range.end - range.start) as usize];
        let end = range.end.min(self.data.len() as u64);
        if range.start < end {
            bytes[..(end - range.start) as usize]
                .copy_from_slice(&self.data[range.start as usize..end as usize]);
        }
        bytes
    }

    pub fn has(&self, range: &Range<u64>) -> bool {
        range.is_empty() || self.valid.gaps(range).next().is_none()
    }
}

impl Node {
    pub(crate) fn new(number: u64, handle: nfs_fh3, kind: ftype3) -> Node {
        Node {
            number,
            handle,
            kind,
            state: Mutex::default(),
            changed: Notify::new(),
            flushing: tokio::sync::Mutex::default(),
            invalidating: tokio::sync::Mutex::default(),
        }
    }

    pub fn is_dir(&self) -> bool {
        self.kind == ftype3::NF3DIR
    }

    /// Looks at the state, or changes it; whoever waits looks again.
    pub fn with<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        let result = work(&mut self.state.lock());
        self.changed.notify_waiters();
        result
    }

    /// Waits until `wanted` gives something.
    pub async fn until<T>(&self, mut wanted: impl FnMut(&mut State) -> Option<T>) -> T {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if let Some(found) = wanted(&mut self.state.lock()) {
                return found;
            }
            changed.await;
        }
    }

    /// Takes a block for oneself, made if need be (nfs_buf_get).
    pub async fn acquire(&self, block: u64) {
        self.until(|state| {
            let buffer = state.buffers.entry(block).or_default();
            (!buffer.busy).then(|| buffer.busy = true)
        })
        .await;
    }

    pub fn release(&self, block: u64) {
        self.with(|state| {
            if let Some(buffer) = state.buffers.get_mut(&block) {
                buffer.busy = false;
            }
        });
    }

    /// The same object has this type for ever (macos-nfs.md B6).
    pub fn size(&self) -> u64 {
        self.state.lock().size
    }
}

impl State {
    /// nfs_subs.c nfs_loadattrcache: older attributes are dropped; the larger local size wins while the file is
    /// being written.
    pub fn load(&mut self, attr: &fattr3, order: u64, now: Duration) {
        if order < self.xid {
            return;
        }
        self.xid = order;
        let mut attr = attr.clone();
        if attr.type_ == ftype3::NF3REG && attr.size != self.size {
            if self.modified && attr.size < self.size {
                attr.size = self.size;
            } else {
                self.size = attr.size;
            }
        }
        self.attr = Some(attr);
        self.attr_at = now;
        self.attr_valid = true;
    }

    /// Weak cache consistency: the new mtime is ours only if the one before was the one we knew
    /// (nfs_vnops.c nfs3_write_rpc_async_finish, nfs3_setattr_rpc, nfs3_commit_rpc).
    pub fn load_wcc(&mut self, wcc: &wcc_data, order: u64, now: Duration) {
        let before = match &wcc.before {
            Nfs3Option::Some(before) => before.mtime,
            Nfs3Option::None => nfstime3::default(),
        };
        match &wcc.after {
            Nfs3Option::Some(attr) => self.load(attr, order, now),
            Nfs3Option::None => self.attr_valid = false,
        }
        let Some(now_known) = self.attr.as_ref().map(|attr| attr.mtime) else { return };
        if before == self.mtime {
            self.mtime = now_known;
        }
        if before == self.names_mtime {
            self.names_mtime = now_known;
        }
    }

    /// NFS_CHANGED: the cached data is of another mtime than the attributes.
    pub fn has_changed(&self) -> bool {
        self.attr.as_ref().is_some_and(|attr| attr.mtime != self.mtime)
    }

    pub fn names_have_changed(&self) -> bool {
        self.attr.as_ref().is_some_and(|attr| attr.mtime != self.names_mtime)
    }

    /// `n_needcommitcnt`.
    pub fn need_commit(&self) -> usize {
        self.buffers.values().filter(|buffer| buffer.need_commit).count()
    }

    pub fn is_dirty(&self) -> bool {
        self.buffers.values().any(Buffer::is_dirty)
    }
}
