//! The write verifier (RFC 1813 3.3.21): one value for every file of a bucket, as long as no sync has failed.
//!
//! Rule: it moves before anybody else can sync the bytes that a failed sync has lost, and a COMMIT is answered with
//! what it is *after* its own sync. Then nobody who was acknowledged before the failure hears the old value again.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::{Error, ErrorKind, Result};

pub struct Epoch(AtomicU64);

impl Epoch {
    /// No verifier of an earlier life is given again.
    pub fn open() -> Result<Self> {
        let random = getrandom::u64()
            .map_err(|error| Error::new(ErrorKind::LocalDisk, format!("no random bytes ({error})")))?;
        Ok(Epoch(AtomicU64::new(random | 1)))
    }

    /// Never zero.
    pub fn verifier(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }

    /// A sync failed: clients must send everything uncommitted again. Answers the new verifier.
    pub fn begin(&self) -> u64 {
        let next = getrandom::u64().unwrap_or_else(|_| self.verifier().wrapping_add(2)) | 1;
        self.0.store(next, Ordering::Release);
        next
    }
}
