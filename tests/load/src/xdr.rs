//! The few XDR words (RFC 4506) that the calls of this generator are made of.

use anyhow::{Result, ensure};
use bytes::{Buf, Bytes};

/// Builds arguments.
#[derive(Default)]
pub struct Out(pub Vec<u8>);

impl Out {
    pub fn u32(&mut self, value: u32) -> &mut Self {
        self.0.extend_from_slice(&value.to_be_bytes());
        self
    }

    pub fn u64(&mut self, value: u64) -> &mut Self {
        self.0.extend_from_slice(&value.to_be_bytes());
        self
    }

    pub fn opaque(&mut self, bytes: &[u8]) -> &mut Self {
        self.u32(bytes.len() as u32);
        self.0.extend_from_slice(bytes);
        self.0.resize(self.0.len().next_multiple_of(4), 0);
        self
    }
}

/// Reads results; a short reply is an error, never a panic.
pub struct In(pub Bytes);

impl In {
    pub fn u32(&mut self) -> Result<u32> {
        ensure!(self.0.len() >= 4, "the reply is too short");
        Ok(self.0.get_u32())
    }

    pub fn u64(&mut self) -> Result<u64> {
        ensure!(self.0.len() >= 8, "the reply is too short");
        Ok(self.0.get_u64())
    }

    pub fn opaque(&mut self) -> Result<Bytes> {
        let length = self.u32()? as usize;
        let padded = length.next_multiple_of(4);
        ensure!(self.0.len() >= padded, "the reply is too short");
        let bytes = self.0.split_to(length);
        self.0.advance(padded - length);
        Ok(bytes)
    }

    pub fn skip(&mut self, bytes: usize) -> Result<()> {
        ensure!(self.0.len() >= bytes, "the reply is too short");
        self.0.advance(bytes);
        Ok(())
    }

    /// post_op_attr; gives the size.
    pub fn attributes(&mut self) -> Result<Option<u64>> {
        if self.u32()? == 0 {
            return Ok(None);
        }
        self.skip(20)?; // type, mode, nlink, uid, gid
        let size = self.u64()?;
        self.skip(84 - 28)?;
        Ok(Some(size))
    }

    /// wcc_data.
    pub fn wcc(&mut self) -> Result<()> {
        if self.u32()? != 0 {
            self.skip(24)?;
        }
        self.attributes()?;
        Ok(())
    }

    /// post_op_fh3.
    pub fn handle(&mut self) -> Result<Option<Bytes>> {
        Ok(if self.u32()? == 0 { None } else { Some(self.opaque()?) })
    }
}
