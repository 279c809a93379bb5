//! Keeping offline, in the app's words.

use std::path::Path;
use std::sync::Arc;

use super::api::commands::{KeepArgs, Nothing};
use super::api::error::{AppError, AppResult, ErrorCode};
use super::api::event::Part;
use super::api::storage::{BucketStorage, KeepCost, KeptItem, KeptState, Storage};
use super::core::App;
use super::slot::{Live, Slot};

impl App {
    pub async fn storage(self: &Arc<Self>, _: Nothing) -> AppResult<Storage> {
        let all: Vec<(Arc<Slot>, Live)> =
            self.all_slots().into_iter().filter_map(|slot| Some((slot.clone(), slot.live()?))).collect();
        let looked = tokio::task::spawn_blocking(move || {
            let mut available_bytes = None;
            let mut buckets = Vec::with_capacity(all.len());
            for (slot, live) in all {
                let cache = live.fs.cache_report();
                available_bytes = Some(cache.available_bytes);
                buckets.push(BucketStorage {
                    bucket: slot.id.clone(),
                    kept_bytes: cache.kept_bytes,
                    to_keep_bytes: cache.to_keep_bytes,
                    cached_bytes: cache.read_bytes + cache.saved_bytes,
                    cache_limit: cache.read_limit + cache.saved_limit,
                    unsent_bytes: cache.unsent_bytes,
                    mount_point: slot.mount_point().map(|place| place.display().to_string()),
                    items: live.fs.pins()?.into_iter().map(item).collect(),
                });
            }
            buckets.sort_by(|a, b| a.bucket.cmp(&b.bucket));
            Ok::<_, bucketfs::Error>(Storage { buckets, available_bytes })
        });
        let broke = |_| AppError::new(ErrorCode::Internal, "The storage could not be looked at.", "");
        Ok(looked.await.map_err(broke)??)
    }

    pub async fn keep_cost(self: &Arc<Self>, args: KeepArgs) -> AppResult<KeepCost> {
        let (live, path) = self.to_keep(&args)?;
        let cost = live.fs.pin_cost(&path).await?;
        Ok(KeepCost {
            fits: cost.fits(),
            path: cost.path,
            folder: cost.folder,
            files: cost.files,
            bytes: cost.bytes,
            download_bytes: cost.download_bytes,
            available_bytes: cost.available_bytes,
            kept: cost.kept,
        })
    }

    pub async fn keep_offline(self: &Arc<Self>, args: KeepArgs) -> AppResult<Storage> {
        let (live, path) = self.to_keep(&args)?;
        live.fs.pin(&path).await?;
        self.wake.urgent(Part::Queue);
        self.storage(Nothing {}).await
    }

    pub async fn keep_no_longer(self: &Arc<Self>, args: KeepArgs) -> AppResult<Storage> {
        let (live, path) = self.to_keep(&args)?;
        live.fs.unpin(&path).await?;
        self.wake.urgent(Part::Queue);
        self.storage(Nothing {}).await
    }

    /// The bucket, and the path inside it: a path as the system's chooser gives it is taken, too.
    fn to_keep(&self, args: &KeepArgs) -> AppResult<(Live, String)> {
        let live = self.one(&args.bucket)?;
        let slot = self.slot(&args.bucket)?;
        inside(&args.path, slot.mount_point().as_deref()).map(|path| (live, path)).ok_or_else(|| {
            AppError::invalid(
                format!("{} is not in {}.", args.path, args.bucket),
                "Choose a file or folder of the mounted bucket.",
            )
        })
    }
}

fn inside(path: &str, mount_point: Option<&Path>) -> Option<String> {
    let path = match path.starts_with('/') {
        true => Path::new(path).strip_prefix(mount_point?).ok()?.to_str()?,
        false => path,
    };
    let path = path.trim_matches('/');
    let bad = path.contains('\0')
        || (!path.is_empty() && path.split('/').any(|part| matches!(part, "" | "." | "..")));
    (!bad).then(|| path.to_owned())
}

fn item(pin: bucketfs::PinReport) -> KeptItem {
    use bucketfs::PinState as P;
    let state = match pin.state {
        P::Looking => KeptState::Looking,
        P::Downloading => KeptState::Downloading,
        P::Waiting { why } => KeptState::Waiting { why },
        P::Failed { why, advice } => KeptState::Failed { why, advice },
        P::Kept => KeptState::Kept,
        P::Gone => KeptState::Gone,
    };
    KeptItem {
        path: pin.path,
        folder: pin.folder,
        files: pin.files,
        bytes: pin.bytes,
        bytes_here: pin.bytes_here,
        since_ms: pin.since_ms,
        state,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_of_the_chooser_is_one_inside_the_bucket() {
        let mount = Some(Path::new("/Volumes/photos"));
        assert_eq!(inside("/Volumes/photos/2024/a.jpg", mount).as_deref(), Some("2024/a.jpg"));
        assert_eq!(inside("/Volumes/photos", mount).as_deref(), Some(""));
        assert_eq!(inside("2024/", mount).as_deref(), Some("2024"));
        for path in ["/Volumes/photos2/a", "/etc", "a/../b", "a//b", "a\0"] {
            assert_eq!(inside(path, mount), None, "{path}");
        }
        assert_eq!(inside("/Volumes/photos/a", None), None);
    }
}
