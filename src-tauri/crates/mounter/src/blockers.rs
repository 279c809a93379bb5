//! Who keeps a mount busy: the programs to name before anybody thinks of force.

use std::fmt;
use std::path::Path;

/// A program with something of the mount open.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Blocker {
    pub pid: u32,
    pub name: String,
}

impl fmt::Display for Blocker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (process {})", self.name, self.pid)
    }
}

/// Programs that have a file of `mount_point` open, work in it or run from it, as far as this user may
/// see; empty when nobody could be found within the time given to the search.
#[cfg(not(target_os = "macos"))]
pub async fn blockers(mount_point: &Path) -> Vec<Blocker> {
    let mount_point = mount_point.to_owned();
    crate::deadline::within(crate::deadline::TOUCH, move || linux::scan(&mount_point))
        .await
        .unwrap_or_default()
}

/// As above. `-w`: no warnings, `-F pc`: one `p` line with the number and one `c` line with the name.
#[cfg(target_os = "macos")]
pub async fn blockers(mount_point: &Path) -> Vec<Blocker> {
    use std::ffi::OsStr;
    let limit = std::time::Duration::from_secs(10);
    let args = [OsStr::new("-w"), OsStr::new("-Fpc"), OsStr::new("--"), mount_point.as_os_str()];
    match crate::command::run("/usr/sbin/lsof", args, limit).await {
        Ok(outcome) => parse_lsof(&outcome.stdout),
        Err(_) => Vec::new(),
    }
}

/// `lsof -F pc`: a process is a `p` line followed by its `c` line.
#[cfg(any(target_os = "macos", test))]
fn parse_lsof(output: &str) -> Vec<Blocker> {
    let mut found = Vec::new();
    let mut pid = None;
    for line in output.lines() {
        if let Some(number) = line.strip_prefix('p') {
            pid = number.parse().ok();
        } else if let (Some(name), Some(pid)) = (line.strip_prefix('c'), pid) {
            found.push(Blocker { pid, name: name.to_owned() });
        }
    }
    found.sort();
    found.dedup();
    found
}

#[cfg(not(target_os = "macos"))]
mod linux {
    use std::fs;
    use std::path::{Path, PathBuf};

    use super::Blocker;
    use crate::table::is_below;

    /// Reads links in `/proc` only: the kernel answers them from memory, no server is asked.
    pub(super) fn scan(mount_point: &Path) -> Vec<Blocker> {
        let Ok(processes) = fs::read_dir("/proc") else { return Vec::new() };
        let mut found: Vec<Blocker> = processes
            .flatten()
            .filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok())
            .filter(|pid| holds(*pid, mount_point))
            .map(|pid| Blocker { pid, name: name(pid) })
            .collect();
        found.sort();
        found
    }

    fn holds(pid: u32, mount_point: &Path) -> bool {
        let process = PathBuf::from(format!("/proc/{pid}"));
        let inside = |link: &Path| fs::read_link(link).is_ok_and(|target| is_below(&target, mount_point));
        if ["cwd", "root", "exe"].iter().any(|link| inside(&process.join(link))) {
            return true;
        }
        let Ok(open) = fs::read_dir(process.join("fd")) else { return false };
        let holds_open = open.flatten().any(|entry| inside(&entry.path()));
        holds_open || maps(&process, mount_point)
    }

    /// A mapped file keeps the mount busy after its descriptor is closed.
    fn maps(process: &Path, mount_point: &Path) -> bool {
        let Ok(mapped) = fs::read_dir(process.join("map_files")) else { return false };
        mapped
            .flatten()
            .any(|entry| fs::read_link(entry.path()).is_ok_and(|target| is_below(&target, mount_point)))
    }

    fn name(pid: u32) -> String {
        match fs::read_to_string(format!("/proc/{pid}/comm")) {
            Ok(name) => name.trim_end().to_owned(),
            Err(_) => "unknown".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(not(target_os = "macos"))]
    #[tokio::test]
    async fn somebody_working_in_the_folder_is_named() {
        let temp = tempfile::tempdir().unwrap();
        let dir = temp.path().canonicalize().unwrap();
        assert_eq!(blockers(&dir).await, vec![]);
        let mut child = std::process::Command::new("sleep").arg("30").current_dir(&dir).spawn().unwrap();
        let found = blockers(&dir).await;
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].pid, child.id());
    }

    #[cfg(not(target_os = "macos"))]
    #[tokio::test]
    async fn an_open_file_is_enough() {
        let temp = tempfile::tempdir().unwrap();
        let dir = temp.path().canonicalize().unwrap();
        let _open = std::fs::File::create(dir.join("a b")).unwrap();
        assert!(blockers(&dir).await.iter().any(|blocker| blocker.pid == std::process::id()));
    }

    #[test]
    fn lsof_fields() {
        let output = "p12\ncFinder\nfcwd\np7\ncmd worker, x\nf3\np7\ncmd worker, x\npx\ncnobody\n";
        let expected =
            vec![Blocker { pid: 7, name: "md worker, x".into() }, Blocker { pid: 12, name: "Finder".into() }];
        assert_eq!(parse_lsof(output), expected);
    }
}
