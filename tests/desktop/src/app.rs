//! The app's process, looked at from outside.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::home::Home;
use crate::wait::until;

/// A process by its number; ended at the end.
pub struct Process(u32);

impl Process {
    /// The app that runs in this home, as soon as it does.
    pub async fn running(home: &Home) -> Process {
        Process(until("the app runs", || async { app_in(home).ok_or("no such process") }).await)
    }

    /// The app that came after this one, as soon as it runs.
    pub async fn next(&self, home: &Home) -> Process {
        let next = || async { app_in(home).filter(|id| *id != self.0).ok_or("no such process") };
        Process(until("the app runs again", next).await)
    }

    pub fn id(&self) -> u32 {
        self.0
    }

    pub fn kill(&self, signal: Signal) {
        if let Some(pid) = i32::try_from(self.0).ok().and_then(Pid::from_raw) {
            let _ = kill_process(pid, signal);
        }
    }

    pub fn lives(&self) -> bool {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.0)).unwrap_or_default();
        stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.trim_start().starts_with('Z'))
    }

    pub async fn ended(&self) {
        until("the app has ended", || async { if self.lives() { Err("it lives") } else { Ok(()) } }).await;
    }

    /// Processor time so far.
    pub fn busy(&self) -> Duration {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.0)).unwrap_or_default();
        let fields: Vec<u64> = stat
            .rsplit_once(')')
            .map(|(_, rest)| {
                rest.split_whitespace().skip(11).take(2).filter_map(|field| field.parse().ok()).collect()
            })
            .unwrap_or_default();
        Duration::from_millis(fields.iter().sum::<u64>() * 10)
    }

    /// Memory of its own, in MB.
    pub fn memory(&self) -> u64 {
        let text = fs::read_to_string(format!("/proc/{}/status", self.0)).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
        line.split_whitespace().next().and_then(|kb| kb.parse::<u64>().ok()).unwrap_or_default() / 1024
    }
}

/// Ends the app of this home at once, for good: the keeper first, which would bring it back.
pub fn kill_app(home: &Home) {
    for name in ["bucketbar-keeper", "bucketbar"] {
        for id in all_in(home).into_iter().filter(|id| program(*id) == name) {
            Process(id).kill(Signal::KILL);
        }
    }
}

/// The name of a process's program.
pub fn program(id: u32) -> String {
    let exe = fs::read_link(format!("/proc/{id}/exe")).unwrap_or_default();
    exe.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

/// Every process of this person's: the app, its web view, the keeper.
pub fn all_in(home: &Home) -> Vec<u32> {
    processes().into_iter().map(|(id, _)| id).filter(|id| lives_in(*id, home)).collect()
}

/// Command line and environment of a process, as they can be read from outside.
pub fn open_words(id: u32) -> Vec<u8> {
    let read = |name: &str| fs::read(format!("/proc/{id}/{name}")).unwrap_or_default();
    [read("cmdline"), read("environ")].concat()
}

fn processes() -> Vec<(u32, u32)> {
    let ids = fs::read_dir("/proc").into_iter().flatten().flatten();
    let ids = ids.filter_map(|entry| entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()));
    ids.filter_map(|id| {
        let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
        let parent = stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()?;
        Some((id, parent))
    })
    .collect()
}

fn lives_in(id: u32, home: &Home) -> bool {
    let home = format!("HOME={}", home.path().display());
    let environment = fs::read(format!("/proc/{id}/environ")).unwrap_or_default();
    environment.split(|byte| *byte == 0).any(|variable| variable == home.as_bytes())
}

/// The app's process in this home.
pub fn app_in(home: &Home) -> Option<u32> {
    let ours = |id: u32| {
        let exe = fs::read_link(format!("/proc/{id}/exe")).unwrap_or_default();
        exe.file_name().is_some_and(|name| name == "bucketbar") && lives_in(id, home)
    };
    let found: Vec<(u32, u32)> = processes().into_iter().filter(|(id, _)| ours(*id)).collect();
    // A child of the app's may be the same program; the app is the one whose parent is not.
    found.iter().find(|(_, parent)| !found.iter().any(|(id, _)| id == parent)).map(|(id, _)| *id)
}

/// The app by itself, without a driver: no window can be looked into, everything else is as always.
pub fn start(home: &Home, arguments: &[&str]) -> Child {
    let program = testkit::binary("bucketbar");
    home.command(program).args(arguments).spawn().unwrap_or_else(|error| panic!("the app: {error}"))
}

/// Where a bucket is mounted, by the kernel's own table.
pub fn mount_of(home: &Home) -> Option<PathBuf> {
    let table = fs::read_to_string("/proc/mounts").unwrap_or_default();
    let places = table.lines().filter_map(|line| {
        let mut fields = line.split(' ');
        let (_, place, kind) = (fields.next()?, fields.next()?, fields.next()?);
        kind.starts_with("nfs").then(|| PathBuf::from(place.replace("\\040", " ")))
    });
    places.filter(|place| place.starts_with(home.path())).last()
}

/// Waits for a mount, or for its end.
pub async fn mounted(home: &Home) -> PathBuf {
    until("a mount", || async { mount_of(home).ok_or("none") }).await
}

pub async fn unmounted(home: &Home) {
    until("no mount", || async { mount_of(home).map_or(Ok(()), |place: PathBuf| Err(place)) }).await;
}

/// Writes a file as a program does: on return its bytes are on the disk (fsync), or it is an error.
///
/// # Errors
/// What the kernel said.
pub fn write(file: &Path, bytes: &[u8]) -> std::io::Result<()> {
    use std::io::Write;
    let mut out = fs::File::create(file)?;
    out.write_all(bytes)?;
    out.sync_all()
}
