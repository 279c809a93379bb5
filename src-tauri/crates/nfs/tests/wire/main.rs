//! The server on the wire, against an in-memory reference file system and an independent client.

mod memory_fs;
