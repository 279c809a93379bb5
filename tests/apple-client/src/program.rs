//! System calls, as programs make them; each result goes into the ledger.

use std::sync::Arc;

use nfs3_types::nfs3::fattr3;

use crate::attributes::{Change, Fresh};
use crate::errno::{Errno, Result};
use crate::io::Manner;
use crate::mount::Mount;
use crate::node::Node;

/// open(2)'s flags, as far as they matter here.
#[derive(Debug, Clone, Copy, Default)]
pub struct Flags {
    pub write: bool,
    pub create: bool,
    pub exclusive: bool,
    pub truncate: bool,
    pub append: bool,
    pub sync: bool,
    /// fcntl F_NOCACHE right after opening.
    pub no_cache: bool,
}

impl Flags {
    pub fn read() -> Flags {
        Flags::default()
    }

    pub fn write() -> Flags {
        Flags { write: true, ..Flags::default() }
    }

    /// O_WRONLY | O_CREAT | O_TRUNC: what `>` and `cp` say.
    pub fn overwrite() -> Flags {
        Flags { write: true, create: true, truncate: true, ..Flags::default() }
    }

    /// O_WRONLY | O_CREAT | O_EXCL.
    pub fn exclusive() -> Flags {
        Flags { write: true, create: true, exclusive: true, ..Flags::default() }
    }

    /// O_WRONLY | O_CREAT | O_APPEND: what `>>` says.
    pub fn append() -> Flags {
        Flags { write: true, create: true, append: true, ..Flags::default() }
    }
}

/// A process with files on a mount.
#[derive(Clone)]
pub struct Program {
    pub mount: Arc<Mount>,
}

/// A descriptor. To be closed with [`Open::close`]: what close(2) says matters.
pub struct Open {
    mount: Arc<Mount>,
    pub node: Arc<Node>,
    flags: Flags,
    position: u64,
}

impl Program {
    pub fn new(mount: &Arc<Mount>) -> Program {
        Program { mount: Arc::clone(mount) }
    }

    async fn folder<'p>(&self, path: &'p str) -> Result<(Arc<Node>, &'p str)> {
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
        Ok((self.find(folder).await?, name))
    }

    /// The vnode of a path.
    pub async fn find(&self, path: &str) -> Result<Arc<Node>> {
        let mut at = Arc::clone(&self.mount.root);
        for part in path.split('/').filter(|part| !part.is_empty()) {
            if !at.is_dir() {
                return Err(Errno::ENOTDIR);
            }
            at = self.mount.lookup(&at, part).await?;
        }
        Ok(at)
    }

    /// open(2). O_TRUNC on a known file is SETATTR size 0 on its handle, no CREATE (vn_open, nfs_vnop_setattr).
    pub async fn open(&self, path: &str, flags: Flags) -> Result<Open> {
        let (dir, name) = self.folder(path).await?;
        let (node, made) = match self.mount.lookup(&dir, name).await {
            Ok(_) if flags.create && flags.exclusive => return Err(Errno::EEXIST),
            Ok(node) => (node, false),
            Err(Errno::ENOENT) if flags.create => {
                (self.mount.create(&dir, name, flags.exclusive, 0o644).await?, true)
            }
            Err(errno) => return Err(errno),
        };
        if node.is_dir() && flags.write {
            return Err(Errno::EISDIR);
        }
        // nfs_vnop_open: cached attributes decide whether somebody else changed it.
        self.mount.getattr(&node, Fresh::Cached).await?;
        node.with(|state| state.opens += 1);
        let open = Open { mount: Arc::clone(&self.mount), node, flags, position: 0 };
        if flags.write && !open.node.is_dir() {
            self.mount.ledger.named(open.node.number, path);
        }
        if flags.truncate
            && !made
            && let Err(errno) = open.resize("open", 0).await
        {
            let _ = open.close().await;
            return Err(errno);
        }
        Ok(open)
    }

    pub async fn stat(&self, path: &str) -> Result<fattr3> {
        let node = self.find(path).await?;
        self.mount.getattr(&node, Fresh::Cached).await
    }

    /// chmod, utimes: by path.
    pub async fn set(&self, path: &str, change: Change) -> Result<()> {
        let node = self.find(path).await?;
        let done = self.mount.setattr(&node, change).await;
        done.inspect_err(|errno| self.mount.ledger.told(node.number, "setattr", *errno))
    }

    pub async fn unlink(&self, path: &str) -> Result<()> {
        let (dir, name) = self.folder(path).await?;
        self.mount.remove(&dir, name).await?;
        self.mount.ledger.removed(path);
        Ok(())
    }

    pub async fn rename(&self, from: &str, to: &str) -> Result<()> {
        let (from_dir, from_name) = self.folder(from).await?;
        let (to_dir, to_name) = self.folder(to).await?;
        self.mount.rename(&from_dir, from_name, &to_dir, to_name).await?;
        self.mount.ledger.moved(from, to);
        Ok(())
    }

    pub async fn mkdir(&self, path: &str) -> Result<()> {
        let (dir, name) = self.folder(path).await?;
        self.mount.mkdir(&dir, name).await.map(drop)
    }

    pub async fn rmdir(&self, path: &str) -> Result<()> {
        let (dir, name) = self.folder(path).await?;
        self.mount.rmdir(&dir, name).await
    }

    pub async fn readdir(&self, path: &str) -> Result<Vec<String>> {
        let dir = self.find(path).await?;
        self.mount.readdir(&dir).await
    }

    /// The whole file, through the page cache.
    pub async fn read_file(&self, path: &str) -> Result<Vec<u8>> {
        let file = self.open(path, Flags::read()).await?;
        let size = file.node.size();
        let bytes = file.pread(0, size as usize).await;
        file.close().await?;
        bytes
    }
}

impl Open {
    fn told<T>(&self, call: &'static str, result: Result<T>) -> Result<T> {
        result.inspect_err(|errno| self.mount.ledger.told(self.node.number, call, *errno))
    }

    /// write(2) at the descriptor's position (or the end, with O_APPEND).
    pub async fn write(&mut self, data: &[u8]) -> Result<()> {
        let at = self.write_at(self.position, data).await?;
        self.position = at + data.len() as u64;
        Ok(())
    }

    pub async fn pwrite(&self, offset: u64, data: &[u8]) -> Result<()> {
        self.write_at(offset, data).await.map(drop)
    }

    async fn write_at(&self, offset: u64, data: &[u8]) -> Result<u64> {
        if !self.flags.write {
            return Err(Errno::EBADF);
        }
        let how = Manner { append: self.flags.append, sync: self.flags.sync, no_cache: self.flags.no_cache };
        let since = self.mount.ledger.moment();
        match self.mount.write(&self.node, offset, data, how).await {
            Ok(at) => {
                self.mount.ledger.wrote(self.node.number, at, data, since);
                Ok(at)
            }
            Err(errno) => {
                // With O_APPEND nobody knows where; the size is unknown either way.
                let range = offset..offset + data.len() as u64;
                if !self.flags.append {
                    self.mount.ledger.half_written(self.node.number, range);
                }
                self.told("write", Err(errno))
            }
        }
    }

    pub async fn pread(&self, offset: u64, count: usize) -> Result<Vec<u8>> {
        let read = self.mount.read(&self.node, offset, count).await;
        self.told("read", read)
    }

    pub async fn ftruncate(&self, size: u64) -> Result<()> {
        self.resize("ftruncate", size).await
    }

    async fn resize(&self, call: &'static str, size: u64) -> Result<()> {
        let done = self.mount.setattr(&self.node, Change::size(size)).await;
        match &done {
            Ok(()) => self.mount.ledger.resized(self.node.number, size),
            Err(_) => self.mount.ledger.not_resized(self.node.number),
        }
        self.told(call, done)
    }

    /// futimes, fchmod.
    pub async fn set(&self, change: Change) -> Result<()> {
        let done = self.mount.setattr(&self.node, change).await;
        self.told("setattr", done)
    }

    pub async fn fsync(&self) -> Result<()> {
        let done = self.mount.fsync(&self.node).await;
        self.told("fsync", done)
    }

    pub async fn close(self) -> Result<()> {
        let flushed = match self.flags.write {
            true => self.mount.flush_on_close(&self.node).await,
            false => Ok(()),
        };
        let last = self.node.with(|state| {
            state.opens -= 1;
            state.opens == 0
        });
        if last {
            self.mount.remove_silly(&self.node).await;
        }
        self.told("close", flushed)
    }
}
