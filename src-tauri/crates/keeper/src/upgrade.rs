//! A newer keeper in the place of an old one: the same process runs the new program (exec), with every
//! descriptor it has, so that no port and no connection is without a holder for a moment.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::io::FdFlags;
use rustix::process::Pid;
use serde::{Deserialize, Serialize};

use crate::deaths::Deaths;
use crate::protocol::Registration;
use crate::server::{Entry, Guest, Keeper, Plan, welcome};
use crate::wire;

/// What the new program finds its way by; descriptors by number.
#[derive(Serialize, Deserialize)]
struct Heritage {
    socket: PathBuf,
    listener: RawFd,
    lock: RawFd,
    guests: Vec<(u64, RawFd)>,
    next_guest: u64,
    refused_versions: Vec<String>,
    entries: Vec<Heir>,
    /// Who asked, and waits to be welcomed.
    asker: u64,
}

#[derive(Serialize, Deserialize)]
struct Heir {
    registration: Registration,
    socket: RawFd,
    guest: Option<u64>,
    lived_ms: u64,
    deaths: Deaths,
    given_up: bool,
    start: bool,
    child: Option<i32>,
}

/// Runs `program` in this keeper's place. Returns only when that failed: then nothing has changed.
pub(crate) fn replace(keeper: &Keeper, program: &Path, asker: u64) -> io::Error {
    let file = heritage_file(&keeper.socket);
    let error = match write(keeper, &file, asker).and_then(|()| inheritable(keeper, true)) {
        Ok(()) => Command::new(program).arg("--resume").arg(&file).exec(),
        Err(error) => error,
    };
    let _ = inheritable(keeper, false);
    let _ = fs::remove_file(&file);
    error
}

fn heritage_file(socket: &Path) -> PathBuf {
    let mut name = socket.as_os_str().to_owned();
    name.push(".heritage");
    name.into()
}

fn write(keeper: &Keeper, file: &Path, asker: u64) -> io::Result<()> {
    let heritage = Heritage {
        socket: keeper.socket.clone(),
        listener: keeper.listener.as_raw_fd(),
        lock: keeper.lock.as_raw_fd(),
        guests: keeper.guests.iter().map(|guest| (guest.id, guest.stream.as_raw_fd())).collect(),
        next_guest: keeper.next_guest,
        refused_versions: keeper.refused_versions.clone(),
        entries: keeper.entries.iter().map(heir).collect(),
        asker,
    };
    let mut options = OpenOptions::new();
    let mut file = options.create(true).write(true).truncate(true).mode(0o600).open(file)?;
    file.write_all(&serde_json::to_vec(&heritage)?)
}

fn heir(entry: &Entry) -> Heir {
    Heir {
        registration: entry.registration.clone(),
        socket: entry.socket.as_raw_fd(),
        guest: entry.guest,
        lived_ms: u64::try_from(entry.since.elapsed().as_millis()).unwrap_or(u64::MAX),
        deaths: entry.deaths,
        given_up: entry.plan == Plan::GivenUp,
        start: matches!(entry.plan, Plan::StartAt(_)),
        child: entry.child.map(|child| child.as_raw_nonzero().get()),
    }
}

/// Whether the next program gets this one's descriptors.
fn inheritable(keeper: &Keeper, yes: bool) -> io::Result<()> {
    let flags = if yes { FdFlags::empty() } else { FdFlags::CLOEXEC };
    rustix::io::fcntl_setfd(&keeper.listener, flags)?;
    rustix::io::fcntl_setfd(&keeper.lock, flags)?;
    for guest in &keeper.guests {
        rustix::io::fcntl_setfd(&guest.stream, flags)?;
    }
    for entry in &keeper.entries {
        rustix::io::fcntl_setfd(&entry.socket, flags)?;
    }
    Ok(())
}

/// The new program's side. Whoever caused it is welcomed.
///
/// # Errors
/// When `file` cannot be understood or names what is not open. Then every server sees its keeper die, starts
/// another and hands its socket over.
pub fn resume(file: &Path) -> io::Result<Keeper> {
    let heritage: Heritage = serde_json::from_slice(&fs::read(file)?)?;
    fs::remove_file(file)?;
    let (listener, lock) = (take(heritage.listener)?, take(heritage.lock)?);
    let mut keeper = Keeper::of(heritage.socket, listener.into(), File::from(lock));
    keeper.next_guest = heritage.next_guest;
    keeper.refused_versions = heritage.refused_versions;
    for (id, fd) in heritage.guests {
        keeper.guests.push(Guest { id, stream: take(fd)?.into() });
    }
    for heir in heritage.entries {
        keeper.entries.push(entry(heir)?);
    }
    if let Some(asker) = keeper.guests.iter().find(|guest| guest.id == heritage.asker) {
        // One that is gone meanwhile is noticed by its connection.
        let _ = wire::send(&asker.stream, &welcome(), None);
    }
    Ok(keeper)
}

fn entry(heir: Heir) -> io::Result<Entry> {
    let now = Instant::now();
    let child = heir.child.and_then(Pid::from_raw);
    let plan = match (heir.given_up, heir.start, heir.guest, child) {
        (true, ..) => Plan::GivenUp,
        (_, true, ..) => Plan::StartAt(now),
        (_, _, None, Some(_)) => Plan::Started,
        _ => Plan::Nothing,
    };
    Ok(Entry {
        registration: heir.registration,
        socket: take(heir.socket)?,
        guest: heir.guest,
        since: now.checked_sub(Duration::from_millis(heir.lived_ms)).unwrap_or(now),
        deaths: heir.deaths,
        plan,
        child,
    })
}

/// Takes a descriptor over from the program that ran here before, for this process only.
fn take(fd: RawFd) -> io::Result<OwnedFd> {
    if fd < 3 {
        return Err(io::Error::other("a standard stream was handed over"));
    }
    // SAFETY: only borrowed, to ask the kernel whether it is open (EBADF otherwise).
    rustix::io::fcntl_setfd(unsafe { BorrowedFd::borrow_raw(fd) }, FdFlags::CLOEXEC)?;
    // SAFETY: open, as just seen, and each number in the heritage is named once: this is its only owner.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}
