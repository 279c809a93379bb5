//! LOOKUP, CREATE, REMOVE, RENAME, READDIRPLUS, and the name cache whose only clock is the folder's mtime.
//!
//! Functions named are of NFS:kext/nfs_vnops.c.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use nfs3_types::nfs3::*;
use unicode_normalization::UnicodeNormalization;

use crate::attributes::{Change, Fresh};
use crate::errno::{Errno, Result};
use crate::mount::{Mount, done};
use crate::node::Node;

/// `create_verf` of nfs3_vnop_create: with the address of the machine it makes the verifier of EXCLUSIVE.
static CREATES: AtomicU32 = AtomicU32::new(1);
/// Tries at a free `.nfs.…` name.
const SILLY_TRIES: u64 = 100;

impl Mount {
    /// `nfc`: names go out composed (nfsm_chain_add_name).
    fn on_wire(&self, name: &str) -> Vec<u8> {
        if self.options.nfc { name.nfc().collect::<String>().into_bytes() } else { name.as_bytes().to_vec() }
    }

    fn at<'n>(dir: &Node, name: &'n [u8]) -> diropargs3<'n> {
        diropargs3 { dir: dir.handle.clone(), name: name.into() }
    }

    /// nfs_vnop_lookup: the folder's attributes decide whether cached names count.
    pub async fn lookup(self: &Arc<Self>, dir: &Arc<Node>, name: &str) -> Result<Arc<Node>> {
        if name.len() > self.name_max as usize {
            return Err(Errno::ENAMETOOLONG);
        }
        self.getattr(dir, Fresh::Cached).await?;
        let wire = self.on_wire(name);
        match dir.with(|state| state.names.get(&wire).cloned()) {
            Some(Some(node)) => return Ok(node),
            Some(None) => return Err(Errno::ENOENT),
            // A whole cached listing answers "no `._x`" too (nfs_dir_buf_cache_lookup).
            None if dir.with(|state| not_listed(state.listing.as_deref(), &wire)) => {
                return Err(Errno::ENOENT);
            }
            None => {}
        }
        let found = self.lookup_rpc(dir, &wire).await;
        match &found {
            Ok(node) => {
                self.enter(dir, &wire, Some(node));
            }
            Err(Errno::ENOENT) => self.enter(dir, &wire, None),
            Err(_) => {}
        }
        found
    }

    fn enter(&self, dir: &Arc<Node>, wire: &[u8], node: Option<&Arc<Node>>) {
        if let Some(node) = node {
            node.with(|state| state.place = Some((Arc::downgrade(dir), wire.to_vec())));
        }
        dir.with(|state| state.names.insert(wire.to_vec(), node.cloned()));
    }

    async fn lookup_rpc(&self, dir: &Arc<Node>, wire: &[u8]) -> Result<Arc<Node>> {
        self.sent.lookups.fetch_add(1, Ordering::Relaxed);
        let args = LOOKUP3args { what: Self::at(dir, wire) };
        let (order, result) = self.ask::<LOOKUP3res>(NFS_PROGRAM::NFSPROC3_LOOKUP, &args).await?;
        let now = self.clock.now();
        match result {
            Nfs3Result::Ok(found) => {
                if let Nfs3Option::Some(attr) = &found.dir_attributes {
                    dir.with(|state| state.load(attr, order, now));
                }
                let attr = match found.obj_attributes {
                    Nfs3Option::Some(attr) => attr,
                    Nfs3Option::None => self.attributes_of(&found.object).await?,
                };
                self.node(&found.object, &attr, order)
            }
            Nfs3Result::Err((status, failed)) => {
                if let Nfs3Option::Some(attr) = &failed.dir_attributes {
                    dir.with(|state| state.load(attr, order, now));
                }
                Err(Errno::of(status))
            }
        }
    }

    async fn attributes_of(&self, handle: &nfs_fh3) -> Result<fattr3> {
        let args = GETATTR3args { object: handle.clone() };
        let (_, result) = self.ask::<GETATTR3res>(NFS_PROGRAM::NFSPROC3_GETATTR, &args).await?;
        Ok(done(result)?.obj_attributes)
    }

    /// The `._x` beside `x` is looked up in parallel with CREATE, REMOVE and SETATTR (nfs_dulookup_start).
    async fn dual_lookup(self: &Arc<Self>, dir: &Arc<Node>, name: &str) {
        if !name.starts_with("._") {
            let _ = self.lookup(dir, &format!("._{name}")).await;
        }
    }

    /// nfs3_vnop_create. O_EXCL is EXCLUSIVE and then SETATTR with the mode and the server's times; a server
    /// that cannot gets UNCHECKED.
    pub async fn create(
        self: &Arc<Self>,
        dir: &Arc<Node>,
        name: &str,
        exclusive: bool,
        mode: u32,
    ) -> Result<Arc<Node>> {
        let wire = self.on_wire(name);
        let (made, ()) =
            tokio::join!(self.create_rpc(dir, &wire, exclusive, mode), self.dual_lookup(dir, name));
        match made {
            Err(Errno::ENOTSUP) if exclusive => self.create_rpc(dir, &wire, false, mode).await,
            made => made,
        }
    }

    async fn create_rpc(
        self: &Arc<Self>,
        dir: &Arc<Node>,
        wire: &[u8],
        exclusive: bool,
        mode: u32,
    ) -> Result<Arc<Node>> {
        let how = if exclusive {
            let count = u64::from(CREATES.fetch_add(1, Ordering::Relaxed));
            createhow3::EXCLUSIVE(createverf3((0x7f00_0001 << 32 | count).to_be_bytes()))
        } else {
            createhow3::UNCHECKED(Change { mode: Some(mode), ..Change::default() }.wire())
        };
        let args = CREATE3args { where_: Self::at(dir, wire), how };
        let (order, result) = self.ask::<CREATE3res>(NFS_PROGRAM::NFSPROC3_CREATE, &args).await?;
        let made = match result {
            Nfs3Result::Ok(made) => made,
            Nfs3Result::Err((status, failed)) => {
                self.folder_changed(dir, &failed.dir_wcc, order);
                return Err(Errno::of(status));
            }
        };
        self.folder_changed(dir, &made.dir_wcc, order);
        let node = self.made(dir, wire, made.obj, made.obj_attributes, order).await?;
        if exclusive {
            let change = Change { mode: Some(mode), times_now: true, ..Change::default() };
            if let Err(errno) = self.setattr_rpc(&node, &change).await {
                let _ = self.remove_rpc(dir, wire).await;
                return Err(errno);
            }
        }
        Ok(node)
    }

    /// The vnode of an object just made; a reply without handle costs a LOOKUP (nfs_lookitup).
    async fn made(
        self: &Arc<Self>,
        dir: &Arc<Node>,
        wire: &[u8],
        handle: post_op_fh3,
        attr: post_op_attr,
        order: u64,
    ) -> Result<Arc<Node>> {
        let node = match (handle, attr) {
            (Nfs3Option::Some(handle), Nfs3Option::Some(attr)) => self.node(&handle, &attr, order)?,
            _ => self.lookup_rpc(dir, wire).await?,
        };
        self.enter(dir, wire, Some(&node));
        Ok(node)
    }

    /// wcc of a folder: its names stay known only if the mtime before was the known one.
    fn folder_changed(&self, dir: &Node, wcc: &wcc_data, order: u64) {
        let now = self.clock.now();
        let before = match &wcc.before {
            Nfs3Option::Some(before) => Some(before.mtime),
            Nfs3Option::None => None,
        };
        dir.with(|state| {
            state.listing = None;
            let unchanged = before == Some(state.names_mtime);
            match &wcc.after {
                Nfs3Option::Some(attr) => state.load(attr, order, now),
                Nfs3Option::None => state.attr_valid = false,
            }
            // Negative entries go with every new name (cache_purge_negatives).
            state.names.retain(|_, node| node.is_some());
            if unchanged && let Some(mtime) = state.attr.as_ref().map(|attr| attr.mtime) {
                state.names_mtime = mtime;
                state.mtime = mtime;
            }
        });
    }

    /// ENOENT is success; what that hid is counted, so that a test can ask for none without a break.
    fn kludge(&self, result: Result<()>) -> Result<()> {
        match result {
            Err(Errno::ENOENT) => {
                self.sent.taken_for_done.fetch_add(1, Ordering::Relaxed);
                Ok(())
            }
            result => result,
        }
    }

    pub async fn mkdir(self: &Arc<Self>, dir: &Arc<Node>, name: &str) -> Result<Arc<Node>> {
        let wire = self.on_wire(name);
        let args = MKDIR3args {
            where_: Self::at(dir, &wire),
            attributes: Change { mode: Some(0o755), ..Change::default() }.wire(),
        };
        let (order, result) = self.ask::<MKDIR3res>(NFS_PROGRAM::NFSPROC3_MKDIR, &args).await?;
        match result {
            Nfs3Result::Ok(made) => {
                self.folder_changed(dir, &made.dir_wcc, order);
                self.made(dir, &wire, made.obj, made.obj_attributes, order).await
            }
            Nfs3Result::Err((status, failed)) => {
                self.folder_changed(dir, &failed.dir_wcc, order);
                Err(Errno::of(status))
            }
        }
    }

    pub async fn rmdir(self: &Arc<Self>, dir: &Arc<Node>, name: &str) -> Result<()> {
        let wire = self.on_wire(name);
        let args = RMDIR3args { object: Self::at(dir, &wire) };
        let (order, result) = self.ask::<RMDIR3res>(NFS_PROGRAM::NFSPROC3_RMDIR, &args).await?;
        let (wcc, result) = match result {
            Nfs3Result::Ok(ok) => (ok.dir_wcc, Ok(())),
            Nfs3Result::Err((status, failed)) => (failed.dir_wcc, Err(Errno::of(status))),
        };
        self.folder_changed(dir, &wcc, order);
        dir.with(|state| state.names.remove(&wire));
        // "Kludge: Map ENOENT => 0 assuming that you have a reply to a retransmission"
        self.kludge(result)
    }

    /// nfs_vnop_remove: an open file is renamed to `.nfs.…` instead; else its dirty data is flushed (and the error
    /// of that dropped), then REMOVE.
    pub async fn remove(self: &Arc<Self>, dir: &Arc<Node>, name: &str) -> Result<()> {
        let wire = self.on_wire(name);
        let (node, ()) = tokio::join!(self.lookup(dir, name), self.dual_lookup(dir, name));
        let node = node?;
        if node.is_dir() {
            return Err(Errno::EISDIR);
        }
        if node.with(|state| state.opens > 0 && state.silly.is_none()) {
            return self.silly_rename(dir, &wire, &node).await;
        }
        self.invalidate(&node, true, false).await;
        let removed = self.remove_rpc(dir, &wire).await;
        dir.with(|state| state.names.remove(&wire));
        removed
    }

    /// nfs3_remove_rpc. "Kludge City: If the first reply to the remove rpc is lost, the reply to the retransmitted
    /// request will be ENOENT" — so ENOENT is success.
    pub(crate) async fn remove_rpc(&self, dir: &Node, wire: &[u8]) -> Result<()> {
        let args = REMOVE3args { object: Self::at(dir, wire) };
        let (order, result) = self.ask::<REMOVE3res>(NFS_PROGRAM::NFSPROC3_REMOVE, &args).await?;
        let (wcc, result) = match result {
            Nfs3Result::Ok(ok) => (ok.dir_wcc, Ok(())),
            Nfs3Result::Err((status, failed)) => (failed.dir_wcc, Err(Errno::of(status))),
        };
        self.folder_changed(dir, &wcc, order);
        self.kludge(result)
    }

    /// nfs_sillyrename: `.nfs.%08x.%04x`, a counter and the process, in the same folder.
    async fn silly_rename(self: &Arc<Self>, dir: &Arc<Node>, wire: &[u8], node: &Arc<Node>) -> Result<()> {
        for _ in 0..SILLY_TRIES {
            let count = self.silly.fetch_add(1, Ordering::Relaxed);
            let silly = format!(".nfs.{count:08x}.{:04x}", std::process::id() & 0xffff).into_bytes();
            match self.lookup_rpc(dir, &silly).await {
                Ok(_) => continue,
                Err(Errno::ENOENT) => {}
                Err(errno) => return Err(errno),
            }
            self.rename_rpc(dir, wire, dir, &silly).await?;
            dir.with(|state| state.names.remove(wire));
            node.with(|state| state.silly = Some((Arc::clone(dir), silly.clone())));
            return Ok(());
        }
        Err(Errno::EBUSY)
    }

    /// The last close of a silly-renamed file removes it (nfs_vnop_inactive).
    pub(crate) async fn remove_silly(&self, node: &Node) {
        if let Some((dir, silly)) = node.with(|state| state.silly.take()) {
            let _ = self.remove_rpc(&dir, &silly).await;
        }
    }

    /// nfs_vnop_rename: a target that is open is silly-renamed first.
    pub async fn rename(
        self: &Arc<Self>,
        from: &Arc<Node>,
        from_name: &str,
        to: &Arc<Node>,
        to_name: &str,
    ) -> Result<()> {
        let (from_wire, to_wire) = (self.on_wire(from_name), self.on_wire(to_name));
        let node = self.lookup(from, from_name).await?;
        match self.lookup(to, to_name).await {
            Ok(target) if Arc::ptr_eq(&target, &node) => {}
            Ok(target)
                if !target.is_dir() && target.with(|state| state.opens > 0 && state.silly.is_none()) =>
            {
                self.silly_rename(to, &to_wire, &target).await?;
            }
            Ok(_) | Err(Errno::ENOENT) => {}
            Err(errno) => return Err(errno),
        }
        let renamed = self.rename_rpc(from, &from_wire, to, &to_wire).await;
        from.with(|state| state.names.remove(&from_wire));
        if renamed.is_ok() {
            self.enter(to, &to_wire, Some(&node));
        } else {
            to.with(|state| state.names.remove(&to_wire));
        }
        // "Kludge: Map ENOENT => 0 assuming that it is a reply to a retry."
        self.kludge(renamed)
    }

    async fn rename_rpc(&self, from: &Node, name: &[u8], to: &Node, to_name: &[u8]) -> Result<()> {
        let args = RENAME3args { from: Self::at(from, name), to: Self::at(to, to_name) };
        let (order, result) = self.ask::<RENAME3res>(NFS_PROGRAM::NFSPROC3_RENAME, &args).await?;
        let (one, two, result) = match result {
            Nfs3Result::Ok(ok) => (ok.fromdir_wcc, ok.todir_wcc, Ok(())),
            Nfs3Result::Err((status, failed)) => {
                (failed.fromdir_wcc, failed.todir_wcc, Err(Errno::of(status)))
            }
        };
        self.folder_changed(from, &one, order);
        if from.number != to.number {
            self.folder_changed(to, &two, order);
        }
        result
    }

    /// The names in a folder: from the cached listing while its mtime is the known one, else by READDIRPLUS
    /// (nfs_vnop_readdir, nfs3_readdir_rpc).
    pub async fn readdir(self: &Arc<Self>, dir: &Arc<Node>) -> Result<Vec<String>> {
        self.getattr(dir, Fresh::Cached).await?;
        let cached = dir.with(|state| state.listing.clone());
        let names = match cached {
            Some(names) => names,
            None => self.list(dir).await?,
        };
        let text = |name: Vec<u8>| String::from_utf8_lossy(&name).into_owned();
        Ok(names.into_iter().map(text).filter(|name| name != "." && name != "..").collect())
    }

    async fn list(self: &Arc<Self>, dir: &Arc<Node>) -> Result<Vec<Vec<u8>>> {
        let mut walk = self.walk(dir);
        while walk.more().await? {}
        let whole = !walk.cut;
        let names = walk.names;
        if whole {
            dir.with(|state| state.listing = Some(names.clone()));
        }
        Ok(names)
    }

    /// A listing read piece by piece, as `rm -r` does while it removes.
    pub fn walk<'m>(self: &'m Arc<Self>, dir: &Arc<Node>) -> Walk<'m> {
        Walk {
            mount: self,
            dir: Arc::clone(dir),
            cookie: 0,
            verifier: cookieverf3::default(),
            names: Vec::new(),
            end: false,
            cut: false,
            dircount: self.options.dsize,
            maxcount: self.rsize,
        }
    }
}

fn not_listed(listing: Option<&[Vec<u8>]>, wire: &[u8]) -> bool {
    wire.starts_with(b"._") && listing.is_some_and(|names| !names.iter().any(|name| name == wire))
}

/// A place in a listing.
pub struct Walk<'m> {
    mount: &'m Arc<Mount>,
    dir: Arc<Node>,
    cookie: u64,
    verifier: cookieverf3,
    pub names: Vec<Vec<u8>>,
    end: bool,
    /// BAD_COOKIE ended it early; macOS does not say so to anybody.
    pub cut: bool,
    pub dircount: u32,
    pub maxcount: u32,
}

impl Walk<'_> {
    /// One READDIRPLUS more; `false` at the end. Attributes and handles fill the caches; an entry without them
    /// costs a LOOKUP when it is used. BAD_COOKIE is taken for the end (macos-nfs.md B8); a last cookie that does
    /// not advance is EIO.
    pub async fn more(&mut self) -> Result<bool> {
        if self.end {
            return Ok(false);
        }
        if !self.mount.options.rdirplus {
            return self.more_plain().await;
        }
        let args = READDIRPLUS3args {
            dir: self.dir.handle.clone(),
            cookie: self.cookie,
            cookieverf: self.verifier,
            dircount: self.dircount,
            maxcount: self.maxcount,
        };
        let procedure = NFS_PROGRAM::NFSPROC3_READDIRPLUS;
        let (order, result) = self.mount.ask::<READDIRPLUS3res>(procedure, &args).await?;
        let page = match result {
            Nfs3Result::Ok(page) => page,
            Nfs3Result::Err((nfsstat3::NFS3ERR_NOTSUPP, _)) => return self.more_plain().await,
            Nfs3Result::Err((nfsstat3::NFS3ERR_BAD_COOKIE, _)) => {
                self.end = true;
                self.cut = true;
                return Ok(false);
            }
            Nfs3Result::Err((status, _)) => return Err(Errno::of(status)),
        };
        self.verifier = page.cookieverf;
        let now = self.mount.clock.now();
        if let Nfs3Option::Some(attr) = &page.dir_attributes {
            self.dir.with(|state| state.load(attr, order, now));
        }
        let entries = page.reply.entries.into_inner();
        self.advance(entries.last().map(|entry| entry.cookie), page.reply.eof)?;
        for entry in entries {
            let name = entry.name.as_ref().to_vec();
            if let (Nfs3Option::Some(attr), Nfs3Option::Some(handle)) =
                (&entry.name_attributes, &entry.name_handle)
                && name != b"."
                && name != b".."
            {
                let node = self.mount.node(handle, attr, order)?;
                self.mount.enter(&self.dir, &name, Some(&node));
            }
            self.names.push(name);
        }
        Ok(!self.end)
    }

    async fn more_plain(&mut self) -> Result<bool> {
        let args = READDIR3args {
            dir: self.dir.handle.clone(),
            cookie: self.cookie,
            cookieverf: self.verifier,
            count: self.dircount,
        };
        let (_, result) = self.mount.ask::<READDIR3res>(NFS_PROGRAM::NFSPROC3_READDIR, &args).await?;
        let page = match result {
            Nfs3Result::Ok(page) => page,
            Nfs3Result::Err((nfsstat3::NFS3ERR_BAD_COOKIE, _)) => {
                self.end = true;
                self.cut = true;
                return Ok(false);
            }
            Nfs3Result::Err((status, _)) => return Err(Errno::of(status)),
        };
        self.verifier = page.cookieverf;
        let entries = page.reply.entries.into_inner();
        self.advance(entries.last().map(|entry| entry.cookie), page.reply.eof)?;
        self.names.extend(entries.into_iter().map(|entry| entry.name.as_ref().to_vec()));
        Ok(!self.end)
    }

    fn advance(&mut self, last: Option<u64>, eof: bool) -> Result<()> {
        self.end = eof || last.is_none();
        match last {
            Some(last) if last == self.cookie && !eof => Err(Errno::EIO),
            Some(last) => {
                self.cookie = last;
                Ok(())
            }
            None => Ok(()),
        }
    }
}
