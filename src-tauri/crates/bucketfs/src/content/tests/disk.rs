//! What a disk, a crash or another program can do to the cache.

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::network::{Network, Weather};
use super::{AMPLE, KIB, MIB, check, open, quiet};

const SIZE: u64 = 20 * MIB + 99;

fn segment_files(dir: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = fs::read_dir(dir.join("segments")).unwrap().map(|e| e.unwrap().path()).collect();
    files.sort();
    files
}

fn bytes_in(dir: &Path) -> u64 {
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap());
    entries
        .map(|entry| match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => bytes_in(&entry.path()),
            Ok(metadata) => metadata.len(),
            Err(_) => 0,
        })
        .sum()
}

fn offline() -> Arc<Network> {
    let network = Arc::new(Network::default());
    network.usual.lock().fail_after = Some(0);
    network
}

/// A cache in `dir` that holds all of content 1, closed.
async fn filled(dir: &Path) {
    let network = Network::with_latency(0);
    let on = open(dir, AMPLE, &network).await;
    check(&on, 1, SIZE, 0..SIZE).await.unwrap();
    quiet(&on).await;
    on.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_keeps_everything() {
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path()).await;
    let on = open(dir.path(), AMPLE, &offline()).await;
    check(&on, 1, SIZE, 0..SIZE).await.unwrap();
    assert!(on.stats().bytes_on_disk >= SIZE);
    assert_eq!(on.stats().fetches, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_process_leaves_a_cache_that_serves_what_was_stored() {
    let dir = tempfile::tempdir().unwrap();
    let network = Network::with_latency(0);
    let on = open(&dir.path().join("live"), AMPLE, &network).await;
    check(&on, 1, SIZE, 0..SIZE).await.unwrap();
    quiet(&on).await;
    // What the next process finds after a kill: the files as they are, log and all.
    copy_all(&dir.path().join("live"), &dir.path().join("found"));
    let again = open(&dir.path().join("found"), AMPLE, &offline()).await;
    check(&again, 1, SIZE, 0..SIZE).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bytes_damaged_on_disk_are_found_and_fetched_again() {
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path()).await;
    for file in segment_files(dir.path()) {
        let file = fs::OpenOptions::new().write(true).open(file).unwrap();
        for at in [0, 70_000, 3_000_000] {
            file.write_all_at(&[0xee], at).unwrap();
        }
    }
    let network = Network::with_latency(0);
    let on = open(dir.path(), AMPLE, &network).await;
    check(&on, 1, SIZE, 0..SIZE).await.unwrap();
    assert!(on.stats().damaged >= 3);
    assert_eq!(network.bytes_sent(), on.stats().damaged * 64 * KIB, "only damaged blocks are fetched");
    quiet(&on).await;
    let before = network.call_count();
    check(&on, 1, SIZE, 0..SIZE).await.unwrap();
    assert_eq!(network.call_count(), before, "the repaired blocks are kept");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_truncated_or_missing_segment_costs_a_fetch_only() {
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path()).await;
    let files = segment_files(dir.path());
    fs::OpenOptions::new().write(true).open(&files[0]).unwrap().set_len(5 * MIB + 1).unwrap();
    let network = Network::with_latency(0);
    let on = open(dir.path(), AMPLE, &network).await;
    check(&on, 1, SIZE, 0..SIZE).await.unwrap();
    assert!(network.call_count() > 0);
    quiet(&on).await;
    on.close().await;
    drop(on);
    for file in segment_files(dir.path()) {
        fs::remove_file(file).unwrap();
    }
    let network = Network::with_latency(0);
    let on = open(dir.path(), AMPLE, &network).await;
    assert_eq!(on.stats().bytes_on_disk, 0);
    check(&on, 1, SIZE, 0..SIZE).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_index_that_lies_gives_no_wrong_byte() {
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path()).await;
    {
        // Each block's row now leads to the next block's bytes and their very checksum.
        let index = rusqlite::Connection::open(dir.path().join("index.db")).unwrap();
        let mut query = index
            .prepare("SELECT number, segment, start, length, checksum FROM blocks ORDER BY number")
            .unwrap();
        let rows: Vec<(u32, u32, u32, u32, i64)> = query
            .query_map([], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?, r.get(3)?, r.get(4)?)))
            .unwrap()
            .collect::<Result<_, _>>()
            .unwrap();
        for pair in rows[..100].windows(2) {
            let (_, segment, start, length, checksum) = pair[1];
            index
                .execute(
                    "UPDATE blocks SET segment = ?2, start = ?3, length = ?4, checksum = ?5 WHERE number = ?1",
                    (pair[0].0, segment, start, length, checksum),
                )
                .unwrap();
        }
    }
    let network = Network::with_latency(0);
    let on = open(dir.path(), AMPLE, &network).await;
    check(&on, 1, SIZE, 0..SIZE).await.unwrap();
    assert!(on.stats().damaged >= 99, "{}", on.stats().damaged);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_index_begins_an_empty_cache() {
    for (from, garbage) in [(0, 100), (4096, 40_000)] {
        let dir = tempfile::tempdir().unwrap();
        filled(dir.path()).await;
        let index = fs::OpenOptions::new().write(true).open(dir.path().join("index.db")).unwrap();
        index.write_all_at(&vec![0xa5; garbage], from).unwrap();
        drop(index);
        let network = Network::with_latency(0);
        let on = open(dir.path(), AMPLE, &network).await;
        check(&on, 1, SIZE, 0..SIZE).await.unwrap();
        quiet(&on).await;
        check(&on, 2, SIZE, 0..SIZE).await.unwrap();
        quiet(&on).await;
        let calls = network.call_count();
        check(&on, 2, SIZE, 0..SIZE).await.unwrap();
        assert_eq!(network.call_count(), calls, "garbage at {from}: the cache works again");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_limit_holds_and_what_is_used_stays() {
    let dir = tempfile::tempdir().unwrap();
    let network = Network::with_latency(0);
    let limit = 48 * MIB;
    let on = open(dir.path(), limit, &network).await;
    check(&on, 1, 4 * MIB, 0..4 * MIB).await.unwrap();
    quiet(&on).await;
    let mut most = 0;
    for seed in 2..14 {
        for piece in 0..20 {
            check(&on, seed, SIZE, piece * MIB..(piece + 1) * MIB).await.unwrap();
            check(&on, 1, 4 * MIB, 0..4 * MIB).await.unwrap();
            most = most.max(bytes_in(dir.path()));
        }
    }
    quiet(&on).await;
    // The index's log (4 MiB between checkpoints) comes on top, briefly.
    assert!(most <= limit + 6 * MIB, "{most} bytes on disk");
    assert!(on.stats().bytes_on_disk > limit / 2, "the cache is used: {}", on.stats().bytes_on_disk);
    let again = network.calls.lock().iter().filter(|(hash, _)| *hash == super::hash(1)).count();
    assert_eq!(again, 1, "what is read all the time was evicted");
    on.close().await;
    drop(on);
    let on = open(dir.path(), 10 * MIB, &network).await;
    assert!(on.stats().bytes_on_disk <= 10 * MIB, "a lower limit takes effect at the next start");
    assert!(on.free(5 * MIB).await >= 5 * MIB);
    assert!(on.stats().bytes_on_disk <= 5 * MIB, "space is given back on demand");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cache_without_room_still_reads() {
    for limit in [0, 100 * KIB, MIB] {
        let dir = tempfile::tempdir().unwrap();
        let network = Network::with_latency(0);
        let on = open(dir.path(), limit, &network).await;
        check(&on, 1, SIZE, 0..SIZE).await.unwrap();
        for at in (0..MIB).step_by(4096) {
            check(&on, 2, SIZE, at..at + 4096).await.unwrap();
        }
        quiet(&on).await;
        assert!(on.stats().bytes_on_disk <= limit);
    }
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_fails_no_read_and_doesnt_multiply_fetches() {
    let dir = tempfile::tempdir().unwrap();
    let network = Network::with_latency(0);
    let on = open(dir.path(), AMPLE, &network).await;
    // Segments to come lie on a device that is always full.
    for id in 1..200 {
        let segment = dir.path().join(format!("segments/{id:08x}.segment"));
        std::os::unix::fs::symlink("/dev/full", segment).unwrap();
    }
    let size = 64 * MIB;
    for at in (0..size).step_by(4096) {
        check(&on, 1, size, at..at + 4096).await.unwrap();
    }
    quiet(&on).await;
    assert!(on.stats().not_kept > 0, "the disk was not full");
    assert!(network.bytes_sent() <= size / 100 * 110, "{} bytes for {size}", network.bytes_sent());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_vanished_directory_fails_no_read() {
    let dir = tempfile::tempdir().unwrap();
    let network = Network::with_latency(0);
    let on = open(&dir.path().join("cache"), AMPLE, &network).await;
    check(&on, 1, SIZE, 0..SIZE / 2).await.unwrap();
    quiet(&on).await;
    fs::remove_dir_all(dir.path().join("cache")).unwrap();
    network.next(Weather::default());
    check(&on, 1, SIZE, 0..SIZE).await.unwrap();
    check(&on, 2, SIZE, 0..SIZE).await.unwrap();
}

fn copy_all(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(|entry| entry.unwrap()) {
        let target = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy_all(&entry.path(), &target),
            false => drop(fs::copy(entry.path(), target).unwrap()),
        }
    }
}

#[test]
fn a_small_read_of_what_was_read_lately_waits_for_no_other_thread() {
    let dir = tempfile::tempdir().unwrap();
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().max_blocking_threads(1).build().unwrap();
    runtime.block_on(async {
        let network = Network::with_latency(0);
        let on = open(dir.path(), AMPLE, &network).await;
        check(&on, 1, 4 * MIB, 0..4 * MIB).await.unwrap();
        quiet(&on).await;
        check(&on, 1, 4 * MIB, 0..4 * MIB).await.unwrap();
        let (release, held) = std::sync::mpsc::channel::<()>();
        let stuck = tokio::task::spawn_blocking(move || held.recv());
        for at in [0, 70_000, 3 * MIB] {
            let read = tokio::time::timeout(Duration::from_secs(5), check(&on, 1, 4 * MIB, at..at + 4096));
            read.await.expect("it waited for a thread").unwrap();
        }
        drop(release);
        let _ = stuck.await;
    });
}
