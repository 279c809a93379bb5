//! Uploads: whole files, many in a session, edits of stored content.

use std::io::{self, Cursor};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{future, stream};
use hub::{Asking, BatchOp, DirtyRange, ErrorClass};
use testkit::{Fault, Harm};
use xet_core_structures::merklehash::file_hash;
use xet_data::deduplication::Chunker;

use crate::bench::{Bench, names, pieces, read, sample, upload};

const PATIENCE: std::time::Duration = std::time::Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_megabytes_go_up_and_come_back_and_go_up_again_for_nothing() {
    let bench = Bench::new();
    let content = sample(20, 100 << 20);
    let told = AtomicU64::new(0);
    let session = bench.bucket.start_upload(Asking::Storage).await.unwrap();
    let stored = session
        .add("big", content.len() as u64, pieces(&content), |taken| {
            assert!(told.swap(taken, Ordering::SeqCst) < taken, "progress only grows");
        })
        .await
        .unwrap();
    session.finish().await.unwrap();
    assert_eq!(told.load(Ordering::SeqCst), stored.size);
    let bucket = bench.forgetful();
    assert!(read(&bucket, &stored.hash, stored.size, 0..stored.size).await.unwrap() == content);
    bench.server.reset_counters();
    let again = upload(&bench.forgetful(), &content).await.unwrap();
    assert_eq!(again, stored);
    let up = bench.server.counters().of("").up;
    assert!(up < 2 << 20, "the second time cost {up} bytes");
}

/// The hash of a content that is cut into chunks in one go.
fn hash_of_the_whole(content: &Bytes) -> String {
    let mut chunker = Chunker::default();
    let mut chunks = chunker.next_block_bytes(content, false);
    chunks.extend(chunker.finish());
    let list: Vec<_> = chunks.iter().map(|chunk| (chunk.hash, chunk.data.len() as u64)).collect();
    file_hash(&list).hex()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_file_goes_up_in_windows_and_is_what_a_whole_upload_makes_of_it() {
    const WINDOW: usize = 16 << 20;
    let bench = Bench::new();
    let noise = sample(21, 3 * WINDOW + 12_345);
    let zeros = Bytes::from(vec![0; 2 * WINDOW + 99]);
    let twice = Bytes::from([&noise[..WINDOW + 777], &noise[..WINDOW + 777]].concat());
    let edges = [WINDOW - 1, WINDOW, WINDOW + 1, 2 * WINDOW].map(|size| noise.slice(..size));
    for content in [noise.clone(), zeros, twice].into_iter().chain(edges) {
        let stored = upload(&bench.bucket, &content).await.unwrap();
        assert_eq!(stored.size, content.len() as u64);
        assert_eq!(stored.hash, hash_of_the_whole(&content), "{} bytes", content.len());
        let got = read(&bench.forgetful(), &stored.hash, stored.size, 0..stored.size).await.unwrap();
        assert!(got == content, "{} bytes came back as others", content.len());
    }
    let stored = upload(&bench.bucket, &noise).await.unwrap();
    let segments = bench.bucket.segments(&stored.hash).await.unwrap().unwrap();
    assert!(segments.len() >= 3 && segments.iter().all(|length| *length < 17 << 20), "{segments:?}");
}

/// Xet tells of a block that could not be sent once, in whatever step comes next: here in another file's, or nowhere.
#[tokio::test(flavor = "multi_thread")]
async fn a_session_in_which_a_block_could_not_be_sent_does_not_end_well() {
    let bench = Bench::new();
    let refused = Harm::Status { status: 400, retry_after: None };
    bench.server.faults().add(Fault::on("/xorb", refused).times(1));
    let session = bench.bucket.start_upload(Asking::Nobody).await.unwrap();
    let (big, small) = (sample(23, 40 << 20), sample(24, 10_000));
    let mut first = None;
    for content in [&big, &small, &small] {
        let added = session.add("one", content.len() as u64, pieces(content), |_| ()).await;
        first = first.or(added.err());
    }
    let first = first.expect("the refused block is told in one of the steps");
    let end = session.finish().await.unwrap_err();
    assert_eq!((end.what, end.status), (first.what, first.status), "the end tells what had failed");
}

#[tokio::test(flavor = "multi_thread")]
async fn many_small_files_share_a_session() {
    let bench = Bench::new();
    let session = bench.bucket.start_upload(Asking::Nobody).await.unwrap();
    let contents: Vec<Bytes> = (0..200).map(|i| sample(100 + i, (i as usize * 37) % 5000)).collect();
    bench.server.reset_counters();
    let added = future::join_all(contents.iter().enumerate().map(|(i, content)| {
        let (session, name) = (&session, format!("small {i}"));
        async move { session.add(&name, content.len() as u64, pieces(content), |_| ()).await.unwrap() }
    }))
    .await;
    session.finish().await.unwrap();
    let calls = bench.server.counters().of("").calls;
    assert!(calls < 10, "200 small files cost {calls} calls");
    let ops: Vec<BatchOp> = added
        .iter()
        .enumerate()
        .map(|(i, done)| BatchOp::Add {
            path: format!("s/{i}"),
            xet_hash: done.hash.clone(),
            mtime_ms: None,
            content_type: None,
        })
        .collect();
    let outcome = bench.bucket.batch(&ops).await.unwrap();
    assert!(outcome.failed.is_empty(), "{:?}", outcome.failed);
    assert_eq!(names(bench.bucket.list_all("s")).await.len(), 200);
    for i in [0, 1, 77, 199] {
        assert_eq!(bench.server.client().read("alice/box", &format!("s/{i}")), contents[i]);
        let got = read(&bench.bucket, &added[i].hash, added[i].size, 0..added[i].size).await.unwrap();
        assert_eq!(got, contents[i]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_another_length_than_promised_is_refused_and_the_session_goes_on() {
    let bench = Bench::new();
    let session = bench.bucket.start_upload(Asking::Storage).await.unwrap();
    let content = sample(21, 10_000);
    for promised in [9_999, 10_001] {
        let error = session.add("odd", promised, pieces(&content), |_| ()).await.unwrap_err();
        assert_eq!(error.class, ErrorClass::Local, "{error:?}");
    }
    let broken = stream::iter([Ok(content.slice(..5)), Err(io::Error::other("a bad sector"))]);
    let error = session.add("sick", 10, broken, |_| ()).await.unwrap_err();
    assert!(error.what.contains("sick") && error.class == ErrorClass::Local, "{error:?}");
    let good = session.add("good", 10_000, pieces(&content), |_| ()).await.unwrap();
    session.finish().await.unwrap();
    assert_eq!(read(&bench.bucket, &good.hash, good.size, 0..good.size).await.unwrap(), content);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_has_the_hash_of_a_whole_upload() {
    let bench = Bench::new();
    let old = sample(22, 20 << 20);
    let size = old.len() as u64;
    let base = upload(&bench.bucket, &old).await.unwrap();
    let new = sample(23, 300_000);
    let (mid, n) = (10 << 20, new.len() as u64);
    let edits = [
        ("one byte", mid..mid + 1, 1),
        ("an overwrite", mid..mid + n, n),
        ("an insertion", mid..mid, n),
        ("an append", size..size, n),
        ("a truncation", mid..size, 0),
        ("the beginning", 0..4096, 4096),
    ];
    for (what, range, length) in edits {
        let patch = new.slice(..length as usize);
        let wanted = [&old[..range.start as usize], &patch[..], &old[range.end as usize..]].concat();
        let dirty = DirtyRange { range, new_length: length, reader: Box::new(Cursor::new(patch)) };
        let edited = bench.bucket.upload_ranges(&base.hash, base.size, vec![dirty], PATIENCE).await.unwrap();
        let whole = upload(&bench.bucket, &Bytes::from(wanted)).await.unwrap();
        assert_eq!(edited, whole, "{what}");
    }
    let nothing = bench.bucket.upload_ranges(&base.hash, base.size, Vec::new(), PATIENCE).await.unwrap();
    assert_eq!(nothing, base);
}

/// 150 MiB are three segments. Two changes in one segment leave a part between them, whose chunks are counted from the
/// segment's start; a change across an edge leaves a part of both segments.
#[tokio::test(flavor = "multi_thread")]
async fn an_edit_of_many_segments_is_put_together_of_all_of_them() {
    const MIB: u64 = 1 << 20;
    let bench = Bench::new();
    let old = sample(27, 150 << 20);
    let size = old.len() as u64;
    let base = upload(&bench.bucket, &old).await.unwrap();
    let edges = bench.bucket.segments(&base.hash).await.unwrap().unwrap();
    assert!(edges.len() >= 3, "{edges:?}");
    let edge = edges[0];
    type Edits = Vec<(std::ops::Range<u64>, u64)>;
    let cases: [(&str, Edits, u64); 6] = [
        ("in the middle of a segment", vec![(90 * MIB..91 * MIB, MIB)], edges[1]),
        ("at its start", vec![(edge..edge + 10, 10)], edges[1]),
        ("at its end", vec![(edge - 10..edge, 10)], 2 * 64 * MIB),
        ("across an edge", vec![(edge - 1000..edge + 1000, 5000)], 2 * 64 * MIB),
        (
            "twice in one, once in the last",
            vec![(MIB..MIB + 1, 1), (10 * MIB..10 * MIB, 777), (size..size, MIB)],
            2 * 64 * MIB,
        ),
        ("a cut and a removal", vec![(5 * MIB..40 * MIB, 0), (120 * MIB..size, 0)], 3 * 64 * MIB),
    ];
    for (what, changes, at_most) in cases {
        let (mut wanted, mut at, mut dirty) = (Vec::new(), 0, Vec::new());
        for (number, (range, length)) in changes.into_iter().enumerate() {
            let patch = sample(40 + number as u64, length as usize);
            wanted.extend_from_slice(&old[at..range.start as usize]);
            wanted.extend_from_slice(&patch);
            at = range.end as usize;
            dirty.push(DirtyRange { range, new_length: length, reader: Box::new(Cursor::new(patch)) });
        }
        wanted.extend_from_slice(&old[at..]);
        let bucket = bench.forgetful();
        bench.server.reset_counters();
        let edited = bucket.upload_ranges(&base.hash, base.size, dirty, PATIENCE).await.unwrap();
        let counters = bench.server.counters();
        let (down, up) = (counters.of("/_storage/").down, counters.of("xorb").up + counters.of("shards").up);
        println!("{what}: {:.2} MB down, {:.2} MB up", down as f64 / 1e6, up as f64 / 1e6);
        assert!(down <= at_most + 2 * MIB, "{what}: {down} bytes down");
        assert!(up <= 4 * MIB, "{what}: {up} bytes up");
        let got = read(&bench.forgetful(), &edited.hash, edited.size, 0..edited.size).await.unwrap();
        let differs = got.iter().zip(&wanted).position(|(there, here)| there != here);
        assert_eq!((edited.size, got.len(), differs), (wanted.len() as u64, wanted.len(), None), "{what}");
        assert_eq!(
            upload(&bench.forgetful(), &Bytes::from(wanted)).await.unwrap(),
            edited,
            "{what}: the hash"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_storage_that_can_not_edit_says_so() {
    let bench = Bench::new();
    let base = upload(&bench.bucket, &sample(24, 100_000)).await.unwrap();
    bench
        .server
        .faults()
        .add(Fault::on("file-chunk-hashes", Harm::Status { status: 404, retry_after: None }));
    let dirty = DirtyRange { range: 5..6, new_length: 1, reader: Box::new(Cursor::new(b"x")) };
    let error = bench.bucket.upload_ranges(&base.hash, base.size, vec![dirty], PATIENCE).await.unwrap_err();
    assert_eq!((error.class, error.status), (ErrorClass::Rejected, Some(404)), "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_fails_says_so_at_the_latest_when_it_is_finished() {
    let bench = Bench::new();
    bench.server.faults().add(Fault::on("/shards", Harm::Status { status: 500, retry_after: None }));
    let error = tokio::time::timeout(Duration::from_secs(60), upload(&bench.bucket, &sample(25, 100_000)))
        .await
        .expect("it ends")
        .unwrap_err();
    assert!(error.may_retry(), "{error:?}");
    bench.server.faults().clear();
    upload(&bench.bucket, &sample(25, 100_000)).await.unwrap();
}

/// Uploads are given up at any moment: the file changes, the person pauses, a step takes too long.
#[tokio::test(flavor = "multi_thread")]
async fn an_upload_given_up_at_any_moment_spoils_no_later_one() {
    let bench = Bench::new();
    upload(&bench.bucket, &sample(49, 20_000)).await.unwrap();
    for round in 0..60 {
        let some = (0..6u64).map(|number| {
            let (bucket, content) = (bench.bucket.clone(), sample(1000 + 10 * round + number, 20_000));
            async move {
                let moment = Duration::from_micros((round * 7 + number * 31) % 120 * 500);
                drop(tokio::time::timeout(moment, upload(&bucket, &content)).await);
            }
        });
        future::join_all(some).await;
    }
    upload(&bench.bucket, &sample(50, 20_000)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn one_token_serves_many_sessions_and_nothing_is_told_to_anybody() {
    let bench = Bench::new();
    for seed in 30..35 {
        upload(&bench.bucket, &sample(seed, 50_000)).await.unwrap();
    }
    assert_eq!(bench.server.counters().of("xet-write-token").calls, 1);
    assert_eq!(bench.server.counters().of("telemetry").calls, 0, "telemetry");
}
