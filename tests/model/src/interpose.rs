//! `fsync`, `fdatasync`, `write` and `pwrite64` of this process: the linker takes these before the C library's,
//! for Rust's standard library and for SQLite alike.
//!
//! Nothing is really synced: the machine does not go down, and what a disk would be obliged to have is noted
//! by [`model::disk::Stable`].

use std::io;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use libc::{c_int, c_void, off64_t, size_t, ssize_t};
use model::disk::Stable;
use model::protocol::Local;

static STABLE: OnceLock<(PathBuf, Stable)> = OnceLock::new();
static SYNCS_TO_FAIL: AtomicU32 = AtomicU32::new(0);
static WRITES_TO_FAIL: AtomicU32 = AtomicU32::new(0);
static STRUCK: AtomicU32 = AtomicU32::new(0);
/// A sync has failed in this life: writes are to be noted from now on.
static LOSSES: AtomicBool = AtomicBool::new(true);

/// From here on syncs below `state` are noted in `aside`.
pub fn begin(state: &str, aside: &str) -> io::Result<()> {
    let state = PathBuf::from(state);
    let stable = Stable::open(&state, Path::new(aside))?;
    let lost = std::fs::read_dir(Path::new(aside).join("lost"))?.next().is_some();
    LOSSES.store(lost, Ordering::SeqCst);
    let _ = STABLE.set((state, stable));
    Ok(())
}

pub fn fail(local: Local) {
    STRUCK.store(0, Ordering::SeqCst);
    match local {
        Local::Syncs(times) => SYNCS_TO_FAIL.store(times, Ordering::SeqCst),
        Local::Writes(times) => WRITES_TO_FAIL.store(times, Ordering::SeqCst),
    }
}

/// The disk is well again; how often it was not.
pub fn heal() -> u32 {
    SYNCS_TO_FAIL.store(0, Ordering::SeqCst);
    WRITES_TO_FAIL.store(0, Ordering::SeqCst);
    STRUCK.swap(0, Ordering::SeqCst)
}

/// Takes one of the failures that are still to come.
fn strikes(left: &AtomicU32) -> bool {
    let struck = left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok();
    if struck {
        STRUCK.fetch_add(1, Ordering::SeqCst);
    }
    struck
}

/// The path of an open file below the state directory that still has a name.
fn inside(fd: c_int) -> Option<(PathBuf, &'static Stable)> {
    let (state, stable) = STABLE.get()?;
    let path = std::fs::read_link(format!("/proc/self/fd/{fd}")).ok()?;
    (path.starts_with(state) && path.exists()).then_some((path, stable))
}

fn errno(number: c_int) -> c_int {
    // SAFETY: the C library's address of this thread's errno is always good.
    unsafe { *libc::__errno_location() = number };
    -1
}

fn sync(fd: c_int) -> c_int {
    let Some((path, stable)) = inside(fd) else { return 0 };
    let noted = if strikes(&SYNCS_TO_FAIL) {
        LOSSES.store(true, Ordering::SeqCst);
        stable.failed(&path).map(|()| errno(libc::EIO))
    } else {
        stable.synced(&path).map(|()| 0)
    };
    noted.unwrap_or_else(|_| errno(libc::EIO))
}

#[unsafe(no_mangle)]
extern "C" fn fsync(fd: c_int) -> c_int {
    sync(fd)
}

#[unsafe(no_mangle)]
extern "C" fn fdatasync(fd: c_int) -> c_int {
    sync(fd)
}

#[unsafe(no_mangle)]
unsafe extern "C" fn pwrite64(fd: c_int, bytes: *const c_void, length: size_t, offset: off64_t) -> ssize_t {
    if WRITES_TO_FAIL.load(Ordering::SeqCst) > 0
        && inside(fd).is_some_and(|(path, _)| path.extension().is_some_and(|end| end == "data"))
        && strikes(&WRITES_TO_FAIL)
    {
        return errno(libc::ENOSPC) as ssize_t;
    }
    // SAFETY: the caller's own arguments, handed on to the kernel.
    let written = unsafe { libc::syscall(libc::SYS_pwrite64, fd, bytes, length, offset) } as ssize_t;
    note_written(fd, offset, written);
    written
}

#[unsafe(no_mangle)]
unsafe extern "C" fn write(fd: c_int, bytes: *const c_void, length: size_t) -> ssize_t {
    // SAFETY: the caller's own arguments, handed on to the kernel.
    let written = unsafe { libc::syscall(libc::SYS_write, fd, bytes, length) } as ssize_t;
    if LOSSES.load(Ordering::SeqCst) && written > 0 && inside(fd).is_some() {
        // SAFETY: no memory is involved.
        let end = unsafe { libc::lseek64(fd, 0, libc::SEEK_CUR) };
        note_written(fd, end - written as off64_t, written);
    }
    written
}

fn note_written(fd: c_int, offset: off64_t, written: ssize_t) {
    if LOSSES.load(Ordering::SeqCst)
        && written > 0
        && let Some((path, stable)) = inside(fd)
    {
        let _ = stable.wrote(&path, offset as u64, written as usize);
    }
}
