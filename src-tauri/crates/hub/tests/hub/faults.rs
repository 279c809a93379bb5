//! Every fault in every call: it ends in bounded time, in the right class, and no text holds a token.

use std::future::Future;
use std::io::Cursor;
use std::pin::Pin;
use std::time::{Duration, Instant};

use futures_util::TryStreamExt;
use hub::{BatchOp, Bucket, DirtyRange, ErrorClass, HubError, Limits, Uploaded};
use testkit::{Fault, Harm};

use crate::bench::{Bench, limits, read, sample, upload};

type Done<'a> = Pin<Box<dyn Future<Output = Result<(), HubError>> + Send + 'a>>;
type Act = for<'a> fn(&'a Bucket, &'a Uploaded) -> Done<'a>;

/// The calls that ask the Hub.
const HUB_CALLS: &[(&str, Act)] = &[
    ("info", |bucket, _| Box::pin(async { bucket.info().await.map(drop) })),
    ("list_dir", |bucket, _| {
        Box::pin(async { bucket.list_dir("a").try_collect::<Vec<_>>().await.map(drop) })
    }),
    ("list_all", |bucket, _| Box::pin(async { bucket.list_all("").try_collect::<Vec<_>>().await.map(drop) })),
    ("paths_info", |bucket, _| Box::pin(async { bucket.paths_info(&["a".to_owned()]).await.map(drop) })),
    ("batch", |bucket, stored| {
        Box::pin(async {
            let (path, xet_hash) = ("a/x".to_owned(), stored.hash.clone());
            bucket
                .batch(&[BatchOp::Add { path, xet_hash, mtime_ms: None, content_type: None }])
                .await
                .map(drop)
        })
    }),
    ("read", |bucket, stored| {
        Box::pin(async { read(bucket, &stored.hash, stored.size, 0..10).await.map(drop) })
    }),
    ("upload", |bucket, _| Box::pin(async { upload(bucket, &sample(50, 1000)).await.map(drop) })),
];

/// The calls that ask the storage.
const STORAGE_CALLS: &[(&str, Act)] = &[
    ("read", |bucket, stored| {
        Box::pin(async { read(bucket, &stored.hash, stored.size, 0..10).await.map(drop) })
    }),
    ("upload", |bucket, _| {
        Box::pin(async {
            // Never the same bytes twice, or there is nothing to send.
            let seed =
                std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_micros();
            upload(bucket, &sample(seed as u64, 200_000)).await.map(drop)
        })
    }),
    ("upload_ranges", |bucket, stored| {
        Box::pin(async {
            let dirty = DirtyRange { range: 3..4, new_length: 1, reader: Box::new(Cursor::new(b"!")) };
            bucket
                .upload_ranges(&stored.hash, stored.size, vec![dirty], Duration::from_secs(8))
                .await
                .map(drop)
        })
    }),
];

fn impatient() -> Limits {
    Limits {
        request_timeout: Duration::from_secs(1),
        call_deadline: Duration::from_secs(2),
        retry_base: Duration::from_millis(10),
        retry_max_tries: 2,
        read_idle: Duration::from_secs(1),
        read_stall: Duration::from_secs(3),
        upload_exchange: Duration::from_secs(1),
        upload_stall: Duration::from_secs(8),
        ..limits()
    }
}

fn status(status: u16) -> Harm {
    Harm::Status { status, retry_after: None }
}

async fn strike(
    bench: &Bench,
    route: &str,
    harm: &Harm,
    act: Act,
    stored: &Uploaded,
) -> Result<(), HubError> {
    let bucket = bench.another_with(Some("hf_alice"), impatient()).bucket(bench.bucket.name().clone());
    bench.server.faults().clear();
    bench.server.faults().add(Fault::on(route, harm.clone()));
    let began = Instant::now();
    let result = act(&bucket, stored).await;
    let took = began.elapsed();
    assert!(took < Duration::from_secs(20), "{route} {harm:?}: {took:?}");
    if let Err(error) = &result {
        assert!(!error.what.is_empty() && !error.advice.is_empty());
        assert!(!format!("{error:?}").contains("hf_alice"), "{error:?}");
    }
    result
}

#[tokio::test(flavor = "multi_thread")]
async fn the_hubs_faults_have_their_class_in_every_call() {
    let bench = Bench::new();
    let stored = upload(&bench.bucket, &sample(51, 100_000)).await.unwrap();
    bench.server.client().put("alice/box", "a/file", b"x");
    let busy = ErrorClass::Busy { retry_after: None };
    let table = [
        (status(401), vec![ErrorClass::SignIn]),
        (status(403), vec![ErrorClass::Forbidden]),
        (status(404), vec![ErrorClass::NotFound]),
        (status(413), vec![ErrorClass::Quota]),
        (status(422), vec![ErrorClass::Rejected]),
        (status(500), vec![busy]),
        (status(503), vec![busy]),
        (Harm::Reset, vec![ErrorClass::Offline]),
        (Harm::LoseAnswer, vec![ErrorClass::Offline]),
        (Harm::Hang, vec![busy]),
        (Harm::Truncate { after: 1 }, vec![ErrorClass::Offline]),
        (Harm::Short { by: 1 }, vec![ErrorClass::Broken]),
    ];
    for (harm, classes) in &table {
        for (name, act) in HUB_CALLS {
            let error = strike(&bench, "/api/", harm, *act, &stored).await.err();
            let error = error.unwrap_or_else(|| panic!("{name} says nothing of {harm:?}"));
            assert!(classes.contains(&error.class), "{name}, {harm:?}: {error:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_storages_faults_may_be_tried_again_or_say_why_not() {
    let bench = Bench::new();
    let stored = upload(&bench.bucket, &sample(52, 100_000)).await.unwrap();
    let routes = |call: &str| -> &[&str] {
        match call {
            "read" => &["/v*/reconstructions/", "/_storage"],
            "upload" => &["/xorb", "/shards"],
            _ => &["/v*/reconstructions/", "/file-chunk-hashes/", "/shards"],
        }
    };
    for harm in [status(401), status(503), Harm::Reset, Harm::Hang] {
        for (name, act) in STORAGE_CALLS {
            for route in routes(name) {
                let error = strike(&bench, route, &harm, *act, &stored).await.err();
                let error = error.unwrap_or_else(|| panic!("{name} says nothing of {harm:?} on {route}"));
                assert!(error.may_retry(), "{name}, {route}, {harm:?}: {error:?}");
            }
        }
    }
}
