//! Any mix of reads, readers that go away, broken lines, evictions, damage and restarts gives right bytes
//! or an error, and right bytes once the line is good.

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use proptest::prelude::*;

use super::network::{Network, Weather};
use super::{KIB, MIB, check, open, quiet};
use crate::content::Content;

const SIZES: [u64; 5] = [1, 70_000, 511 * KIB, 2 * MIB + 1, 9 * MIB];

#[derive(Clone, Debug)]
enum Deed {
    /// Reads at once: file, start and length in 1/1000 of the file, whether the reader goes away.
    Read(Vec<(usize, u64, u64, bool)>),
    Breaks(u64),
    Ends(u64),
    Damage(u64),
    Free(u64),
    Restart,
}

fn deed() -> impl Strategy<Value = Deed> {
    let read = (0..SIZES.len(), 0..1000u64, 0..400u64, prop::bool::weighted(0.15));
    prop_oneof![
        8 => prop::collection::vec(read, 1..12).prop_map(Deed::Read),
        2 => (0..2 * MIB).prop_map(Deed::Breaks),
        1 => (0..2 * MIB).prop_map(Deed::Ends),
        1 => (0..8 * MIB).prop_map(Deed::Damage),
        1 => (1..8 * MIB).prop_map(Deed::Free),
        1 => Just(Deed::Restart),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn every_byte_is_right(deeds in prop::collection::vec(deed(), 1..24), small in any::<bool>()) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(live(&deeds, if small { 3 * MIB } else { 64 * MIB }));
    }
}

async fn live(deeds: &[Deed], limit: u64) {
    let dir = tempfile::tempdir().unwrap();
    let network = Network::with_latency(1);
    let mut on = open(dir.path(), limit, &network).await;
    for deed in deeds {
        match deed {
            Deed::Read(reads) => drop(join_all(reads.iter().map(|read| one_read(&on, *read))).await),
            Deed::Breaks(after) => network.next(Weather { fail_after: Some(*after), ..Weather::default() }),
            Deed::Ends(after) => network.next(Weather { end_after: Some(*after), ..Weather::default() }),
            Deed::Damage(at) => damage(dir.path(), *at),
            Deed::Free(bytes) => drop(on.free(*bytes).await),
            Deed::Restart => {
                on.close().await;
                on = open(dir.path(), limit, &network).await;
            }
        }
    }
    network.coming.lock().clear();
    quiet(&on).await;
    for (seed, size) in SIZES.iter().enumerate() {
        check(&on, seed as u64, *size, 0..*size).await.unwrap();
    }
}

async fn one_read(on: &Arc<Content>, (file, start, len, goes_away): (usize, u64, u64, bool)) {
    let size = SIZES[file];
    let start = size * start / 1000;
    let range = start..(start + (size * len / 1000).max(1)).min(size);
    let reading = check(on, file as u64, size, range);
    if goes_away {
        let _ = tokio::time::timeout(Duration::from_micros(700), reading).await;
    } else {
        let _ = reading.await;
    }
}

/// Flips a byte of some segment.
fn damage(dir: &Path, at: u64) {
    for entry in fs::read_dir(dir.join("segments")).unwrap().flatten() {
        let Ok(file) = fs::OpenOptions::new().read(true).write(true).open(entry.path()) else { continue };
        let len = file.metadata().map_or(0, |metadata| metadata.len());
        let mut byte = [0u8];
        if len > 0 && file.read_exact_at(&mut byte, at % len).is_ok() {
            let _ = file.write_all_at(&[!byte[0]], at % len);
        }
    }
}
