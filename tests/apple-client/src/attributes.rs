//! GETATTR, SETATTR, ACCESS, and what follows from a time that is not the expected one.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use nfs3_types::nfs3::*;

use crate::errno::{Errno, Result};
use crate::mount::{Mount, done};
use crate::node::Node;

/// What chmod, ftruncate and utimes ask for.
#[derive(Debug, Clone, Copy, Default)]
pub struct Change {
    pub mode: Option<u32>,
    pub size: Option<u64>,
    pub mtime: Option<nfstime3>,
    pub atime: Option<nfstime3>,
    /// `utimes(path, NULL)`: the server's clock.
    pub times_now: bool,
}

impl Change {
    pub fn size(size: u64) -> Change {
        Change { size: Some(size), ..Change::default() }
    }

    pub fn mode(mode: u32) -> Change {
        Change { mode: Some(mode), ..Change::default() }
    }

    pub fn times(seconds: u32) -> Change {
        let time = Some(nfstime3 { seconds, nseconds: 0 });
        Change { mtime: time, atime: time, ..Change::default() }
    }

    fn sets_times(&self) -> bool {
        self.mtime.is_some() || self.atime.is_some() || self.times_now
    }

    pub(crate) fn wire(&self) -> sattr3 {
        let option = |value: Option<u32>| value.map_or(Nfs3Option::None, Nfs3Option::Some);
        let (atime, mtime) = if self.times_now {
            (set_atime::SET_TO_SERVER_TIME, set_mtime::SET_TO_SERVER_TIME)
        } else {
            (
                self.atime.map_or(set_atime::DONT_CHANGE, set_atime::SET_TO_CLIENT_TIME),
                self.mtime.map_or(set_mtime::DONT_CHANGE, set_mtime::SET_TO_CLIENT_TIME),
            )
        };
        sattr3 {
            mode: option(self.mode),
            uid: Nfs3Option::None,
            gid: Nfs3Option::None,
            size: self.size.map_or(Nfs3Option::None, Nfs3Option::Some),
            atime,
            mtime,
        }
    }
}

/// Whether attributes a second old will do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fresh {
    /// NGA_CACHED.
    Cached,
    /// NGA_UNCACHED.
    Asked,
}

impl Mount {
    /// Attributes, and what a changed mtime does: a folder's names and listing are forgotten, a file's pages are
    /// flushed and dropped, its stored error with them (nfs_vnops.c nfs_getattr_internal).
    pub async fn getattr(self: &Arc<Self>, node: &Arc<Node>, fresh: Fresh) -> Result<fattr3> {
        let attr = match (fresh == Fresh::Cached).then(|| self.cached(node)).flatten() {
            Some(attr) => attr,
            None => self.getattr_rpc(node).await?,
        };
        let (changed, names_changed) = node.with(|state| (state.has_changed(), state.names_have_changed()));
        if node.is_dir() && names_changed {
            node.with(|state| {
                state.names.clear();
                state.names_mtime = attr.mtime;
            });
        }
        if changed {
            if node.is_dir() {
                node.with(|state| state.listing = None);
            } else {
                self.sent.invalidations.fetch_add(1, Ordering::Relaxed);
                self.invalidate(node, true, false).await;
            }
            node.with(|state| state.mtime = attr.mtime);
        }
        Ok(node.with(|state| state.attr.clone()).unwrap_or(attr))
    }

    /// nfs_subs.c nfs_getattrcache with `actimeo`.
    fn cached(&self, node: &Node) -> Option<fattr3> {
        let now = self.clock.now();
        node.with(|state| {
            let young = now.saturating_sub(state.attr_at) < self.options.attributes_kept;
            state.attr.clone().filter(|_| state.attr_valid && young)
        })
    }

    async fn getattr_rpc(&self, node: &Node) -> Result<fattr3> {
        self.sent.getattrs.fetch_add(1, Ordering::Relaxed);
        let args = GETATTR3args { object: node.handle.clone() };
        let (order, result) = self.ask::<GETATTR3res>(NFS_PROGRAM::NFSPROC3_GETATTR, &args).await?;
        let attr = done(result)?.obj_attributes;
        if attr.type_ != node.kind {
            return Err(Errno::ESTALE);
        }
        let now = self.clock.now();
        node.with(|state| state.load(&attr, order, now));
        Ok(attr)
    }

    /// nfs_vnops.c nfs_vnop_setattr. The flushes before the SETATTR take the file's error and tell nobody; the
    /// SETATTR's own error reaches the caller.
    pub async fn setattr(self: &Arc<Self>, node: &Arc<Node>, change: Change) -> Result<()> {
        let old_size = node.size();
        if let Some(size) = change.size {
            if node.is_dir() {
                return Err(Errno::EISDIR);
            }
            node.with(|state| state.need_invalidate = false);
            // Size 0 saves nothing: V_SAVE is left out.
            self.invalidate(node, size != 0, false).await;
            node.with(|state| {
                state.size = size;
                if let Some(attr) = &mut state.attr {
                    attr.size = size;
                }
            });
        } else if change.sets_times() && node.with(|state| state.modified) && !node.is_dir() {
            self.invalidate(node, true, false).await;
        }
        let result = self.setattr_rpc(node, &change).await;
        if result.is_err() && change.size.is_some_and(|size| size != old_size) {
            // "make every effort to resync file size w/ server": the same change with the old size.
            node.with(|state| {
                state.size = old_size;
                if let Some(attr) = &mut state.attr {
                    attr.size = old_size;
                }
            });
            let _ = self.setattr_rpc(node, &Change { size: Some(old_size), ..change }).await;
        }
        result
    }

    /// nfs_vnops.c nfs3_setattr_rpc.
    pub(crate) async fn setattr_rpc(&self, node: &Node, change: &Change) -> Result<()> {
        self.ledger.chance(node.number);
        let args = SETATTR3args {
            object: node.handle.clone(),
            new_attributes: change.wire(),
            guard: Nfs3Option::None,
        };
        let (order, result) = self.ask::<SETATTR3res>(NFS_PROGRAM::NFSPROC3_SETATTR, &args).await?;
        let (wcc, result) = match result {
            Nfs3Result::Ok(ok) => (ok.obj_wcc, Ok(())),
            Nfs3Result::Err((status, failed)) => (failed.obj_wcc, Err(Errno::of(status))),
        };
        let now = self.clock.now();
        node.with(|state| state.load_wcc(&wcc, order, now));
        // Had another call been in flight, its attributes could be older ones: ask again then.
        if self.transport.next_order() != order + 1 {
            node.with(|state| state.attr_valid = false);
        }
        result
    }

    /// All bits are asked for, whatever the caller wants (nfs_vnops.c nfs_vnop_access).
    pub async fn access(&self, node: &Node) -> Result<u32> {
        let args = ACCESS3args { object: node.handle.clone(), access: 0x3f };
        let (order, result) = self.ask::<ACCESS3res>(NFS_PROGRAM::NFSPROC3_ACCESS, &args).await?;
        let access = done(result)?;
        if let Nfs3Option::Some(attr) = &access.obj_attributes {
            let now = self.clock.now();
            node.with(|state| state.load(attr, order, now));
        }
        Ok(access.access)
    }
}
