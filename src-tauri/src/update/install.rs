//! Putting the fetched app in the place of the one that is there: in one step of the file system, or not at all.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::fs::{CWD, RenameFlags, renameat_with};

/// Unpacking and checking some hundred megabytes.
const PATIENCE: Duration = Duration::from_secs(120);

/// The app at `app` becomes the one in `archive`, after `check` found it good. On an error the old one is untouched.
///
/// # Errors
/// A sentence.
pub fn install(
    archive: &Path,
    app: &Path,
    check: impl Fn(&Path) -> Result<(), String>,
) -> Result<(), String> {
    let folder = app.parent().ok_or("the app lies nowhere")?;
    let beside = Beside::make(folder)?;
    let words = ["-xzf".as_ref(), archive.as_os_str(), "-C".as_ref(), beside.0.as_os_str()];
    run("/usr/bin/tar", &words)?;
    let new = only_app(&beside.0)?;
    check(&new)?;
    // Both stand somewhere at every moment; the old one then goes with the folder.
    renameat_with(CWD, &new, CWD, app, RenameFlags::EXCHANGE)
        .map_err(|error| format!("the new app could not be put in its place ({error})"))
}

/// macOS: signed by our team, whole, and this very app.
pub fn is_ours(app: &Path, team: &str, identifier: &str) -> Result<(), String> {
    let requirement = format!(
        "-R=anchor apple generic and certificate leaf[subject.OU] = \"{team}\" and identifier \"{identifier}\""
    );
    let words =
        ["--verify".as_ref(), "--deep".as_ref(), "--strict".as_ref(), requirement.as_ref(), app.as_os_str()];
    run("/usr/bin/codesign", &words)
}

/// A folder of ours on the app's own disk; gone when dropped, with everything in it.
struct Beside(PathBuf);

impl Beside {
    fn make(folder: &Path) -> Result<Beside, String> {
        use std::os::unix::fs::DirBuilderExt;
        let path = folder.join(format!(".BucketBar-update-{}", std::process::id()));
        fs::DirBuilder::new()
            .mode(0o700)
            .create(&path)
            .map_err(|error| format!("{} cannot be written to ({error})", folder.display()))?;
        Ok(Beside(path))
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            tracing::warn!("{} stayed: {error}", self.0.display());
        }
    }
}

fn only_app(folder: &Path) -> Result<PathBuf, String> {
    let entries = fs::read_dir(folder).map_err(|error| error.to_string())?;
    let found: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    match found.as_slice() {
        [app] if app.extension() == Some(OsStr::new("app")) && is_real_folder(app) => Ok(app.clone()),
        _ => Err("the archive does not hold an app and nothing else".to_owned()),
    }
}

fn is_real_folder(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|found| found.is_dir())
}

/// The system's own program with an environment of its own, at most [`PATIENCE`] long.
fn run(program: &str, words: &[&OsStr]) -> Result<(), String> {
    let mut child = Command::new(program)
        .args(words)
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| format!("{program}: {error}"))?;
    let until = Instant::now() + PATIENCE;
    loop {
        match child.try_wait().map_err(|error| format!("{program}: {error}"))? {
            Some(status) if status.success() => return Ok(()),
            Some(status) => return Err(format!("{program} ended with {status}")),
            None if Instant::now() >= until => {
                let _ = child.kill();
                let _ = child.wait();
                return Err(format!("{program} did not end in time"));
            }
            None => std::thread::sleep(Duration::from_millis(20)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Bench {
        dir: tempfile::TempDir,
        app: PathBuf,
    }

    impl Bench {
        fn new() -> Bench {
            let dir = tempfile::tempdir().unwrap();
            let app = dir.path().join("Applications/BucketBar.app");
            fs::create_dir_all(app.join("Contents")).unwrap();
            fs::write(app.join("Contents/version"), "old").unwrap();
            Bench { dir, app }
        }

        fn archive(&self, entries: &[&str]) -> PathBuf {
            let source = self.dir.path().join("source");
            for entry in entries {
                let file = source.join(entry);
                fs::create_dir_all(file.parent().unwrap()).unwrap();
                fs::write(file, "new").unwrap();
            }
            let archive = self.dir.path().join("a.tar.gz");
            let words =
                ["-czf".as_ref(), archive.as_os_str(), "-C".as_ref(), source.as_os_str(), ".".as_ref()];
            run("/usr/bin/tar", &words).unwrap();
            archive
        }

        fn version(&self) -> String {
            fs::read_to_string(self.app.join("Contents/version")).unwrap()
        }

        fn is_tidy(&self) -> bool {
            fs::read_dir(self.app.parent().unwrap()).unwrap().count() == 1
        }
    }

    const NEW: &str = "BucketBar.app/Contents/version";

    #[test]
    fn the_new_app_takes_the_place_of_the_old_one_and_nothing_stays_beside() {
        let bench = Bench::new();
        install(&bench.archive(&[NEW]), &bench.app, |app| {
            assert_eq!(bench.version(), "old");
            app.join("Contents/version").exists().then_some(()).ok_or("empty".to_owned())
        })
        .unwrap();
        assert!(bench.version() == "new" && bench.is_tidy());
    }

    #[test]
    fn what_is_not_found_good_or_is_no_app_changes_nothing() {
        let bench = Bench::new();
        let refused = install(&bench.archive(&[NEW]), &bench.app, |_| Err("not signed".to_owned()));
        assert_eq!(refused, Err("not signed".to_owned()));
        assert!(bench.version() == "old" && bench.is_tidy());
        for entries in [&["Other/file"][..], &[NEW, "extra"], &["BucketBar.app"]] {
            let bench = Bench::new();
            assert!(install(&bench.archive(entries), &bench.app, |_| Ok(())).is_err(), "{entries:?}");
            assert!(bench.version() == "old" && bench.is_tidy());
        }
        let broken = bench.dir.path().join("broken.tar.gz");
        fs::write(&broken, b"no archive").unwrap();
        assert!(install(&broken, &bench.app, |_| Ok(())).is_err());
        assert!(bench.version() == "old" && bench.is_tidy());
    }
}
