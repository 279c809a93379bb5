//! The system's mounts, as the app needs them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use mounter::{
    Blocker, Facts, Force, HelperClient, HelperState, Os, Plan, VolumeName, Wanted, judge, volumes_folder,
};

use super::helper;
use super::outside::Outside;

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

    /// Whether somebody serves it, told without touching it; true when that cannot be known.
    async fn is_served(&self, _mount: &Mounted) -> bool {
        true
    }

    /// Where the root helper makes volumes, and those that it has made for this user.
    async fn volumes(&self) -> (PathBuf, Vec<VolumeName>) {
        (PathBuf::new(), Vec::new())
    }

    /// What the root helper says of itself.
    async fn helper(&self) -> HelperState {
        HelperState::Absent
    }
}

/// This system's own: directly, or by BucketBar's helper.
#[derive(Clone)]
pub struct System {
    helper: HelperClient,
    outside: Arc<dyn Outside>,
}

impl System {
    /// `outside` knows whether the helper is registered.
    pub fn new(outside: Arc<dyn Outside>) -> System {
        System { helper: HelperClient::here(), outside }
    }

    async fn plan(&self, folder: &Path) -> mounter::Result<Plan> {
        mounter::plan(&Facts {
            os: Os::here(),
            is_root: rustix::process::geteuid().is_root(),
            helper: judge(helper::registration(&self.outside).await, self.helper.state().await),
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

    async fn is_served(&self, mount: &Mounted) -> bool {
        let Ok(all) = mounter::own_mounts() else { return true };
        match all.iter().find(|one| one.mount_point == mount.mount_point && one.token == mount.token) {
            Some(one) => mounter::is_served(one).await,
            None => true,
        }
    }

    async fn volumes(&self) -> (PathBuf, Vec<VolumeName>) {
        // A helper that is not there has made none that could be cleared away through it.
        (volumes_folder(), self.helper.list().await.unwrap_or_default())
    }

    async fn helper(&self) -> HelperState {
        self.helper.state().await
    }
}
