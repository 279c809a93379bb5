//! What a [`Hub`](crate::Hub) needs to know: where it is, who asks, where its files go, how long it
//! may take.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use url::Url;

use crate::token::TokenSource;

#[derive(Clone)]
pub struct HubConfig {
    /// The Hub's origin, `https://huggingface.co` unless HF_ENDPOINT says otherwise.
    pub endpoint: Url,
    pub token: Arc<dyn TokenSource>,
    /// Xet's own files (shard cache, staged shard metadata) go below here, nowhere else.
    pub cache_root: PathBuf,
    pub user_agent: String,
    pub limits: Limits,
}

/// Bounds. The defaults fit a mount: nothing may hold a kernel's read for minutes, and a laptop's
/// memory and disk are not ours.
#[derive(Clone, Debug)]
pub struct Limits {
    pub connect_timeout: Duration,
    /// One HTTP exchange with the Hub.
    pub request_timeout: Duration,
    /// One call of the Hub's API with its retries and waits.
    pub call_deadline: Duration,
    /// First wait between two tries; doubles, with jitter.
    pub retry_base: Duration,
    pub retry_max_tries: u32,
    /// Xet, reading: longest silence within one exchange, and the wait for the next bytes of a
    /// [`read`](crate::Bucket::read), retries included.
    pub read_idle: Duration,
    pub read_stall: Duration,
    /// Xet, writing: longest exchange (a xorb of up to 64 MiB over a slow line).
    pub upload_exchange: Duration,
    /// Longest time opening an upload (token, connection) may take.
    pub upload_open: Duration,
    /// Longest time a step of an upload (taking one block, finishing a file, storing the session's
    /// shard) may go on without a byte getting further. A slow line is not a standstill.
    pub upload_stall: Duration,
    /// Data of a read that may wait in memory, over all reads of one bucket.
    pub read_buffer: u64,
    /// What Xet puts together itself, because it is out of order, is planned and fetched in pieces of about this size.
    pub read_piece: u64,
    /// Memory for reconstruction plans of one bucket.
    pub plan_cache: u64,
    /// A plan at hand is used instead of a new one while it fetches at most this much too much.
    pub plan_overfetch: u64,
    /// Longest use of a plan; its signed addresses expire.
    pub plan_age: Duration,
    /// The feed of changes: first and longest wait before it is opened again after a failure, the
    /// silence after which it counts as dead (the Hub pings every 30 s), and how often the bucket's
    /// revision is looked at where there is no feed.
    pub feed_backoff: Duration,
    pub feed_longest_backoff: Duration,
    pub feed_silence: Duration,
    pub feed_poll: Duration,
    /// How often a repo's branch is looked at: repos have no feed.
    pub repo_poll: Duration,
    /// Disk for Xet's shard cache (what it remembers for deduplication).
    pub shard_cache: u64,
    /// One list of the Hub's (a folder, an account's buckets): its pages, and the bytes of all their answers. A page
    /// of 5,000 names is about 1.5 MB.
    pub list_pages: usize,
    pub list_bytes: u64,
    /// Bytes of one answer.
    pub answer: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            connect_timeout: Duration::from_secs(10),
            request_timeout: Duration::from_secs(30),
            call_deadline: Duration::from_secs(60),
            retry_base: Duration::from_millis(400),
            retry_max_tries: 4,
            read_idle: Duration::from_secs(15),
            read_stall: Duration::from_secs(45),
            upload_exchange: Duration::from_secs(300),
            upload_open: Duration::from_secs(60),
            upload_stall: Duration::from_secs(90),
            read_buffer: 256 << 20,
            read_piece: 16 << 20,
            plan_cache: 16 << 20,
            plan_overfetch: 1 << 20,
            plan_age: Duration::from_secs(50 * 60),
            feed_backoff: Duration::from_secs(10),
            feed_longest_backoff: Duration::from_secs(80),
            feed_silence: Duration::from_secs(90),
            feed_poll: Duration::from_secs(30),
            repo_poll: Duration::from_secs(60),
            shard_cache: 1 << 30,
            list_pages: 20_000,
            list_bytes: 4 << 30,
            answer: 64 << 20,
        }
    }
}
