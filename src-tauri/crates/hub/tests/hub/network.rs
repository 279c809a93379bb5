//! Offline, slow, hanging: everything ends in bounded time, in the right class.

use std::time::{Duration, Instant};

use hub::{ErrorClass, Limits};
use testkit::{Fault, Harm};

use crate::bench::{Bench, limits, read, sample, upload};

const BUSY: ErrorClass = ErrorClass::Busy { retry_after: None };

#[tokio::test(flavor = "multi_thread")]
async fn offline_is_said_at_once() {
    let mut bench = Bench::new();
    let stored = upload(&bench.bucket, &sample(1, 100_000)).await.unwrap();
    bench.server.kill();
    let began = Instant::now();
    assert_eq!(bench.bucket.info().await.unwrap_err().class, ErrorClass::Offline);
    let error = read(&bench.bucket, &stored.hash, stored.size, 0..10).await.unwrap_err();
    assert_eq!(error.class, ErrorClass::Offline, "{error:?}");
    let error = upload(&bench.bucket, &sample(2, 100_000)).await.unwrap_err();
    assert_eq!(error.class, ErrorClass::Offline, "{error:?}");
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    bench.server.restart();
    assert!(bench.bucket.info().await.is_ok(), "and it comes back by itself");
    assert_eq!(
        read(&bench.bucket, &stored.hash, stored.size, 5..10).await.unwrap(),
        sample(1, 100_000)[5..10]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hub_that_never_answers_holds_nobody() {
    let bench = Bench::new();
    bench.server.faults().add(Fault::on("GET /api/buckets/alice/box", Harm::Hang));
    let began = Instant::now();
    assert_eq!(bench.bucket.info().await.unwrap_err().class, BUSY);
    assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_storage_that_never_answers_holds_no_reader() {
    let bench = Bench::new();
    let stored = upload(&bench.bucket, &sample(3, 100_000)).await.unwrap();
    let short = Limits { read_idle: Duration::from_secs(1), read_stall: Duration::from_secs(4), ..limits() };
    for route in ["/reconstructions/", "_storage"] {
        let bucket = bench.another_with(Some("hf_alice"), short.clone()).bucket(bench.bucket.name().clone());
        bench.server.faults().clear();
        let fault = bench.server.faults().add(Fault::on(route, Harm::Hang));
        let began = Instant::now();
        let error = read(&bucket, &stored.hash, stored.size, 0..100).await.unwrap_err();
        assert_eq!(error.class, BUSY, "{route}: {error:?}");
        assert!(began.elapsed() < Duration::from_secs(6), "{route}: {:?}", began.elapsed());
        assert!(bench.server.faults().struck(fault) > 0, "{route} was met");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_line_is_slow_and_not_wrong() {
    let bench = Bench::new();
    let content = sample(4, 2 << 20);
    let stored = upload(&bench.bucket, &content).await.unwrap();
    bench.server.faults().network(50, 1_000_000);
    let got = read(&bench.bucket, &stored.hash, stored.size, 0..stored.size).await.unwrap();
    assert_eq!(got, content);
}
