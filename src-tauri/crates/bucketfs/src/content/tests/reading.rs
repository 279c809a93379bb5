//! How reads, fetches and read-ahead meet.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use futures_util::future::{join_all, try_join_all};
use futures_util::stream;
use hub::ErrorClass;

use super::network::{Network, Weather};
use super::{AMPLE, KIB, MIB, check, hash, joined, open, quiet, until};
use crate::content::Content;
use crate::content::block::{ContentKey, blocks_of};

/// What may wait in memory for a disk that takes nothing.
const MEMORY: u64 = 32 * MIB;

/// Reads all of a file in pieces, in the order `order` gives, `depth` of them at once.
async fn read_all(on: &Arc<Content>, seed: u64, size: u64, piece: u64, depth: usize, order: &[u64]) {
    let reads = order.iter().map(|number| {
        let range = number * piece..((number + 1) * piece).min(size);
        let on = on.clone();
        async move { check(&on, seed, size, range).await.unwrap() }
    });
    stream::iter(reads).buffer_unordered(depth).collect::<Vec<()>>().await;
}

fn in_order(size: u64, piece: u64) -> Vec<u64> {
    (0..size.div_ceil(piece)).collect()
}

/// As a kernel's worker threads send them: each within 15 of its place.
fn shuffled(size: u64, piece: u64) -> Vec<u64> {
    let mut order = in_order(size, piece);
    let mut dice = 88_172_645_463_325_252_u64;
    for window in order.chunks_mut(16) {
        for at in (1..window.len()).rev() {
            dice ^= dice << 13;
            dice ^= dice >> 7;
            dice ^= dice << 17;
            window.swap(at, (dice % (at as u64 + 1)) as usize);
        }
    }
    order
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn any_range_gives_the_contents_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let network = Network::with_latency(0);
    let on = open(dir.path(), AMPLE, &network).await;
    let size = 3 * MIB + 12_345;
    let ranges = [
        0..0,
        size..size,
        0..1,
        65_535..65_537,
        65_536..131_072,
        1_000_000..2_500_000,
        size - 1..size,
        0..size,
    ];
    for range in ranges {
        check(&on, 1, size, range).await.unwrap();
    }
    check(&on, 2, 5, 0..5).await.unwrap();
    check(&on, 3, 0, 0..0).await.unwrap();
}

#[tokio::test]
async fn a_range_beyond_the_end_and_a_hash_that_is_none_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let network = Network::with_latency(0);
    let on = open(dir.path(), AMPLE, &network).await;
    assert_eq!(on.read(&hash(1), 10, 5..11).await.unwrap_err().class, ErrorClass::Broken);
    assert_eq!(on.read("no hash", 10, 0..10).await.unwrap_err().class, ErrorClass::Broken);
    assert_eq!(network.call_count(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sequential_reading_fetches_each_byte_once_in_few_calls() {
    let size = 200 * MIB + 777;
    for (piece, depth, order) in [
        (MIB, 1, in_order(size, MIB)),
        (MIB, 16, in_order(size, MIB)),
        (MIB, 16, shuffled(size, MIB)),
        (32 * KIB, 4, in_order(size, 32 * KIB)),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let network = Network::with_latency(2);
        let on = open(dir.path(), AMPLE, &network).await;
        read_all(&on, 1, size, piece, depth, &order).await;
        quiet(&on).await;
        let (sent, calls) = (network.bytes_sent(), network.call_count());
        assert!(sent * 100 <= size * 105, "depth {depth}: {sent} bytes for {size}");
        assert!(calls <= 40, "depth {depth}, pieces of {piece}: {calls} calls");
        read_all(&on, 1, size, piece, depth, &order).await;
        assert_eq!(network.call_count(), calls, "a warm read asked the Hub");
        assert_eq!(on.stats().damaged, 0);
        on.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn read_ahead_hides_the_latency() {
    let dir = tempfile::tempdir().unwrap();
    let network = Network::with_latency(100);
    let on = open(dir.path(), AMPLE, &network).await;
    let size = 64 * MIB;
    let begun = Instant::now();
    read_all(&on, 1, size, MIB, 1, &in_order(size, MIB)).await;
    let round_trips = begun.elapsed().as_millis() / 100;
    assert!(round_trips < 12, "64 reads one after the other waited for {round_trips} round trips");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kernels_first_breath_is_one_fetch_in_any_order() {
    for first in [0, 100 * MIB] {
        let dir = tempfile::tempdir().unwrap();
        let network = Network::with_latency(50);
        let on = open(dir.path(), AMPLE, &network).await;
        // What the disk has is known, so that all sixteen come in one breath on a busy machine, too.
        let key = ContentKey::parse(&hash(1)).unwrap();
        on.carrier.store.look_up(key, blocks_of(&(0..200 * MIB))).await;
        let reads = shuffled(16 * MIB, MIB).into_iter().map(|number| {
            let start = first + number * MIB;
            let on = on.clone();
            async move { check(&on, 1, 200 * MIB, start..start + MIB).await.unwrap() }
        });
        join_all(reads).await;
        let calls = network.calls.lock().clone();
        let of_the_breath: Vec<_> =
            calls.iter().map(|(_, range)| range).filter(|range| range.start < first + 16 * MIB).collect();
        assert_eq!(of_the_breath.len(), 1, "{calls:?}");
        assert!(of_the_breath[0].start == first && of_the_breath[0].end >= first + 16 * MIB, "{calls:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_of_a_breath_who_go_away_leave_the_others_theirs() {
    let dir = tempfile::tempdir().unwrap();
    let network = Network::with_latency(20);
    let on = open(dir.path(), AMPLE, &network).await;
    let mut reads: Vec<_> = (0..16)
        .map(|number| {
            let on = on.clone();
            tokio::spawn(
                async move { check(&on, 1, 200 * MIB, (50 + number) * MIB..(51 + number) * MIB).await },
            )
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(1)).await;
    for gone in reads.drain(..15) {
        gone.abort();
    }
    reads.pop().unwrap().await.unwrap().unwrap();
    // And one that begins where the last one of a breath has gone.
    let gone = tokio::spawn({
        let on = on.clone();
        async move { check(&on, 2, 200 * MIB, 50 * MIB..51 * MIB).await }
    });
    tokio::time::sleep(Duration::from_millis(1)).await;
    gone.abort();
    check(&on, 2, 200 * MIB, 50 * MIB..51 * MIB).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_streams_in_one_file_are_all_read_ahead() {
    let dir = tempfile::tempdir().unwrap();
    let network = Network::with_latency(5);
    let on = open(dir.path(), AMPLE, &network).await;
    let (size, streams) = (256 * MIB, 8);
    let part = size / streams;
    let readers = (0..streams).map(|stream| {
        let on = on.clone();
        async move {
            for piece in 0..part / (256 * KIB) {
                let start = stream * part + piece * 256 * KIB;
                check(&on, 1, size, start..start + 256 * KIB).await.unwrap();
            }
        }
    });
    join_all(readers).await;
    quiet(&on).await;
    assert!(network.bytes_sent() * 100 <= size * 105, "{} bytes", network.bytes_sent());
    assert!(network.call_count() <= 120, "{} calls for {streams} streams", network.call_count());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn small_random_reads_fetch_little_and_overlap() {
    let dir = tempfile::tempdir().unwrap();
    let network = Network::with_latency(50);
    let on = open(dir.path(), AMPLE, &network).await;
    let size = 100 * MIB;
    let places: Vec<u64> = (0..128u64).map(|n| (n * 7_919_993) % (size - 4 * KIB) / 4096 * 4096).collect();
    let begun = Instant::now();
    try_join_all(places.iter().map(|at| check(&on, 1, size, *at..*at + 4 * KIB))).await.unwrap();
    // 32 at once: 4 round trips. One lock held over a fetch makes it 128, 6.4 s.
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    quiet(&on).await;
    assert!(network.bytes_sent() <= 128 * 128 * KIB, "{} bytes", network.bytes_sent());
    assert!(network.most_at_once.load(Ordering::SeqCst) <= 38);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_head_of_a_large_file_alone_is_not_read_ahead() {
    let dir = tempfile::tempdir().unwrap();
    let network = Network::with_latency(0);
    let on = open(dir.path(), AMPLE, &network).await;
    check(&on, 1, 500 * MIB, 0..4 * KIB).await.unwrap();
    check(&on, 1, 500 * MIB, 25 * MIB..26 * MIB).await.unwrap();
    quiet(&on).await;
    assert_eq!(network.bytes_sent(), 64 * KIB + MIB);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_small_file_is_one_call() {
    let dir = tempfile::tempdir().unwrap();
    let network = Network::with_latency(0);
    let on = open(dir.path(), AMPLE, &network).await;
    for start in 0..4 {
        check(&on, 1, 300 * KIB, start * 64 * KIB..(start + 1) * 64 * KIB).await.unwrap();
    }
    assert_eq!(network.call_count(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_fetch_serves_everybody_who_waits() {
    let dir = tempfile::tempdir().unwrap();
    let network = Network::with_latency(50);
    let on = open(dir.path(), AMPLE, &network).await;
    let reads = (0..64).map(|_| check(&on, 1, 8 * MIB, MIB + 5..MIB + 4101));
    try_join_all(reads).await.unwrap();
    assert_eq!(network.call_count(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_that_goes_away_takes_nothing_from_others_or_the_cache() {
    let dir = tempfile::tempdir().unwrap();
    let network = Arc::new(Network::default());
    network.next(Weather { pause_after: Some(100_000), ..Weather::default() });
    let on = open(dir.path(), AMPLE, &network).await;
    let range = 10 * MIB..11 * MIB;
    let gone = tokio::spawn({
        let (on, range) = (on.clone(), range.clone());
        async move { check(&on, 1, 20 * MIB, range).await }
    });
    until("the fetch began", || network.call_count() == 1).await;
    let stays = tokio::spawn({
        let (on, range) = (on.clone(), range.clone());
        async move { check(&on, 1, 20 * MIB, range).await }
    });
    gone.abort();
    assert!(gone.await.unwrap_err().is_cancelled());
    network.open_gate();
    stays.await.unwrap().unwrap();
    check(&on, 1, 20 * MIB, range).await.unwrap();
    assert_eq!(network.call_count(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_has_arrived_of_a_fetch_is_served_while_the_rest_is_on_its_way() {
    let dir = tempfile::tempdir().unwrap();
    let network = Arc::new(Network::default());
    network.next(Weather { pause_after: Some(512 * KIB), ..Weather::default() });
    let on = open(dir.path(), AMPLE, &network).await;
    let slow = tokio::spawn({
        let on = on.clone();
        async move { check(&on, 1, 64 * MIB, 20 * MIB..21 * MIB).await }
    });
    until("the first half is sent", || network.bytes_sent() >= 512 * KIB).await;
    let arrived = 20 * MIB..20 * MIB + 400 * KIB;
    let first = tokio::time::timeout(Duration::from_secs(5), check(&on, 1, 64 * MIB, arrived));
    first.await.expect("waited for the end of the fetch").unwrap();
    // Nor does the stuck fetch hold up another place of the same file.
    let elsewhere = tokio::time::timeout(Duration::from_secs(5), check(&on, 1, 64 * MIB, 50 * MIB..51 * MIB));
    elsewhere.await.expect("waited for somebody else's fetch").unwrap();
    assert!(!slow.is_finished());
    network.open_gate();
    slow.await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_fetch_is_an_error_now_and_another_try_later() {
    let dir = tempfile::tempdir().unwrap();
    let network = Arc::new(Network::default());
    let on = open(dir.path(), AMPLE, &network).await;
    network.next(Weather { fail_after: Some(0), ..Weather::default() });
    network.next(Weather { end_after: Some(70_000), ..Weather::default() });
    let range = 5 * MIB..6 * MIB;
    assert_eq!(check(&on, 1, 9 * MIB, range.clone()).await.unwrap_err().class, ErrorClass::Offline);
    assert_eq!(check(&on, 1, 9 * MIB, range.clone()).await.unwrap_err().class, ErrorClass::Broken);
    check(&on, 1, 9 * MIB, range).await.unwrap();
    quiet(&on).await;
    // The block that came whole before the short end was not fetched again.
    assert_eq!(network.bytes_sent(), 70_000 + MIB - 64 * KIB);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fetch_that_fails_before_its_reader_looks_is_not_tried_again() {
    let dir = tempfile::tempdir().unwrap();
    let network = Arc::new(Network::default());
    let on = open(dir.path(), AMPLE, &network).await;
    for number in 1..=200 {
        network.next(Weather { fail_after: Some(0), ..Weather::default() });
        let failed = check(&on, 1, 9 * MIB, 5 * MIB..6 * MIB).await.unwrap_err();
        assert_eq!((failed.class, network.call_count()), (ErrorClass::Offline, number));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_survives_the_failure_of_a_fetch_it_only_joined() {
    let dir = tempfile::tempdir().unwrap();
    let network = Arc::new(Network::default());
    network.next(Weather { pause_after: Some(0), fail_after: Some(0), ..Weather::default() });
    let on = open(dir.path(), AMPLE, &network).await;
    let first = tokio::spawn({
        let on = on.clone();
        async move { check(&on, 1, 9 * MIB, 5 * MIB..6 * MIB).await }
    });
    until("the fetch began", || network.call_count() == 1).await;
    let second = tokio::spawn({
        let on = on.clone();
        async move { check(&on, 1, 9 * MIB, 5 * MIB..6 * MIB).await }
    });
    until("the second joined", || on.stats().misses >= 32).await;
    network.open_gate();
    assert_eq!(first.await.unwrap().unwrap_err().class, ErrorClass::Offline);
    second.await.unwrap().unwrap();
    assert_eq!(network.call_count(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_is_bounded_whatever_the_number_of_streams() {
    let dir = tempfile::tempdir().unwrap();
    let network = Arc::new(Network::default());
    let on = open(dir.path(), AMPLE, &network).await;
    let disk_stands_still = on.carrier.store.stop_disk();
    let readers: Vec<_> = (0..24)
        .map(|seed| {
            let on = on.clone();
            tokio::spawn(async move {
                for piece in 0..8 {
                    check(&on, seed, 64 * MIB, piece * MIB..(piece + 1) * MIB).await.unwrap();
                }
            })
        })
        .collect();
    until("memory is used up", || network.bytes_sent() >= MEMORY - MIB).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    // Each fetch under way may hold one piece of the network's beside the blocks it was granted.
    let most = MEMORY + 38 * 50_000;
    assert!(network.bytes_sent() <= most, "{} bytes are in memory", network.bytes_sent());
    drop(disk_stands_still);
    for reader in readers {
        reader.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fetches_ahead_never_take_a_waiting_readers_turn() {
    let dir = tempfile::tempdir().unwrap();
    let network = Arc::new(Network::default());
    // What is asked for comes, what lies ahead of it hangs.
    network.usual.lock().pause_after = Some(MIB);
    let on = open(dir.path(), AMPLE, &network).await;
    for seed in 0..48 {
        let read = tokio::time::timeout(Duration::from_secs(5), check(&on, seed, 64 * MIB, 0..MIB));
        read.await.expect("a reader waits for fetches ahead of others").unwrap();
    }
    assert!(network.most_at_once.load(Ordering::SeqCst) > 4, "nothing was fetched ahead");
    network.open_gate();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn closing_ends_what_is_under_way_and_keeps_what_arrived() {
    let dir = tempfile::tempdir().unwrap();
    let network = Arc::new(Network::default());
    network.next(Weather { pause_after: Some(512 * KIB), ..Weather::default() });
    let on = open(dir.path(), AMPLE, &network).await;
    let reader = tokio::spawn({
        let on = on.clone();
        async move { check(&on, 1, 64 * MIB, 20 * MIB..21 * MIB).await }
    });
    until("the first half is sent", || network.bytes_sent() >= 512 * KIB).await;
    tokio::time::timeout(Duration::from_secs(5), on.close()).await.expect("close waits for the Hub");
    assert_eq!(reader.await.unwrap().unwrap_err().class, ErrorClass::Cancelled);
    let kept = on.read(&hash(1), 64 * MIB, 20 * MIB..20 * MIB + 400 * KIB).await.unwrap();
    assert_eq!(joined(&kept).len() as u64, 400 * KIB);
    assert_eq!(network.call_count(), 1);
}
