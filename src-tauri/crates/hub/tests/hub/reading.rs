//! Range reads: the right bytes, how many calls they cost, and what happens when addresses expire or
//! the storage is wrong.

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use hub::{ErrorClass, Limits};
use testkit::{Fault, Harm};

use crate::bench::{Bench, limits, read, sample, upload};

#[tokio::test(flavor = "multi_thread")]
async fn many_random_ranges_at_once_are_the_files_bytes() {
    let bench = Bench::new();
    let content = sample(7, 200 << 20);
    let stored = upload(&bench.bucket, &content).await.unwrap();
    let mut ranges = vec![0..1, stored.size - 1..stored.size, 0..0, (60 << 20)..(70 << 20)];
    let mut x = 12345u64;
    for i in 0..150 {
        x = x.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        let start = (x >> 20) % stored.size;
        let length = [1, 4096, 131_072, 1_000_003][i % 4].min(stored.size - start);
        ranges.push(start..start + length);
    }
    let bucket = bench.forgetful();
    stream::iter(ranges)
        .map(|range| {
            let (bucket, hash) = (bucket.clone(), stored.hash.clone());
            async move { (range.clone(), read(&bucket, &hash, 200 << 20, range).await) }
        })
        .buffer_unordered(16)
        .for_each(|(range, got)| {
            let wanted = content.slice(range.start as usize..range.end as usize);
            // Not assert_eq: nobody wants a megabyte printed.
            assert!(got.unwrap_or_else(|e| panic!("{range:?}: {e:?}")) == wanted, "{range:?}");
            std::future::ready(())
        })
        .await;
    let whole = read(&bucket, &stored.hash, stored.size, 0..stored.size).await.unwrap();
    assert!(whole == content, "the whole file");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_read_asks_for_no_plan() {
    let bench = Bench::new();
    let content = sample(8, 64 << 20);
    let stored = upload(&bench.bucket, &content).await.unwrap();
    let bucket = bench.forgetful();
    let window = (20 << 20)..(21 << 20);
    for part in [window.clone(), window.clone(), (20 << 20) + 5..(20 << 20) + 700_000] {
        let got = read(&bucket, &stored.hash, stored.size, part.clone()).await.unwrap();
        assert!(got == content.slice(part.start as usize..part.end as usize));
    }
    assert!(bench.server.counters().of("/reconstructions/").calls >= 1, "the first one asked");
    bench.server.reset_counters();
    read(&bucket, &stored.hash, stored.size, window).await.unwrap();
    let after = bench.server.counters();
    assert_eq!(after.of("/reconstructions/").calls, 0, "{after:?}");
    assert_eq!(after.of("xet-read-token").calls, 0, "nor for a token");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_made_ready_asks_for_no_token_at_the_first_read() {
    let bench = Bench::new();
    let content = sample(8, 1 << 20);
    let stored = upload(&bench.bucket, &content).await.unwrap();
    let bucket = bench.forgetful();
    bucket.prepare_reading().await.unwrap();
    bench.server.reset_counters();
    read(&bucket, &stored.hash, stored.size, 0..4096).await.unwrap();
    let after = bench.server.counters();
    assert_eq!(after.of("").calls, 2, "a plan and its bytes: {after:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_small_file_is_planned_once_whatever_is_read_of_it() {
    let bench = Bench::new();
    let content = sample(9, 900_000);
    let stored = upload(&bench.bucket, &content).await.unwrap();
    let bucket = bench.forgetful();
    read(&bucket, &stored.hash, stored.size, 0..10).await.unwrap();
    bench.server.reset_counters();
    for start in (0..900_000).step_by(100_000) {
        let got = read(&bucket, &stored.hash, stored.size, start..start + 100_000).await.unwrap();
        assert!(got == content.slice(start as usize..start as usize + 100_000));
    }
    assert_eq!(bench.server.counters().of("/reconstructions/").calls, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_small_read_of_a_large_file_fetches_little() {
    let bench = Bench::new();
    let stored = upload(&bench.bucket, &sample(10, 64 << 20)).await.unwrap();
    let bucket = bench.forgetful();
    read(&bucket, &stored.hash, stored.size, 0..stored.size).await.unwrap();
    for start in [1 << 20, 9 << 20, 33 << 20, 50 << 20u64] {
        bench.server.reset_counters();
        read(&bucket, &stored.hash, stored.size, start..start + 4096).await.unwrap();
        let down = bench.server.counters().of("").down;
        assert!(down < 2 << 20, "4 KiB cost {down} bytes");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn expired_addresses_and_tokens_are_renewed_unseen() {
    let bench = Bench::new();
    let content = sample(11, 8 << 20);
    let stored = upload(&bench.bucket, &content).await.unwrap();
    let bucket = bench.forgetful();
    let part = (1 << 20)..(2 << 20);
    let wanted = content.slice(1 << 20..2 << 20);
    assert!(read(&bucket, &stored.hash, stored.size, part.clone()).await.unwrap() == wanted);
    bench.server.faults().expire_storage_urls();
    assert!(read(&bucket, &stored.hash, stored.size, part.clone()).await.unwrap() == wanted, "addresses");
    bench.server.faults().expire_xet_tokens();
    let other = (5 << 20)..(6 << 20);
    assert!(
        read(&bucket, &stored.hash, stored.size, other).await.unwrap() == content.slice(5 << 20..6 << 20),
        "tokens"
    );
    bench.server.faults().add(Fault::on("_storage", Harm::UrlExpired).times(1));
    assert!(read(&bucket, &stored.hash, stored.size, part).await.unwrap() == wanted, "once in between");
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_content_is_an_error_and_never_bytes() {
    let bench = Bench::new();
    let content = sample(12, 4 << 20);
    let stored = upload(&bench.bucket, &content).await.unwrap();
    let bucket = bench.forgetful();
    // The Hub says another size than the storage has.
    let error = read(&bucket, &stored.hash, stored.size + 10, 0..stored.size + 10).await.unwrap_err();
    assert_eq!(error.class, ErrorClass::Broken, "{error:?}");
    // A storage that cuts its answers short.
    for harm in [Harm::Short { by: 1000 }, Harm::Truncate { after: 70_000 }] {
        let bucket = bench.forgetful();
        bench.server.faults().clear();
        bench.server.faults().add(Fault::on("_storage", harm.clone()));
        let error = read(&bucket, &stored.hash, stored.size, 0..1 << 20).await.unwrap_err();
        assert!(error.may_retry(), "{harm:?}: {error:?}");
        bench.server.faults().clear();
        assert!(
            read(&bucket, &stored.hash, stored.size, 0..1 << 20).await.unwrap() == content.slice(..1 << 20)
        );
    }
    let nowhere = "ab".repeat(32);
    let error = read(&bucket, &nowhere, 10, 0..10).await.unwrap_err();
    assert_eq!(error.class, ErrorClass::NotFound, "{error:?}");
    assert_eq!(read(&bucket, "no hash", 10, 0..10).await.unwrap_err().class, ErrorClass::Broken);
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_are_handed_on_as_they_arrive() {
    let bench = Bench::new();
    let content = sample(14, 16 << 20);
    let stored = upload(&bench.bucket, &content).await.unwrap();
    let bucket = bench.forgetful();
    bench.server.faults().network(0, 8 << 20);
    bench.server.reset_counters();
    let mut stream = bucket.read(&stored.hash, stored.size, 0..stored.size);
    let first: Bytes = stream.try_next().await.unwrap().unwrap();
    assert!(first == content.slice(..first.len()));
    let down = bench.server.counters().of("/_storage/").down;
    assert!(down < stored.size / 2, "the first bytes came after {down}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_that_breaks_off_goes_on_where_it_was() {
    let bench = Bench::new();
    let content = sample(15, 16 << 20);
    let stored = upload(&bench.bucket, &content).await.unwrap();
    let bucket = bench.forgetful();
    bench.server.reset_counters();
    bench.server.faults().add(Fault::on("_storage", Harm::Truncate { after: 6 << 20 }).times(1));
    let got = read(&bucket, &stored.hash, stored.size, 0..stored.size).await.unwrap();
    assert!(got == content);
    let storage = bench.server.counters().of("/_storage/");
    assert_eq!(storage.calls, 2, "{storage:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_content_that_comes_back_to_its_own_chunks_is_read_right() {
    let bench = Bench::new();
    let (one, two) = (sample(16, 3 << 20), sample(17, 2 << 20));
    let content = Bytes::from([&one[..], &two, &one, &two[..1 << 20], &one].concat());
    let stored = upload(&bench.bucket, &content).await.unwrap();
    let bucket = bench.forgetful();
    for range in [0..stored.size, 1 << 20..9 << 20, (5 << 20) - 10..(8 << 20) + 10] {
        let got = read(&bucket, &stored.hash, stored.size, range.clone()).await.unwrap();
        assert!(got == content.slice(range.start as usize..range.end as usize), "{range:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_read_stops_fetching() {
    let bench = Bench::new();
    let stored = upload(&bench.bucket, &sample(13, 64 << 20)).await.unwrap();
    let bucket = bench.forgetful();
    bench.server.faults().network(0, 4 << 20);
    bench.server.reset_counters();
    let mut stream = bucket.read(&stored.hash, stored.size, 0..stored.size);
    let _: Bytes = stream.try_next().await.unwrap().unwrap();
    drop(stream);
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    let soon = bench.server.counters().of("").down;
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    let later = bench.server.counters().of("").down;
    assert!(later - soon < 3 << 20, "{soon} then {later} bytes");
}

#[tokio::test(flavor = "multi_thread")]
async fn with_hardly_any_memory_for_plans_the_bytes_are_right() {
    let bench = Bench::new();
    let content = sample(14, 32 << 20);
    let stored = upload(&bench.bucket, &content).await.unwrap();
    let little = Limits { plan_cache: 4096, ..limits() };
    let bucket = bench.another_with(Some("hf_alice"), little).bucket(bench.bucket.name().clone());
    for start in (0..32 << 20).step_by(1 << 20) {
        let got = read(&bucket, &stored.hash, stored.size, start..start + 1000).await.unwrap();
        assert!(got == content.slice(start as usize..start as usize + 1000));
    }
}
