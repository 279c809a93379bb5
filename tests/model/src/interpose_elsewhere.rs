//! Where nothing can stand between a program and its disk: the tests of this crate run on Linux only.

use std::io;

use model::protocol::Local;

pub fn begin(_: &str, _: &str) -> io::Result<()> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "the model's disk is Linux' only"))
}

pub fn fail(_: Local) {}

pub fn heal() -> u32 {
    0
}
