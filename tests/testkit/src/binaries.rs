//! Where a built program is.

use std::path::{Path, PathBuf};

/// The built program `name` (`local-hub`, `bucketbarctl`, …).
///
/// Looked for, in this order: the variable `LOCAL_HUB_BIN` (upper case, `_` for `-`, plus `_BIN`),
/// `$CARGO_TARGET_DIR/release`, the directory this test was built into, the workspace's
/// `target/release`.
///
/// # Panics
/// When it is nowhere; the message says how to build it.
pub fn binary(name: &str) -> PathBuf {
    let variable = format!("{}_BIN", name.to_uppercase().replace('-', "_"));
    if let Some(path) = std::env::var_os(&variable).map(PathBuf::from) {
        assert!(path.is_file(), "{variable} names {}, which is not a file", path.display());
        return path;
    }
    let places = directories();
    if let Some(found) = places.iter().map(|dir| dir.join(name)).find(|path| path.is_file()) {
        return found;
    }
    let looked: Vec<String> = places.iter().map(|dir| dir.display().to_string()).collect();
    panic!(
        "the program {name} is not built: run `cargo build --release -p {name}` or set {variable}; looked in {}",
        looked.join(", ")
    );
}

fn directories() -> Vec<PathBuf> {
    let mut places = Vec::new();
    if let Some(target) = std::env::var_os("CARGO_TARGET_DIR") {
        places.push(Path::new(&target).join("release"));
    }
    // A test runs from <target>/<profile>/deps.
    if let Ok(me) = std::env::current_exe()
        && let Some(profile) = me.parent().and_then(Path::parent)
    {
        places.push(profile.to_path_buf());
    }
    places.push(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/release"));
    places
}
