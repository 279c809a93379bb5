//! Seals: texts this Hub gave out and recognises again, without keeping a list of them.
//!
//! A sealed text carries the instant it was given out; [`Seals::expire_all`] makes everything given out
//! before now invalid, which is how a test expires tokens and URLs at once.

use std::sync::atomic::{AtomicI64, Ordering};

use sha2::{Digest, Sha256};

use crate::clock::now_ms;

/// One kind of sealed text.
pub struct Seals {
    secret: [u8; 32],
    purpose: &'static str,
    /// Given out at or before this instant (ms) is void.
    void_until: AtomicI64,
}

/// Why a seal is refused.
#[derive(Debug, PartialEq, Eq)]
pub enum SealFault {
    Forged,
    Expired,
}

impl Seals {
    pub fn new(secret: [u8; 32], purpose: &'static str) -> Self {
        Self { secret, purpose, void_until: AtomicI64::new(0) }
    }

    /// A mark that proves `text` (which must carry `issued_ms` and `expires_ms` itself) was given out here.
    pub fn mark(&self, text: &str, issued_ms: i64, expires_ms: i64) -> String {
        let mut digest = Sha256::new();
        // Length-prefixed by construction: secret and purpose are of fixed size for one kind.
        digest.update(self.secret);
        digest.update(self.purpose);
        digest.update(format!("\0{issued_ms}\0{expires_ms}\0{text}"));
        digest.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect()
    }

    /// Whether `mark` was given out for `text`, and is still good.
    pub fn check(&self, text: &str, issued_ms: i64, expires_ms: i64, mark: &str) -> Result<(), SealFault> {
        if self.mark(text, issued_ms, expires_ms) != mark {
            return Err(SealFault::Forged);
        }
        if expires_ms <= now_ms() || issued_ms <= self.void_until.load(Ordering::Relaxed) {
            return Err(SealFault::Expired);
        }
        Ok(())
    }

    /// Voids everything given out up to now. Waits out the current millisecond, so that what is given
    /// out after the return is good.
    pub fn expire_all(&self) {
        let now = now_ms();
        self.void_until.store(now, Ordering::Relaxed);
        while now_ms() <= now {
            std::thread::sleep(std::time::Duration::from_micros(200));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seal_is_good_until_it_expires_and_only_for_its_text() {
        let seals = Seals::new([7; 32], "test");
        let (issued, expires) = (now_ms(), now_ms() + 60_000);
        let mark = seals.mark("text", issued, expires);
        assert_eq!(seals.check("text", issued, expires, &mark), Ok(()));
        assert_eq!(seals.check("other", issued, expires, &mark), Err(SealFault::Forged));
        assert_eq!(seals.check("text", issued, expires + 1, &mark), Err(SealFault::Forged));
        assert_eq!(Seals::new([7; 32], "else").check("text", issued, expires, &mark), Err(SealFault::Forged));
        let past = seals.mark("text", 1, 2);
        assert_eq!(seals.check("text", 1, 2, &past), Err(SealFault::Expired));
        seals.expire_all();
        assert_eq!(seals.check("text", issued, expires, &mark), Err(SealFault::Expired));
        let (issued, expires) = (now_ms(), now_ms() + 60_000);
        assert_eq!(seals.check("text", issued, expires, &seals.mark("text", issued, expires)), Ok(()));
    }
}
