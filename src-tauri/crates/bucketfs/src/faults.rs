//! A local disk that fails on demand: for tests and for trying out what a person then sees.
//!
//! Everything that writes or syncs a staged copy, its sidecar or the state database asks here first. Without
//! orders that is one relaxed load. Orders come from the test that made the [`crate::Config`], or from the
//! file that the environment variable `BUCKETBAR_DISK_FAULTS` names when the process starts; that file may be
//! written, changed and removed while the process runs.
//!
//! One order a line: `STEP PART HARM [TIMES] [id=FILEID]`
//! * STEP: `write` (also cutting, growing and making a file), `sync`, `read`
//! * PART: `data`, `log`, `db`, `all`
//! * HARM: `eio`, `enospc`, `slow=MILLISECONDS` (then it happens), `slow-eio=MILLISECONDS` (then it fails)
//! * TIMES: how often; for ever when it is missing
//!
//! A line `disk BYTES` pretends that the disk is that small and holds nothing but the state directory.
//!
//! An order is used up in memory; a changed file starts all of its orders anew.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;

use crate::attr::FileId;

/// What is about to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    Write,
    Sync,
    Read,
}

/// To which kind of file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The bytes of a staged copy.
    Data,
    /// Its sidecar.
    Log,
    /// The state database.
    Database,
}

/// What happens instead, or before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Harm {
    /// EIO.
    Io,
    /// ENOSPC.
    NoSpace,
    /// It takes this much longer and then happens.
    Slow(Duration),
    /// It fails with EIO, and says so after this time only: another's sync of the same file finds all clean meanwhile.
    SlowIo(Duration),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    pub step: Step,
    /// `None`: all of them.
    pub part: Option<Part>,
    /// Only this file's.
    pub file: Option<FileId>,
    pub harm: Harm,
    /// `None`: for ever.
    pub times: Option<u64>,
}

/// Orders for one bucket's disk; clones share them.
#[derive(Debug, Clone, Default)]
pub struct Faults(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    /// There may be an order: look.
    armed: AtomicBool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    orders: Vec<Order>,
    file: Option<PathBuf>,
    read_at: Option<SystemTime>,
    disk: Option<u64>,
}

/// Bytes that the files below a folder take on the disk.
pub(crate) fn used_below(folder: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(folder) else { return 0 };
    let of = |entry: fs::DirEntry| match entry.metadata() {
        Ok(meta) if meta.is_dir() => used_below(&entry.path()),
        Ok(meta) => meta.blocks() * 512,
        Err(_) => 0,
    };
    entries.flatten().map(of).sum()
}

const VARIABLE: &str = "BUCKETBAR_DISK_FAULTS";

impl Faults {
    /// What the environment asks for; none as a rule.
    pub fn from_environment() -> Self {
        let faults = Faults::default();
        if let Some(file) = std::env::var_os(VARIABLE).filter(|file| !file.is_empty()) {
            tracing::warn!(?file, "the local disk fails as this file says ({VARIABLE})");
            faults.0.state.lock().file = Some(file.into());
            faults.0.armed.store(true, Ordering::Release);
        }
        faults
    }

    /// From now on this happens; the first order that fits an operation is the one that counts.
    pub fn order(&self, order: Order) {
        self.0.state.lock().orders.push(order);
        self.0.armed.store(true, Ordering::Release);
    }

    /// The next `times` operations of this kind fail; `times` of `None`: all.
    pub fn fail(&self, step: Step, part: Part, harm: Harm, times: Option<u64>) {
        self.order(Order { step, part: Some(part), file: None, harm, times });
    }

    /// The disk is well again.
    pub fn clear(&self) {
        let mut state = self.0.state.lock();
        state.orders.clear();
        state.disk = None;
        self.0.armed.store(state.file.is_some(), Ordering::Release);
    }

    /// Pretends that the disk has this many bytes and nothing on it but the state directory.
    pub fn limit_disk(&self, bytes: Option<u64>) {
        self.0.state.lock().disk = bytes;
        self.0.armed.store(true, Ordering::Release);
    }

    pub(crate) fn disk_size(&self) -> Option<u64> {
        if !self.0.armed.load(Ordering::Relaxed) {
            return None;
        }
        let mut state = self.0.state.lock();
        state.read_file();
        state.disk
    }

    /// Orders that are not used up.
    pub fn left(&self) -> Vec<Order> {
        self.0.state.lock().orders.clone()
    }

    /// Called before the operation, off the runtime's threads.
    pub(crate) fn check(&self, step: Step, part: Part, file: FileId) -> io::Result<()> {
        if !self.0.armed.load(Ordering::Relaxed) {
            return Ok(());
        }
        let harm = self.0.state.lock().take(step, part, file); // who is slow holds nobody else up
        match harm {
            None => Ok(()),
            Some(Harm::Io) => Err(rustix::io::Errno::IO.into()),
            Some(Harm::NoSpace) => Err(rustix::io::Errno::NOSPC.into()),
            Some(Harm::Slow(time)) => {
                std::thread::sleep(time);
                Ok(())
            }
            Some(Harm::SlowIo(time)) => {
                std::thread::sleep(time);
                Err(rustix::io::Errno::IO.into())
            }
        }
    }
}

impl State {
    fn take(&mut self, step: Step, part: Part, file: FileId) -> Option<Harm> {
        self.read_file();
        let index = self.orders.iter().position(|order| {
            order.step == step
                && order.part.is_none_or(|wanted| wanted == part)
                && order.file.is_none_or(|wanted| wanted == file)
        })?;
        let order = &mut self.orders[index];
        let harm = order.harm;
        if let Some(times) = &mut order.times {
            *times = times.saturating_sub(1);
            if *times == 0 {
                self.orders.remove(index);
            }
        }
        Some(harm)
    }

    fn read_file(&mut self) {
        let Some(file) = &self.file else { return };
        let changed = fs::metadata(file).and_then(|meta| meta.modified()).ok();
        if changed == self.read_at {
            return;
        }
        self.read_at = changed;
        self.orders.clear();
        self.disk = None;
        for line in fs::read_to_string(file).unwrap_or_default().lines() {
            if let Some(bytes) = line.trim().strip_prefix("disk ") {
                self.disk = bytes.trim().parse().ok();
                continue;
            }
            match parse(line) {
                Ok(order) => self.orders.extend(order),
                Err(word) => tracing::error!(line, word, "this disk fault is not understood"),
            }
        }
    }
}

/// The order a line gives; nothing for an empty line or a comment, the word that makes no sense as an error.
fn parse(line: &str) -> Result<Option<Order>, &str> {
    let mut words = line.split_whitespace();
    let Some(step) = words.next().filter(|word| !word.starts_with('#')) else { return Ok(None) };
    let step = match step {
        "write" => Step::Write,
        "sync" => Step::Sync,
        "read" => Step::Read,
        other => return Err(other),
    };
    let part = match words.next().unwrap_or_default() {
        "data" => Some(Part::Data),
        "log" => Some(Part::Log),
        "db" => Some(Part::Database),
        "all" => None,
        other => return Err(other),
    };
    let harm = match words.next().unwrap_or_default() {
        "eio" => Harm::Io,
        "enospc" => Harm::NoSpace,
        other => {
            let (word, ms) = other.split_once('=').ok_or(other)?;
            let time = Duration::from_millis(ms.parse().map_err(|_| other)?);
            match word {
                "slow" => Harm::Slow(time),
                "slow-eio" => Harm::SlowIo(time),
                _ => return Err(other),
            }
        }
    };
    let mut order = Order { step, part, file: None, harm, times: None };
    for word in words {
        match word.strip_prefix("id=") {
            Some(id) => order.file = Some(FileId(id.parse().map_err(|_| word)?)),
            None => order.times = Some(word.parse().map_err(|_| word)?),
        }
    }
    Ok(Some(order))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_are_read_counted_and_started_anew_when_the_file_changes() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("orders");
        let faults = Faults::default();
        faults.0.state.lock().file = Some(file.clone());
        faults.0.armed.store(true, Ordering::Release);
        let sync = || faults.check(Step::Sync, Part::Data, FileId(7));
        sync().expect("no file, no fault");
        fs::write(&file, "# two of them\nsync data eio 2\n\nwrite all enospc id=9\n").unwrap();
        assert_eq!(sync().unwrap_err().raw_os_error(), Some(5));
        faults.check(Step::Sync, Part::Log, FileId(7)).expect("not the log");
        faults.check(Step::Write, Part::Log, FileId(7)).expect("not this file");
        assert_eq!(faults.check(Step::Write, Part::Log, FileId(9)).unwrap_err().raw_os_error(), Some(28));
        sync().unwrap_err();
        sync().expect("used up");
        fs::remove_file(&file).unwrap();
        faults.check(Step::Write, Part::Log, FileId(9)).expect("the file is gone");
        for bad in [
            "sink data eio",
            "sync",
            "sync data eoi",
            "sync data eio x",
            "sync data slow=x",
            "sync data slo=1",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
