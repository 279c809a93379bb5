//! A mount: what is one for all its files (`struct nfsmount`), and how it begins and ends.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use nfs3_types::mount::{self, dirpath, mountres3};
use nfs3_types::nfs3::*;
use nfs3_types::xdr_codec::{Opaque, Pack, Unpack};
use parking_lot::Mutex;
use tokio::sync::Semaphore;

use crate::clock::Clock;
use crate::errno::{Errno, Result};
use crate::ledger::Ledger;
use crate::node::Node;
use crate::transport::{self, Transport, decode};

/// How to mount: macos-nfs.md A1, with the figures a test may want otherwise.
#[derive(Debug, Clone)]
pub struct Options {
    pub address: SocketAddr,
    /// `/TOKEN/VOLUME`.
    pub export: String,
    pub uid: u32,
    pub gid: u32,
    /// Virtual seconds in one of ours.
    pub speed: f64,
    /// `actimeo`.
    pub attributes_kept: Duration,
    /// `deadtimeout`.
    pub deadtimeout: Option<Duration>,
    /// `nfc`: names are sent composed.
    pub nfc: bool,
    pub rdirplus: bool,
    pub rsize: u32,
    pub wsize: u32,
    pub dsize: u32,
    /// xnu:bsd/nfs/nfs.h NFS_A_LOT_OF_NEEDCOMMITS.
    pub many_need_commit: usize,
    /// nfs_max_async_writes.
    pub async_writes: usize,
    /// Sends the WRITEs that wait at one time in an order drawn from this seed.
    pub shuffle: Option<u64>,
}

impl Options {
    /// The options of the product's own mounts.
    pub fn new(address: SocketAddr, export: impl Into<String>, uid: u32, gid: u32) -> Options {
        Options {
            address,
            export: export.into(),
            uid,
            gid,
            speed: 20.0,
            attributes_kept: Duration::from_secs(1),
            deadtimeout: None,
            nfc: true,
            rdirplus: true,
            rsize: 1 << 20,
            wsize: 1 << 20,
            dsize: 64 << 10,
            many_need_commit: 256,
            async_writes: 128,
            shuffle: None,
        }
    }
}

impl Options {
    /// What `mount_nfs -o OPTIONS` makes of the words the product gives it (mount_nfs.c's tables; macos-nfs.md A1).
    ///
    /// # Errors
    /// A word that this model does not know: whoever adds an option says here what it does.
    pub fn parse(
        options: &str,
        export: impl Into<String>,
        uid: u32,
        gid: u32,
    ) -> std::result::Result<Options, String> {
        let mut parsed = Options::new(SocketAddr::from(([127, 0, 0, 1], 0)), export, uid, gid);
        (parsed.nfc, parsed.rdirplus, parsed.deadtimeout) = (false, false, None);
        let mut mount_port = 0;
        for word in options.split(',') {
            let (name, value) = word.split_once('=').unwrap_or((word, ""));
            let number = || value.parse::<u32>().map_err(|_| format!("{word} is no number"));
            let seconds = || number().map(|seconds| Duration::from_secs(u64::from(seconds)));
            match name {
                "port" => parsed.address.set_port(value.parse().map_err(|_| format!("{word} is no port"))?),
                "mountport" => mount_port = number()?,
                "rsize" => parsed.rsize = number()?,
                "wsize" => parsed.wsize = number()?,
                "dsize" => parsed.dsize = number()?,
                "actimeo" => parsed.attributes_kept = seconds()?,
                "deadtimeout" => parsed.deadtimeout = Some(seconds()?),
                "nfc" => parsed.nfc = true,
                "rdirplus" => parsed.rdirplus = true,
                "vers" if value == "3" => {}
                "proto" if value == "tcp" => {}
                // Nothing of them is seen on the wire by this model: a hard, interruptible mount with local locks.
                "hard" | "intr" | "locallocks" | "mutejukebox" | "noquota" | "nosuid" | "nodev"
                | "readahead" | "retrycnt" | "ro" => {}
                _ => return Err(format!("the model does not know {word}")),
            }
        }
        if u32::from(parsed.address.port()) != mount_port {
            return Err("NFS and MOUNT are on two ports".to_owned());
        }
        Ok(parsed)
    }
}

/// What was sent, by kind: for tests that want to know how, not only whether.
#[derive(Debug, Default)]
pub struct Sent {
    pub unstable: AtomicU64,
    pub file_sync: AtomicU64,
    pub commits: AtomicU64,
    /// COMMITs of a part of a file.
    pub partial_commits: AtomicU64,
    pub reads: AtomicU64,
    pub lookups: AtomicU64,
    pub getattrs: AtomicU64,
    /// The most asynchronous WRITEs at once (`nm_asyncwrites`).
    pub most_writes: AtomicU64,
    /// Times the whole cache of a file was dropped because its mtime was not the one expected.
    pub invalidations: AtomicU64,
    /// REMOVE, RMDIR and RENAME that were answered ENOENT and taken for done.
    pub taken_for_done: AtomicU64,
}

/// A mounted export.
pub struct Mount {
    pub options: Options,
    pub clock: Clock,
    pub transport: Arc<Transport>,
    pub ledger: Arc<Ledger>,
    pub sent: Sent,
    pub root: Arc<Node>,
    /// `nm_biosize`: the size of a block.
    pub block: u64,
    /// `nm_wsize`, `nm_rsize` after FSINFO had its say.
    pub wsize: u32,
    pub rsize: u32,
    pub name_max: u32,
    /// `nm_verf`: one for the whole mount; 0 until the first WRITE.
    verifier: AtomicU64,
    pub(crate) writes: Arc<Semaphore>,
    pub(crate) in_flight: AtomicU64,
    nodes: Mutex<HashMap<Vec<u8>, Arc<Node>>>,
    numbers: AtomicU64,
    pub(crate) silly: AtomicU64,
}

impl Mount {
    /// Connect, NULL, MNT on a connection of its own, GETATTR, FSINFO, PATHCONF, FSSTAT, ACCESS
    /// (nfs_vfsops.c mountnfs, nfs3_mount; nfs_vnops.c nfs3_fsinfo, nfs3_pathconf).
    ///
    /// # Errors
    /// What mount(2) would say.
    pub async fn mount(options: Options, ledger: Arc<Ledger>) -> Result<Arc<Mount>> {
        let clock = Clock::new(options.speed);
        let handle = mnt(&options).await?;
        let transport =
            Transport::start(options.address, options.uid, options.gid, clock, options.deadtimeout);
        let root = Arc::new(Node::new(0, handle.clone(), ftype3::NF3DIR));
        let args = GETATTR3args { object: handle.clone() };
        let (order, attr) = ask::<GETATTR3res>(&transport, NFS_PROGRAM::NFSPROC3_GETATTR, &args).await?;
        let attr = done(attr)?.obj_attributes;
        if attr.type_ != ftype3::NF3DIR {
            return Err(Errno::ENOTDIR);
        }
        let info = FSINFO3args { fsroot: handle.clone() };
        let (_, info) = ask::<FSINFO3res>(&transport, NFS_PROGRAM::NFSPROC3_FSINFO, &info).await?;
        let info = done(info)?;
        let path = PATHCONF3args { object: handle.clone() };
        let (_, path) = ask::<PATHCONF3res>(&transport, NFS_PROGRAM::NFSPROC3_PATHCONF, &path).await?;
        let name_max = done(path)?.name_max;
        let stat = FSSTAT3args { fsroot: handle.clone() };
        let (_, stat) = ask::<FSSTAT3res>(&transport, NFS_PROGRAM::NFSPROC3_FSSTAT, &stat).await?;
        done(stat)?;
        let access = ACCESS3args { object: handle.clone(), access: 0x3f };
        let (_, access) = ask::<ACCESS3res>(&transport, NFS_PROGRAM::NFSPROC3_ACCESS, &access).await?;
        done(access)?;
        // rtpref and wtpref can only reduce; 0 would be 0 (macos-nfs.md B1).
        let (wsize, rsize) = (options.wsize.min(info.wtpref), options.rsize.min(info.rtpref));
        if wsize == 0 || rsize == 0 {
            return Err(Errno::EINVAL);
        }
        let mount = Mount {
            block: u64::from(wsize.max(rsize)),
            writes: Arc::new(Semaphore::new(options.async_writes)),
            nodes: Mutex::new(HashMap::from([(handle.data.to_vec(), Arc::clone(&root))])),
            options,
            clock,
            transport,
            ledger,
            sent: Sent::default(),
            root,
            wsize,
            rsize,
            name_max,
            verifier: AtomicU64::new(0),
            in_flight: AtomicU64::new(0),
            numbers: AtomicU64::new(1),
            silly: AtomicU64::new(0),
        };
        let now = mount.clock.now();
        mount.root.with(|state| state.begin(&attr, order, now));
        Ok(Arc::new(mount))
    }

    /// A call and its results.
    pub(crate) async fn ask<R: Unpack>(&self, procedure: NFS_PROGRAM, args: &impl Pack) -> Result<(u64, R)> {
        ask(&self.transport, procedure, args).await
    }

    pub fn verifier(&self) -> u64 {
        self.verifier.load(Ordering::Acquire)
    }

    /// Every WRITE and COMMIT reply sets it, FILE_SYNC ones too (nfs3_write_rpc_async_finish, nfs3_commit_rpc).
    pub(crate) fn set_verifier(&self, verifier: writeverf3) -> u64 {
        let verifier = u64::from_be_bytes(verifier.0);
        self.verifier.store(verifier, Ordering::Release);
        verifier
    }

    /// The vnode of a handle (nfs_node.c nfs_nget).
    pub(crate) fn node(&self, handle: &nfs_fh3, attr: &fattr3, order: u64) -> Result<Arc<Node>> {
        let mut nodes = self.nodes.lock();
        let now = self.clock.now();
        if let Some(node) = nodes.get(handle.data.as_ref()) {
            if node.kind != attr.type_ {
                return Err(Errno::ESTALE);
            }
            let node = Arc::clone(node);
            drop(nodes);
            node.with(|state| state.load(attr, order, now));
            return Ok(node);
        }
        let number = self.numbers.fetch_add(1, Ordering::Relaxed);
        let node = Arc::new(Node::new(number, handle.clone(), attr.type_));
        node.with(|state| state.begin(attr, order, now));
        nodes.insert(handle.data.to_vec(), Arc::clone(&node));
        Ok(node)
    }

    pub fn nodes(&self) -> Vec<Arc<Node>> {
        self.nodes.lock().values().cloned().collect()
    }

    /// A polite unmount: everything flushed, then UMNT on a fresh connection (nfs_vfsops.c nfs_vfs_unmount,
    /// nfs3_umount_rpc).
    ///
    /// # Errors
    /// EBUSY while a program has a file open.
    pub async fn unmount(self: &Arc<Self>) -> Result<()> {
        if self.nodes().iter().any(|node| node.with(|state| state.opens) > 0) {
            return Err(Errno::EBUSY);
        }
        for node in self.nodes() {
            if !node.is_dir() {
                self.invalidate(&node, true, false).await;
            }
        }
        let path = dirpath(Opaque::borrowed(self.options.export.as_bytes()));
        let credential = transport::credential(self.options.uid, self.options.gid);
        let what = (mount::PROGRAM, mount::VERSION, 3);
        let _ = transport::call_alone(self.options.address, &credential, what, &path).await;
        self.transport.kill(Errno::ENXIO);
        Ok(())
    }

    /// `umount -f`: waiting calls fail, dirty data is dropped, no UMNT (nfs_vfsops.c nfs_vfs_unmount with
    /// MNT_FORCE, nfs_mount_zombie).
    pub async fn force_unmount(self: &Arc<Self>) {
        self.transport.kill(Errno::ENXIO);
        self.drop_everything().await;
    }

    /// What a dead mount leaves behind: nothing in memory, and an error for whoever has a file open.
    pub async fn drop_everything(self: &Arc<Self>) {
        for node in self.nodes() {
            node.until(|state| (state.output == 0).then_some(())).await;
            node.with(|state| {
                for (block, buffer) in std::mem::take(&mut state.buffers) {
                    if buffer.delayed && !buffer.dirty.is_empty() {
                        let start = block * self.block;
                        let range = start + buffer.dirty.start..start + buffer.dirty.end;
                        self.ledger.discarded(node.number, range, Errno::ENXIO);
                        state.write_error = Some(Errno::ENXIO);
                    }
                }
            });
        }
    }

    /// The computer sleeps for so long (of the virtual time) and wakes up with its connection gone.
    pub async fn sleep(&self, time: Duration) {
        self.transport.sleep();
        self.clock.sleep(time).await;
        self.transport.wake();
    }
}

impl crate::node::State {
    /// A vnode that is new: cached data and names belong to these attributes.
    fn begin(&mut self, attr: &fattr3, order: u64, now: Duration) {
        self.mtime = attr.mtime;
        self.names_mtime = attr.mtime;
        self.load(attr, order, now);
    }
}

async fn ask<R: Unpack>(transport: &Transport, procedure: NFS_PROGRAM, args: &impl Pack) -> Result<(u64, R)> {
    let answer = transport.call(procedure, args).await?;
    Ok((answer.order, decode(&answer.results)?))
}

/// A result without use for its failed half.
pub(crate) fn done<T, E>(result: Nfs3Result<T, E>) -> Result<T> {
    match result {
        Nfs3Result::Ok(value) => Ok(value),
        Nfs3Result::Err((status, _)) => Err(Errno::of(status)),
    }
}

async fn mnt(options: &Options) -> Result<nfs_fh3> {
    let path = dirpath(Opaque::borrowed(options.export.as_bytes()));
    let credential = transport::credential(options.uid, options.gid);
    let what = (mount::PROGRAM, mount::VERSION, 1);
    let results = transport::call_alone(options.address, &credential, what, &path).await?;
    let mounted = match decode::<mountres3>(&results)? {
        mountres3::Ok(mounted) => mounted,
        mountres3::Err(status) => return Err(Errno(status as i32)),
    };
    // An empty list means AUTH_SYS (macos-nfs.md B1).
    if !mounted.auth_flavors.is_empty() && !mounted.auth_flavors.contains(&1) {
        return Err(Errno::EACCES);
    }
    Ok(nfs_fh3 { data: Opaque::owned(mounted.fhandle.0.to_vec()) })
}
