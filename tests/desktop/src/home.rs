//! A person's home of its own, and what runs in it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;
use testkit::LocalHub;

/// Stands for xdg-open: writes down what was to be opened.
const OPENER: &str = "#!/bin/sh\nprintf '%s\\n' \"$1\" >>\"$HOME/opened\"\n";

pub struct Home {
    folder: TempDir,
    hub: String,
}

impl Home {
    /// # Panics
    /// When no folder can be made.
    pub fn new(hub: &LocalHub) -> Home {
        let folder = tempfile::tempdir().unwrap_or_else(|error| panic!("no folder: {error}"));
        let home = Home { folder, hub: hub.endpoint().to_owned() };
        let opener = home.path().join("bin/xdg-open");
        for part in ["bin", "state", "config", "cache", "data"] {
            fs::create_dir_all(home.path().join(part)).unwrap_or_else(|error| panic!("{part}: {error}"));
        }
        fs::write(&opener, OPENER).unwrap_or_else(|error| panic!("xdg-open: {error}"));
        fs::set_permissions(&opener, fs::Permissions::from_mode(0o755))
            .unwrap_or_else(|error| panic!("{error}"));
        home
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    pub fn state(&self) -> PathBuf {
        self.path().join("state/bucketbar")
    }

    /// Orders for a disk that fails.
    pub fn disk_faults(&self) -> PathBuf {
        self.path().join("disk-faults")
    }

    /// A command of this person's: everything it finds by the environment is in this home.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let path =
            format!("{}:{}", self.path().join("bin").display(), std::env::var("PATH").unwrap_or_default());
        let mut command = Command::new(program);
        command
            .env("HOME", self.path())
            .env("PATH", path)
            .env("XDG_STATE_HOME", self.path().join("state"))
            .env("XDG_CONFIG_HOME", self.path().join("config"))
            .env("XDG_CACHE_HOME", self.path().join("cache"))
            .env("XDG_DATA_HOME", self.path().join("data"))
            .env("HF_HOME", self.path().join("hf"))
            .env("HF_ENDPOINT", &self.hub)
            .env("BUCKETBAR_DISK_FAULTS", self.disk_faults())
            .env("NO_AT_BRIDGE", "1")
            .env("WEBKIT_DISABLE_COMPOSITING_MODE", "1")
            .env_remove("HF_TOKEN")
            .stdin(Stdio::null())
            .stdout(self.log("output"))
            .stderr(self.log("output"));
        command
    }

    fn log(&self, name: &str) -> Stdio {
        let file = fs::OpenOptions::new().create(true).append(true).open(self.path().join(name));
        file.map_or_else(|error| panic!("{name}: {error}"), Stdio::from)
    }

    /// What xdg-open was called with, in order.
    pub fn opened(&self) -> Vec<String> {
        let text = fs::read_to_string(self.path().join("opened")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// Every file below, but for pipes and what lies in mounts, that holds one of `words`.
    pub fn files_with(&self, words: &[String]) -> Vec<PathBuf> {
        let mut found = Vec::new();
        search(self.path(), &device_of(self.path()), words, &mut found);
        found
    }

    /// What is in logs and on standard output, for a failed test.
    pub fn story(&self) -> String {
        let mut text = String::new();
        let logs =
            fs::read_dir(self.state().join("logs")).into_iter().flatten().flatten().map(|entry| entry.path());
        for file in logs.chain([self.path().join("output")]) {
            let all = fs::read_to_string(&file).unwrap_or_default();
            let lines: Vec<&str> = all.lines().collect();
            text +=
                &format!("== {}\n{}\n", file.display(), lines[lines.len().saturating_sub(60)..].join("\n"));
        }
        text
    }
}

fn device_of(path: &Path) -> Option<u64> {
    use std::os::unix::fs::MetadataExt;
    fs::symlink_metadata(path).ok().map(|metadata| metadata.dev())
}

fn search(folder: &Path, device: &Option<u64>, words: &[String], found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        let Ok(metadata) = fs::symlink_metadata(&path) else { continue };
        if metadata.is_dir() && device_of(&path) == *device {
            search(&path, device, words, found);
        } else if metadata.is_file() {
            let bytes = fs::read(&path).unwrap_or_default();
            if words.iter().any(|word| bytes.windows(word.len()).any(|window| window == word.as_bytes())) {
                found.push(path);
            }
        }
    }
}
