//! One reply, without record mark and xid.

use bytes::Bytes;

use crate::xdr::Out;

/// Everything after the xid: a head, and READ's data as the file system gave it. The padding after the data
/// is the writer's business.
#[derive(Debug, Clone, Default)]
pub struct Reply {
    pub head: Bytes,
    pub data: Vec<Bytes>,
}

impl Reply {
    pub fn with_data(head: Out, data: Vec<Bytes>) -> Self {
        Reply { head: head.0.into(), data }
    }
}

impl From<Out> for Reply {
    fn from(out: Out) -> Self {
        Reply { head: out.0.into(), data: Vec::new() }
    }
}

impl From<Bytes> for Reply {
    fn from(head: Bytes) -> Self {
        Reply { head, data: Vec::new() }
    }
}
