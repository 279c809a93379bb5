//! A local disk that fails: `pwrite64` and `fdatasync` of this process, which the linker takes before the C
//! library's. Only files named `*.data` and `*.log` in a folder that a test named are touched.

use std::ffi::{c_int, c_void};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// What goes wrong in one folder.
#[derive(Debug, Default)]
struct Trouble {
    folder: PathBuf,
    writes: Failing,
    syncs: Failing,
}

#[derive(Debug, Default)]
struct Failing {
    /// So many go well first.
    after: u32,
    times: u32,
    errno: c_int,
    struck: u32,
}

static TROUBLES: Mutex<Vec<Trouble>> = Mutex::new(Vec::new());

/// The disk below a folder.
pub struct Disk(PathBuf);

impl Disk {
    pub fn at(folder: &Path) -> Disk {
        let folder = folder.canonicalize().unwrap();
        TROUBLES.lock().unwrap().push(Trouble { folder: folder.clone(), ..Trouble::default() });
        Disk(folder)
    }

    /// `times` writes of data fail, after `after` that do not.
    pub fn fail_writes(&self, errno: c_int, after: u32, times: u32) {
        self.with(|trouble| trouble.writes = Failing { after, times, errno, struck: 0 });
    }

    pub fn fail_syncs(&self, times: u32) {
        self.with(|trouble| trouble.syncs = Failing { after: 0, times, errno: libc::EIO, struck: 0 });
    }

    /// The disk is well again. How many writes and syncs failed.
    pub fn heal(&self) -> (u32, u32) {
        self.with(|trouble| {
            let (writes, syncs) = (std::mem::take(&mut trouble.writes), std::mem::take(&mut trouble.syncs));
            (writes.struck, syncs.struck)
        })
    }

    fn with<T>(&self, work: impl FnOnce(&mut Trouble) -> T) -> T {
        let mut troubles = TROUBLES.lock().unwrap();
        work(troubles.iter_mut().find(|trouble| trouble.folder == self.0).unwrap())
    }
}

impl Failing {
    fn strikes(&mut self) -> Option<c_int> {
        if self.after > 0 {
            self.after -= 1;
            return None;
        }
        self.times = self.times.checked_sub(1)?;
        self.struck += 1;
        Some(self.errno)
    }
}

fn strikes(fd: c_int, ends: &[&str], which: impl Fn(&mut Trouble) -> &mut Failing) -> Option<c_int> {
    let mut troubles = TROUBLES.lock().unwrap_or_else(PoisonError::into_inner);
    if troubles.is_empty() {
        return None;
    }
    let path = std::fs::read_link(format!("/proc/self/fd/{fd}")).ok()?;
    if !path.extension().is_some_and(|end| ends.iter().any(|wanted| end == *wanted)) {
        return None;
    }
    which(troubles.iter_mut().find(|trouble| path.starts_with(&trouble.folder))?).strikes()
}

fn failed(errno: c_int) -> c_int {
    // SAFETY: the C library's address of this thread's errno is always good.
    unsafe { *libc::__errno_location() = errno };
    -1
}

#[unsafe(no_mangle)]
extern "C" fn fdatasync(fd: c_int) -> c_int {
    match strikes(fd, &["data", "log"], |trouble| &mut trouble.syncs) {
        Some(errno) => failed(errno),
        // SAFETY: no memory is involved.
        None => unsafe { libc::syscall(libc::SYS_fdatasync, fd) as c_int },
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn pwrite64(fd: c_int, bytes: *const c_void, length: usize, offset: i64) -> isize {
    match strikes(fd, &["data"], |trouble| &mut trouble.writes) {
        Some(errno) => failed(errno) as isize,
        // SAFETY: the caller's own arguments, handed on to the kernel.
        None => unsafe { libc::syscall(libc::SYS_pwrite64, fd, bytes, length, offset) as isize },
    }
}
