//! The system's mounts, as the app needs them.

use std::path::{Path, PathBuf};

use async_trait::async_trait;
use mounter::{Blocker, Force, Source};

/// A mount of one of our servers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mounted {
    pub mount_point: PathBuf,
    /// Which server it is.
    pub token: String,
}

/// Mounts and unmounts. Nothing here touches a mount from this process's own threads without a deadline.
#[async_trait]
pub trait MountHost: Send + Sync + 'static {
    /// Whether mounting is possible at all for this user.
    ///
    /// # Errors
    /// Why not, and what to do.
    fn check(&self) -> mounter::Result<()>;

    /// All mounts of our servers.
    ///
    /// # Errors
    /// When the system's table cannot be read.
    fn mounts(&self) -> mounter::Result<Vec<Mounted>>;

    /// Mounts on a folder of ours, which is made.
    ///
    /// # Errors
    /// Those of [`mounter::mount`].
    async fn mount(&self, source: &Source, dir: &Path) -> mounter::Result<()>;

    /// Unmounts, and removes the folder when it is empty.
    ///
    /// # Errors
    /// Those of [`mounter::unmount`].
    async fn unmount(&self, dir: &Path, force: Force) -> mounter::Result<()>;

    /// Programs that use the mount.
    async fn blockers(&self, dir: &Path) -> Vec<Blocker>;
}

/// This system's own.
#[derive(Debug, Clone, Copy, Default)]
pub struct System;

#[async_trait]
impl MountHost for System {
    fn check(&self) -> mounter::Result<()> {
        mounter::check_permission(Path::new("a folder"))
    }

    fn mounts(&self) -> mounter::Result<Vec<Mounted>> {
        let mounts = mounter::own_mounts()?.into_iter();
        Ok(mounts.map(|mount| Mounted { mount_point: mount.mount_point, token: mount.token }).collect())
    }

    async fn mount(&self, source: &Source, dir: &Path) -> mounter::Result<()> {
        mounter::make_mount_point(dir).await?;
        let mounted = mounter::mount(source, dir).await;
        if mounted.is_err() {
            mounter::remove_mount_point(dir).await;
        }
        mounted
    }

    async fn unmount(&self, dir: &Path, force: Force) -> mounter::Result<()> {
        mounter::unmount(dir, force).await?;
        mounter::remove_mount_point(dir).await;
        Ok(())
    }

    async fn blockers(&self, dir: &Path) -> Vec<Blocker> {
        mounter::blockers(dir).await
    }
}
