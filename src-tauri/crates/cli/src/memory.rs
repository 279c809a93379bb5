//! glibc's memory, held to what is in use.
//!
//! Of itself glibc raises the size from which memory comes straight from the system, and goes back there when it is
//! freed, to the largest piece it has seen: 16 MiB of an upload, say. From then on each of its many arenas keeps such
//! pieces: after an upload of 500 MB 290 MiB, for good, where 110 were in use at most. A fixed size ends that. It is
//! read when a program starts, and only from the environment.

use std::os::unix::process::CommandExt;
use std::process::Command;

const SETTING: &str = "MALLOC_MMAP_THRESHOLD_";
/// More than a READ's or WRITE's bytes, which come and go too often for that; less than what a transfer holds.
const BYTES: &str = "2097152";

/// Says that this program was started anew already: where the C library takes its own settings out of the environment
/// (a program with rights of its own), it would be for ever.
const HELD: &str = "BUCKETBAR_MEMORY_HELD";

/// Starts this program anew, as the same process, with the setting; returns where it is set, or cannot be.
pub fn hold() {
    if [SETTING, HELD].into_iter().any(|name| std::env::var_os(name).is_some()) {
        return;
    }
    let Ok(program) = std::env::current_exe() else { return };
    let mut arguments = std::env::args_os();
    let name = arguments.next().unwrap_or_else(|| program.clone().into_os_string());
    let failed = Command::new(program).arg0(name).args(arguments).env(SETTING, BYTES).env(HELD, "1").exec();
    // No harm but for the memory.
    eprintln!("bucketbarctl: memory stays as the system manages it ({failed}).");
}
