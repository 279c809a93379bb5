//! The Hugging Face Hub as BucketBar needs it: who is signed in, buckets, their names, and their bytes.
//!
//! ```text
//! Hub ── account, buckets as wholes          http: one exchange: token, redirects, deadlines, words
//!  └ Bucket ── tree (listings)               xet/tokens:  read and write tokens of the storage
//!     (or a repo at a revision, read only)   repo: which commit is shown; blob: files outside Xet
//!            ── batch (changes of names)     xet/plans:   where a file's bytes are, kept
//!            ── watch (changes elsewhere)    feed
//!            ── read, upload, upload_ranges  xet/read, xet/upload
//! OAuthApp ── sign-in, and SignedIn, which keeps it fresh
//! ```
//!
//! Facts about the wire are in hub-api.md. What holds everywhere:
//! - the Hub's token goes to the Hub's origin only (`http`);
//! - every call ends in bounded time ([`Limits`]) with a classed [`HubError`];
//! - Xet's files stay below `cache_root`; its telemetry is off.

#![forbid(unsafe_code)]

mod account;
mod address;
mod batch;
mod blob;
mod bucket;
mod bucket_name;
mod config;
mod error;
mod feed;
mod http;
mod hub;
mod oauth;
mod reach;
mod repo;
mod repo_name;
mod server_events;
mod single_flight;
mod store_name;
mod token;
mod trail;
mod tree;
mod xet;

pub use account::{Account, Organization};
pub use batch::{BatchFailure, BatchOp, BatchOutcome};
pub use blob::blob_oid;
pub use bucket::Bucket;
pub use bucket_name::BucketName;
pub use config::{HubConfig, Limits};
pub use error::{ErrorClass, ErrorCode, HubError};
pub use feed::{ChangeKind, News, RemoteChange, Resume, Watch};
pub use hub::{BucketInfo, CreatedBucket, Hub};
pub use oauth::{
    BrowserSignIn, DeviceSignIn, FileSecrets, Grant, GrantLock, OAuthApp, SCOPES, SecretStore, SignedIn,
};
pub use reach::Reached;
pub use repo::{Commit, Refs, RepoRow};
pub use repo_name::{RepoKind, RepoName};
pub use store_name::StoreName;
pub use token::{
    StaticToken, TokenFile, TokenSource, discover_endpoint, discover_token, discover_token_with,
    parse_endpoint,
};
pub use tree::{FileEntry, Pages, TreeEntry};
pub use url::Url;
pub use xet::{Asking, ByteStream, DirtyRange, UploadSession, Uploaded};
