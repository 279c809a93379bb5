//! Buffers for large records, used again: fresh ones would cost a page fault per 4 KiB of every WRITE.

use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;

/// Buffers of one size, lent to records and given back when the last slice of the record is dropped.
pub struct BufferPool {
    size: usize,
    keep: usize,
    spare: Mutex<Vec<Box<[u8]>>>,
}

impl BufferPool {
    /// Lends buffers of `size` bytes and keeps at most `keep` unused ones.
    pub fn new(size: usize, keep: usize) -> Self {
        BufferPool { size, keep, spare: Mutex::new(Vec::new()) }
    }

    /// A buffer of at least `length` bytes, whatever is in them. Small ones are not worth pooling.
    pub fn take(self: &Arc<Self>, length: usize) -> Buffer {
        if length > self.size || length < self.size / 4 {
            return Buffer { bytes: vec![0; length].into(), pool: None };
        }
        let spare = self.spare.lock().pop();
        let bytes = spare.unwrap_or_else(|| vec![0; self.size].into());
        Buffer { bytes, pool: Some(Arc::clone(self)) }
    }

    #[cfg(test)]
    pub fn spare(&self) -> usize {
        self.spare.lock().len()
    }
}

/// A lent buffer.
pub struct Buffer {
    bytes: Box<[u8]>,
    pool: Option<Arc<BufferPool>>,
}

impl Buffer {
    pub fn as_mut_slice(&mut self) -> &mut [u8] {
        &mut self.bytes
    }

    /// Its first `length` bytes, shareable; the buffer goes back with the last share.
    pub fn freeze(self, length: usize) -> Bytes {
        Bytes::from_owner(self).slice(..length)
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let Some(pool) = self.pool.take() else { return };
        let bytes = std::mem::take(&mut self.bytes);
        let mut spare = pool.spare.lock();
        if spare.len() < pool.keep {
            spare.push(bytes);
        }
    }
}
