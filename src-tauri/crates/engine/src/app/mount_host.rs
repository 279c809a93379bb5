//! The system's mounts, as the app needs them.

use std::path::{Path, PathBuf};

use async_trait::async_trait;
use mounter::{Blocker, Facts, Force, HelperClient, Os, Plan, Wanted};

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
    async fn check(&self) -> mounter::Result<()>;

    /// All mounts of our servers.
    ///
    /// # Errors
    /// When the system's table cannot be read.
    fn mounts(&self) -> mounter::Result<Vec<Mounted>>;

    /// Mounts as a volume, or in a folder of its own below `folder`; where, and what the person should know.
    ///
    /// # Errors
    /// Those of [`mounter::mount_somewhere`].
    async fn mount(&self, wanted: &Wanted, folder: &Path) -> mounter::Result<(PathBuf, Vec<String>)>;

    /// Unmounts, and removes the folder that was made for it.
    ///
    /// # Errors
    /// Those of [`mounter::unmount_anywhere`].
    async fn unmount(&self, place: &Path, force: Force) -> mounter::Result<()>;

    /// Programs that use the mount.
    async fn blockers(&self, place: &Path) -> Vec<Blocker>;
}

/// This system's own: directly, or by BucketBar's helper.
#[derive(Debug, Clone)]
pub struct System {
    helper: HelperClient,
}

impl Default for System {
    fn default() -> Self {
        System { helper: HelperClient::here() }
    }
}

impl System {
    async fn plan(&self, folder: &Path) -> mounter::Result<Plan> {
        mounter::plan(&Facts {
            os: Os::here(),
            is_root: rustix::process::geteuid().is_root(),
            helper: self.helper.state().await,
            folder: folder.to_owned(),
        })
    }
}

#[async_trait]
impl MountHost for System {
    async fn check(&self) -> mounter::Result<()> {
        self.plan(Path::new("/")).await.map(|_| ())
    }

    fn mounts(&self) -> mounter::Result<Vec<Mounted>> {
        let mounts = mounter::own_mounts()?.into_iter();
        Ok(mounts.map(|mount| Mounted { mount_point: mount.mount_point, token: mount.token }).collect())
    }

    async fn mount(&self, wanted: &Wanted, folder: &Path) -> mounter::Result<(PathBuf, Vec<String>)> {
        let plan = self.plan(folder).await?;
        let mounted = mounter::mount_somewhere(&plan, wanted, &self.helper).await?;
        Ok((mounted.path, mounted.notes))
    }

    async fn unmount(&self, place: &Path, force: Force) -> mounter::Result<()> {
        mounter::unmount_anywhere(place, force, &self.helper).await
    }

    async fn blockers(&self, place: &Path) -> Vec<Blocker> {
        mounter::blockers(place).await
    }
}
