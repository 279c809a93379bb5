//! The read side against a deterministic network and a real disk.

mod disk;
mod network;
mod property;
mod reading;

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hub::HubError;

use self::network::{Network, Wire, content, hash};
use super::Content;

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;

/// More than any test reads.
const AMPLE: u64 = 4 << 30;

async fn open(dir: &Path, limit: u64, network: &Arc<Network>) -> Arc<Content> {
    Arc::new(Content::open(dir, &dir.join("kept"), limit, Arc::new(Wire(network.clone()))).await.unwrap())
}

/// Reads and says whether the bytes are right; a wrong one ends the test.
async fn check(on: &Content, seed: u64, size: u64, range: Range<u64>) -> Result<(), HubError> {
    let hash = hash(seed);
    let parts = on.read(&hash, size, range.clone()).await?;
    let expected = content(&hash, range.clone());
    let mut at = 0;
    for part in &parts {
        assert_eq!(*part, expected.slice(at..at + part.len()), "wrong bytes at {at} of {range:?}");
        at += part.len();
    }
    assert_eq!(at, expected.len(), "{range:?} came with a wrong length");
    Ok(())
}

/// Waits until `reached`, at most ten seconds.
async fn until(what: &str, mut reached: impl FnMut() -> bool) {
    for _ in 0..2000 {
        if reached() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("never reached: {what}");
}

/// Waits until nothing is being fetched or stored.
async fn quiet(on: &Content) {
    let carrier = on.carrier.clone();
    until("quiet", || on.stats().fetches_in_flight == 0 && carrier.flights.with(|table| table.is_empty()))
        .await;
}

fn joined(parts: &[Bytes]) -> Vec<u8> {
    parts.concat()
}
