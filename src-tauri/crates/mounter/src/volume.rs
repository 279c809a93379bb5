//! Mounting without being told where: a volume or a folder gets the bucket's name, or the next free one.

use std::path::{Path, PathBuf};

use helper::VolumeName;
use helper::places::Places;
use helper::protocol::{Code, Mount, Token};

use crate::attempts::{Attempt, Plan};
use crate::error::{MountError, Reason, Result};
use crate::helper_client::{HelperClient, Unanswered};
use crate::mount_point::{check_mount_point, make_mount_point, normalize, remove_mount_point};
use crate::unmount::{Force, unmount};
use crate::{Source, blockers, mount};

/// `NAME`, `NAME 2`, … up to this.
const NAMES: u32 = 50;

/// Where something was mounted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mounted {
    pub path: PathBuf,
    /// By the helper, as a volume.
    pub is_volume: bool,
    /// What the person should know: the plan's hint, or why the first way did not work.
    pub notes: Vec<String>,
}

/// What is to be mounted: the server's port, its token, and the name it exports (RFC 1813 5.2.1: the whole path is
/// the server's to understand; ours takes any volume name after the token).
#[derive(Debug, Clone)]
pub struct Wanted {
    pub port: u16,
    pub token: Token,
    pub read_only: bool,
    pub name: VolumeName,
}

/// Tries the ways of `plan` in their order. On return it is mounted.
///
/// # Errors
/// The last attempt's error, with those before it in front.
pub async fn mount_somewhere(plan: &Plan, wanted: &Wanted, client: &HelperClient) -> Result<Mounted> {
    let mut failed: Vec<MountError> = Vec::new();
    for attempt in &plan.attempts {
        let outcome = match attempt {
            Attempt::Volume => mount_volume(wanted, client).await,
            Attempt::Folder(folder) => mount_below(folder, wanted).await,
        };
        match outcome {
            Ok(path) => {
                let mut notes: Vec<String> = failed.iter().map(ToString::to_string).collect();
                notes.extend(plan.hint.clone());
                return Ok(Mounted { path, is_volume: *attempt == Attempt::Volume, notes });
            }
            Err(error) => failed.push(error),
        }
    }
    let last = failed.pop().unwrap_or_else(|| {
        MountError::new(
            Reason::System,
            "There is no way to mount here.",
            "The log says more: BUCKETBAR_LOG=debug.",
        )
    });
    let before: String = failed.iter().map(|error| format!("{} ", error.what)).collect();
    Err(MountError { what: format!("{before}{}", last.what), ..last })
}

async fn mount_volume(wanted: &Wanted, client: &HelperClient) -> Result<PathBuf> {
    for name in names(&wanted.name) {
        let mount = Mount {
            port: wanted.port,
            token: wanted.token.clone(),
            read_only: wanted.read_only,
            volume: name,
        };
        match client.mount(mount).await {
            Ok(Ok(path)) => return Ok(path),
            Ok(Err(refusal)) if refusal.code == Code::Exists => {}
            Ok(Err(refusal)) => {
                return Err(MountError::new(
                    reason(refusal.code),
                    refusal.what,
                    "Try again; the helper is running.",
                ));
            }
            Err(unanswered) => return Err(explain(&unanswered)),
        }
    }
    Err(all_taken(&wanted.name, &Places::default().volumes))
}

async fn mount_below(folder: &Path, wanted: &Wanted) -> Result<PathBuf> {
    crate::check_permission(folder)?;
    let folder = normalize_or_make(folder).await?;
    for name in names(&wanted.name) {
        let dir = folder.join(name.as_str());
        match make_mount_point(&dir).await {
            Ok(()) => {}
            Err(error) if error.reason == Reason::Timeout => continue, // a dead mount stands there
            Err(error) => return Err(error),
        }
        match check_mount_point(&dir).await {
            Ok(()) => {}
            Err(error)
                if matches!(
                    error.reason,
                    Reason::AlreadyMounted | Reason::NotEmpty | Reason::NotADirectory
                ) =>
            {
                continue;
            }
            Err(error) => return Err(error),
        }
        let export = format!("/{}/{name}", wanted.token.as_str());
        let source = Source { port: wanted.port, export, read_only: wanted.read_only };
        let outcome = mount(&source, &dir).await;
        if outcome.is_err() {
            remove_mount_point(&dir).await;
        }
        return outcome.map(|()| dir);
    }
    Err(all_taken(&wanted.name, &folder))
}

/// Unmounts what [`mount_somewhere`] mounted, and removes the folder it made if that is empty.
///
/// # Errors
/// As for [`unmount`].
pub async fn unmount_anywhere(path: &Path, force: Force, client: &HelperClient) -> Result<()> {
    match volume_at(path, &Places::default().volumes) {
        Some(volume) => unmount_volume(path, volume, force, client).await,
        None => {
            unmount(path, force).await?;
            // A folder that the person had before and that is empty goes too: it is made again when needed.
            remove_mount_point(path).await;
            Ok(())
        }
    }
}

/// The helper did not make it, or is gone: a mount of one's own can be unmounted all the same on macOS.
async fn unmount_volume(path: &Path, volume: VolumeName, force: Force, client: &HelperClient) -> Result<()> {
    match client.unmount(volume, force == Force::Yes).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(refusal)) if refusal.code == Code::NotMounted => unmount(path, force).await,
        Ok(Err(refusal)) if refusal.code == Code::InUse => {
            Err(crate::unmount::busy(path, &blockers(path).await))
        }
        Ok(Err(refusal)) => Err(MountError::new(
            reason(refusal.code),
            refusal.what,
            "It is still mounted and served; try again.",
        )),
        Err(unanswered) => unmount(path, force).await.map_err(|error| {
            let why = explain(&unanswered).what;
            MountError { what: format!("{why} {}", error.what), ..error }
        }),
    }
}

/// Where the helper makes volumes.
pub fn volumes_folder() -> PathBuf {
    Places::default().volumes
}

/// Whether `path` is where the helper makes volumes.
pub fn is_volume(path: &Path) -> bool {
    volume_at(path, &volumes_folder()).is_some()
}

/// The volume that a mount point in the helper's folder is.
fn volume_at(path: &Path, volumes: &Path) -> Option<VolumeName> {
    let name = path.strip_prefix(volumes).ok()?.to_str()?;
    VolumeName::parse(name).ok()
}

fn names(name: &VolumeName) -> impl Iterator<Item = VolumeName> + '_ {
    std::iter::once(name.clone()).chain((2..=NAMES).map(|number| name.numbered(number)))
}

/// The folder for mounts is the person's: made for them alone.
async fn normalize_or_make(folder: &Path) -> Result<PathBuf> {
    make_mount_point(folder).await?;
    normalize(folder).await
}

fn all_taken(name: &VolumeName, folder: &Path) -> MountError {
    MountError::new(
        Reason::AlreadyMounted,
        format!("{} has {name} and {NAMES} more of that name.", folder.display()),
        "Unmount some of them, or remove the folders.",
    )
}

fn reason(code: Code) -> Reason {
    match code {
        Code::Exists => Reason::AlreadyMounted,
        Code::NotMounted => Reason::NotMounted,
        Code::NotAllowed => Reason::NotPermitted,
        Code::InUse | Code::Busy => Reason::Busy,
        Code::Timeout => Reason::Timeout,
        Code::BadRequest | Code::Failed => Reason::System,
    }
}

fn explain(unanswered: &Unanswered) -> MountError {
    let (reason, what) = match unanswered {
        Unanswered::Absent => (Reason::System, "BucketBar's helper is not running.".to_owned()),
        Unanswered::Late => (Reason::Timeout, "BucketBar's helper did not answer in time.".to_owned()),
        Unanswered::Broken(why) => (Reason::System, format!("BucketBar's helper did not answer ({why}).")),
    };
    MountError::new(reason, what, "Switch the helper off and on in the settings, or go on without it.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_volume_is_one_component_below_the_helpers_folder() {
        let volumes = Path::new("/Volumes");
        let found = |path: &str| volume_at(Path::new(path), volumes).map(|name| name.to_string());
        assert_eq!(found("/Volumes/My Bucket"), Some("My Bucket".into()));
        assert_eq!(found("/Volumes"), None);
        assert_eq!(found("/Volumes/a/b"), None);
        assert_eq!(found("/Users/ann/Buckets/a"), None);
        assert_eq!(found("/VolumesX/a"), None);
    }

    #[test]
    fn names_go_on_with_numbers() {
        let name = VolumeName::parse("models").unwrap();
        let first: Vec<String> = names(&name).take(3).map(|name| name.to_string()).collect();
        assert_eq!(first, ["models", "models 2", "models 3"]);
        assert_eq!(names(&name).count(), NAMES as usize);
    }

    #[tokio::test]
    async fn without_any_way_the_errors_of_all_are_told() {
        let plan = Plan { attempts: vec![Attempt::Volume], hint: None };
        let wanted = Wanted {
            port: 20490,
            token: Token::parse("0123456789abcdef0123456789abcdef").unwrap(),
            read_only: false,
            name: VolumeName::parse("models").unwrap(),
        };
        let error = mount_somewhere(&plan, &wanted, &HelperClient::at("/no/such")).await.unwrap_err();
        assert!(error.what.contains("helper is not running"), "{error}");
    }
}
