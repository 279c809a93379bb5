//! What people's programs do with files: Finder, editors, `cp`, `dd`, `tar`, `rm`.
//!
//! Each returns the first error it was told, as the program would show it.

use std::sync::Arc;

use crate::attributes::Change;
use crate::errno::{Errno, Result};
use crate::mount::Mount;
use crate::program::{Flags, Open, Program};

/// Finder and copyfile read and write in pieces of this size.
const PIECE: usize = 1 << 20;
/// The least an AppleDouble file takes (xnu:bsd/vfs/vfs_xattr.c, header and FinderInfo).
const APPLE_DOUBLE: usize = 4096;
/// 2001-09-09: a file's own time, which a copy keeps.
const TIME: u32 = 1_000_000_000;

impl Program {
    /// A file dropped into a Finder window: CREATE EXCLUSIVE 0644, F_NOCACHE, data, ftruncate, xattrs into `._x`,
    /// mode and times, close (copyfile.c copyfile_data, copyfile_xattr, copyfile_stat; macos-nfs.md B3, B9).
    /// An error ends it, and the part that is there is removed.
    pub async fn finder_copy(&self, path: &str, content: &[u8]) -> Result<()> {
        let file = self.open(path, Flags { no_cache: true, ..Flags::exclusive() }).await?;
        let copied = self.copyfile(file, path, content, true).await;
        if copied.is_err() {
            let _ = self.unlink(path).await;
            let _ = self.unlink(&double(path)).await;
        }
        copied
    }

    /// As Finder does it, but what is there stays there when it fails.
    pub async fn finder_copy_kept(&self, path: &str, content: &[u8]) -> Result<()> {
        let file = self.open(path, Flags { no_cache: true, ..Flags::exclusive() }).await?;
        self.copyfile(file, path, content, true).await
    }

    /// `cp`: O_TRUNC or a plain CREATE, then copyfile's data, ftruncate, times, close.
    pub async fn cp(&self, path: &str, content: &[u8]) -> Result<()> {
        let file = self.open(path, Flags { no_cache: true, ..Flags::overwrite() }).await?;
        self.copyfile(file, path, content, false).await
    }

    async fn copyfile(&self, file: Open, path: &str, content: &[u8], xattrs: bool) -> Result<()> {
        let mut file = file;
        let copied = async {
            for piece in content.chunks(PIECE) {
                file.write(piece).await?;
            }
            file.ftruncate(content.len() as u64).await?;
            if xattrs {
                self.set_xattr(path, b"com.apple.quarantine").await?;
            }
            file.set(Change { mode: Some(0o644), ..Change::times(TIME) }).await
        }
        .await;
        copied.and(file.close().await)
    }

    /// setxattr(2) on a file system without: the kernel reads and writes `._x` (vfs_xattr.c).
    pub async fn set_xattr(&self, path: &str, value: &[u8]) -> Result<()> {
        let double = double(path);
        let file = self.open(&double, Flags { write: true, create: true, ..Flags::default() }).await?;
        let mut block = vec![0; APPLE_DOUBLE];
        block[..4].copy_from_slice(&0x0005_1607_u32.to_be_bytes());
        block[4..8].copy_from_slice(&0x0002_0000_u32.to_be_bytes());
        block[64..64 + value.len()].copy_from_slice(value);
        let written = file.pwrite(0, &block).await;
        written.and(file.close().await)
    }

    /// An editor's safe-save: a new file beside the old one (or in a folder `NAME.sb-xxxx`), fsync, rename over.
    pub async fn safe_save(&self, path: &str, content: &[u8], in_folder: bool) -> Result<()> {
        let (folder, name) = path.rsplit_once('/').map_or(("", path), |(folder, name)| (folder, name));
        let beside =
            |name: &str| if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") };
        let workshop = beside(&format!("{name}.sb-5f3a91c2-k1Tz"));
        let aside = match in_folder {
            true => {
                self.mkdir(&workshop).await?;
                format!("{workshop}/{name}")
            }
            false => beside(&format!(".{name}.tmp")),
        };
        let mut file = self.open(&aside, Flags::exclusive()).await?;
        let written = async {
            for piece in content.chunks(64 << 10) {
                file.write(piece).await?;
            }
            file.fsync().await
        }
        .await;
        written.and(file.close().await)?;
        self.rename(&aside, path).await?;
        if in_folder {
            self.rmdir(&workshop).await?;
        }
        Ok(())
    }

    /// An editor that writes in place: O_TRUNC, write, close.
    pub async fn overwrite(&self, path: &str, content: &[u8]) -> Result<()> {
        let mut file = self.open(path, Flags::overwrite()).await?;
        let mut written = Ok(());
        for piece in content.chunks(32 << 10) {
            written = file.write(piece).await;
            if written.is_err() {
                break;
            }
        }
        written.and(file.close().await)
    }

    /// `dd conv=fsync bs=…`.
    pub async fn dd(&self, path: &str, content: &[u8], block: usize) -> Result<()> {
        let mut file = self.open(path, Flags::overwrite()).await?;
        let written = async {
            for piece in content.chunks(block) {
                file.write(piece).await?;
            }
            file.fsync().await
        }
        .await;
        written.and(file.close().await)
    }

    /// `tar -x`: folders, files with O_EXCL and blocks of 10 KiB, then modes and times by path.
    pub async fn untar(&self, root: &str, files: &[(String, Vec<u8>)]) -> Result<()> {
        self.mkdir(root).await?;
        let mut made = std::collections::BTreeSet::new();
        for (path, content) in files {
            if let Some((folder, _)) = path.rsplit_once('/') {
                for (at, _) in folder.match_indices('/').chain([(folder.len(), "")]) {
                    if made.insert(folder[..at].to_owned()) {
                        self.mkdir(&format!("{root}/{}", &folder[..at])).await?;
                    }
                }
            }
            let path = format!("{root}/{path}");
            let mut file = self.open(&path, Flags::exclusive()).await?;
            let mut written = Ok(());
            for piece in content.chunks(10 << 10) {
                written = file.write(piece).await;
                if written.is_err() {
                    break;
                }
            }
            written.and(file.close().await)?;
            self.set(&path, Change { mode: Some(0o644), ..Change::times(TIME) }).await?;
        }
        Ok(())
    }

    /// A line added to a log: O_APPEND, write, close.
    pub async fn append(&self, path: &str, line: &[u8]) -> Result<()> {
        let mut file = self.open(path, Flags::append()).await?;
        let written = file.write(line).await;
        written.and(file.close().await)
    }

    /// `rm -r`, and Finder's "delete immediately": reads the listing piece by piece and removes what it read.
    pub async fn remove_tree(&self, path: &str) -> Result<()> {
        let dir = self.find(path).await?;
        // Names that were listed before something was removed are tried, gone or not; so again until empty.
        for _ in 0..100 {
            let mut walk = self.mount.walk(&dir);
            // Small pieces, so that the walk goes on over its own deletions.
            (walk.dircount, walk.maxcount) = (512, 4096);
            let mut done = 0;
            let mut more = true;
            let mut found = false;
            while more {
                more = walk.more().await?;
                let names: Vec<String> = walk.names[done..]
                    .iter()
                    .map(|name| String::from_utf8_lossy(name).into_owned())
                    .collect();
                done = walk.names.len();
                for name in names.iter().filter(|name| *name != "." && *name != "..") {
                    found = true;
                    let below = format!("{path}/{name}");
                    let node = match self.find(&below).await {
                        Ok(node) => node,
                        Err(Errno::ENOENT) => continue,
                        Err(errno) => return Err(errno),
                    };
                    let removed = match node.is_dir() {
                        true => Box::pin(self.remove_tree(&below)).await,
                        false => self.unlink(&below).await,
                    };
                    match removed {
                        Ok(()) | Err(Errno::ENOENT) => {}
                        Err(errno) => return Err(errno),
                    }
                }
            }
            if !found {
                break;
            }
        }
        self.rmdir(path).await
    }
}

/// The AppleDouble name of a path.
pub fn double(path: &str) -> String {
    match path.rsplit_once('/') {
        Some((folder, name)) => format!("{folder}/._{name}"),
        None => format!("._{path}"),
    }
}

/// Everything below a folder, as another client would find it: path and content.
///
/// # Errors
/// The first that a call meets.
pub async fn read_everything(mount: &Arc<Mount>) -> Result<std::collections::BTreeMap<String, Vec<u8>>> {
    let program = Program::new(mount);
    let mut found = std::collections::BTreeMap::new();
    let mut folders = vec![String::new()];
    while let Some(folder) = folders.pop() {
        for name in program.readdir(&folder).await? {
            let path = if folder.is_empty() { name } else { format!("{folder}/{name}") };
            if program.find(&path).await?.is_dir() {
                folders.push(path);
            } else {
                let content = program.read_file(&path).await?;
                found.insert(path, content);
            }
        }
    }
    Ok(found)
}
