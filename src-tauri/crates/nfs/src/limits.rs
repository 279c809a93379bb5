//! Every bound of the server in one place.

use std::time::Duration;

/// The largest READ and WRITE offered and taken, bytes (FSINFO `rtmax`, `wtmax`).
pub const MAX_TRANSFER: u32 = 1 << 20;

/// The largest file size, bytes (FSINFO `maxfilesize`): offsets stay positive as `i64`.
pub const MAX_FILE_SIZE: u64 = i64::MAX as u64;

/// The longest name of one directory entry, bytes (PATHCONF `name_max`).
pub const MAX_NAME: usize = 255;

/// The longest target of a symbolic link, bytes (Linux' PATH_MAX; macOS stops at 1024 by itself).
pub const MAX_LINK_TARGET: usize = 4096;

/// The preferred size of a READDIR, bytes (FSINFO `dtpref`).
pub const PREFERRED_LISTING: u32 = 64 << 10;

/// What a peer may take of the server.
///
/// The defaults fit one kernel's mount: macOS keeps up to 128 WRITEs of 1 MiB in flight and may be idle for
/// hours.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Bytes of one record, all fragments together. A longer one ends its connection.
    pub record: usize,
    /// Fragments of one record: bounds the work that empty fragments can cause.
    pub fragments: usize,
    /// Connections open at once. One more ends the one that proved least and was silent longest.
    pub connections: usize,
    /// Calls in flight on one connection; beyond it the connection is not read.
    pub calls: usize,
    /// Bytes of calls and of their expected replies in flight on one connection; same consequence.
    pub bytes: usize,
    /// Time for a record to be complete once its first byte is here.
    pub record_time: Duration,
    /// Time without any record after which a connection is closed (kernels reconnect by themselves).
    pub idle_time: Duration,
    /// Time a peer may refuse to take any byte of a reply.
    pub write_stall: Duration,
    /// Last resort for calls that change nothing: after it the answer is JUKEBOX. The file system's own
    /// deadlines are shorter.
    pub call_time: Duration,
    /// Time for calls in flight to end, and their answers to leave, when a connection or the server ends.
    pub drain_time: Duration,
    /// How long the answer of a call that must not run twice is kept.
    pub replies_kept: Duration,
    /// How many such answers are kept.
    pub replies: usize,
    /// Bytes of such answers.
    pub reply_bytes: usize,
    /// Free record buffers kept for the next large WRITEs.
    pub spare_buffers: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            record: MAX_TRANSFER as usize + (16 << 10),
            fragments: 1024,
            connections: 64,
            calls: 512,
            bytes: 160 << 20,
            record_time: Duration::from_secs(30),
            idle_time: Duration::from_secs(15 * 60),
            write_stall: Duration::from_secs(60),
            call_time: Duration::from_secs(20),
            drain_time: Duration::from_secs(3),
            replies_kept: Duration::from_secs(5 * 60),
            replies: 16 << 10,
            reply_bytes: 8 << 20,
            spare_buffers: 16,
        }
    }
}
