//! Settings: defaults, changes and their bounds, the file.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::api::error::{AppError, AppResult, ErrorCode};
use super::api::settings::{LogLevel, Settings};
use super::store;
use crate::bucket_path::BucketPath;

const SMALLEST_CACHE: u64 = 64 << 20;
const SMALLEST_RATE: u64 = 10_000;

/// What holds before anybody chose anything.
pub(super) fn defaults(home: &Path) -> Settings {
    Settings {
        mount_folder: mounter::default_folder(home).display().to_string(),
        start_at_login: false,
        mount_at_login: Vec::new(),
        cache_bytes: None,
        reserve_bytes: None,
        upload_bytes_per_s: None,
        parallel_uploads: 3,
        read_only_by_default: false,
        notifications: BTreeMap::new(),
        snooze_until_ms: None,
        client_id: None,
        telemetry: false,
        log_level: LogLevel::default(),
    }
}

/// The settings kept at `file`; fields that are missing or not good any more have their defaults.
pub(super) fn read(file: &Path, home: &Path) -> Settings {
    let defaults = defaults(home);
    let Some(kept) = store::read_or_aside::<serde_json::Value>(file) else { return defaults };
    let mut settings = defaults;
    for (name, value) in kept.as_object().into_iter().flatten() {
        // One field at a time: a bad one must not cost the others.
        let change = serde_json::json!({ name: value });
        match changed(&settings, &change) {
            Ok(better) => settings = better,
            Err(error) => tracing::warn!(name, %error, "a setting of the file is left out"),
        }
    }
    settings
}

/// `settings` with the fields of `change`, checked.
///
/// # Errors
/// `Invalid` with a sentence on the field.
pub(super) fn changed(settings: &Settings, change: &serde_json::Value) -> AppResult<Settings> {
    let Some(fields) = change.as_object() else {
        return Err(AppError::invalid("A change of settings is an object of fields.", ""));
    };
    let broken = |error: serde_json::Error| {
        AppError::invalid(format!("These settings cannot be understood ({error})."), "")
    };
    let mut value = serde_json::to_value(settings).map_err(broken)?;
    if let Some(all) = value.as_object_mut() {
        all.extend(fields.clone());
    }
    let settings: Settings = serde_json::from_value(value).map_err(broken)?;
    check(&settings)?;
    Ok(settings)
}

fn check(settings: &Settings) -> AppResult<()> {
    let folder = PathBuf::from(&settings.mount_folder);
    if !folder.is_absolute() || folder.components().any(|part| part == std::path::Component::ParentDir) {
        return Err(AppError::invalid(
            format!("“{}” cannot be the mount folder.", settings.mount_folder),
            "Give a whole path, like the one of a folder in your home.",
        ));
    }
    if !(1..=16).contains(&settings.parallel_uploads) {
        return Err(AppError::invalid("Between 1 and 16 uploads can go side by side.", ""));
    }
    if settings.cache_bytes.is_some_and(|bytes| bytes < SMALLEST_CACHE) {
        return Err(AppError::invalid("The cache cannot be smaller than 64 MB.", ""));
    }
    if settings.upload_bytes_per_s.is_some_and(|rate| rate < SMALLEST_RATE) {
        return Err(AppError::invalid(
            "Uploads cannot be slower than 10 kB a second.",
            "Pause them instead.",
        ));
    }
    if settings.telemetry {
        return Err(AppError::invalid("BucketBar has no telemetry to switch on.", ""));
    }
    if settings.client_id.as_deref().is_some_and(|id| id.trim().is_empty() || id.len() > 200) {
        return Err(AppError::invalid("That is no id of an OAuth application.", ""));
    }
    for bucket in &settings.mount_at_login {
        bucket.parse::<BucketPath>().map_err(|error| AppError::of(ErrorCode::Invalid, error))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn some_fields_change_and_bad_ones_change_nothing() {
        let settings = defaults(Path::new("/home/a"));
        assert_eq!(settings.mount_folder, "/home/a/Buckets");
        let change = json!({"parallel_uploads": 5, "notifications": {"conflict": false}, "client_id": "x"});
        let better = changed(&settings, &change).unwrap();
        assert_eq!((better.parallel_uploads, better.notifications.len()), (5, 1));
        assert_eq!(changed(&better, &json!({"client_id": null})).unwrap().client_id, None);
        for bad in [
            json!({"parallel_uploads": 0}),
            json!({"parallel_uploads": "3"}),
            json!({"mount_folder": "here"}),
            json!({"mount_folder": "/a/../b"}),
            json!({"cache_bytes": 5}),
            json!({"upload_bytes_per_s": 1}),
            json!({"telemetry": true}),
            json!({"client_id": " "}),
            json!({"mount_at_login": ["nonsense"]}),
            json!({"unheard_of": 1}),
            json!([1]),
        ] {
            let error = changed(&settings, &bad).unwrap_err();
            assert_eq!(error.code, ErrorCode::Invalid, "{bad}");
        }
    }

    #[test]
    fn a_bad_field_of_the_file_costs_only_itself() {
        let temp = tempfile::tempdir().unwrap();
        let file = temp.path().join("settings.json");
        std::fs::write(&file, r#"{"parallel_uploads": 99, "read_only_by_default": true, "gone": 1}"#)
            .unwrap();
        let settings = read(&file, Path::new("/home/a"));
        assert_eq!((settings.parallel_uploads, settings.read_only_by_default), (3, true));
    }
}
