//! Batches.

use hub::{BatchOp, ErrorClass};
use testkit::{Fault, Harm};

use crate::bench::{Bench, names, read, sample, upload};

fn add(path: &str, hash: &str) -> BatchOp {
    let (path, xet_hash) = (path.to_owned(), hash.to_owned());
    BatchOp::Add { path, xet_hash, mtime_ms: Some(1_700_000_000_123), content_type: None }
}

fn delete(path: &str) -> BatchOp {
    BatchOp::Delete { path: path.to_owned() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_added_renamed_by_copy_and_deleted() {
    let bench = Bench::new();
    let content = sample(1, 100_000);
    let stored = upload(&bench.bucket, &content).await.unwrap();
    let outcome = bench.bucket.batch(&[add("a b#c", &stored.hash)]).await.unwrap();
    assert!(outcome.failed.is_empty());
    let file = &bench.bucket.paths_info(&["a b#c".to_owned()]).await.unwrap()[0];
    assert_eq!((file.size, file.mtime_ms), (100_000, Some(1_700_000_000_123)));
    let copy = BatchOp::Copy {
        path: "moved/ü".to_owned(),
        xet_hash: stored.hash.clone(),
        mtime_ms: file.mtime_ms,
        source: bench.bucket.name().clone(),
    };
    assert!(bench.bucket.batch(&[copy, delete("a b#c")]).await.unwrap().failed.is_empty());
    assert_eq!(names(bench.bucket.list_all("")).await, ["moved/ü"]);
    assert_eq!(bench.server.client().read("alice/box", "moved/ü"), content);
    assert_eq!(read(&bench.bucket, &stored.hash, stored.size, 0..stored.size).await.unwrap(), content);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_fails_in_part_names_the_paths_that_failed() {
    let bench = Bench::new();
    let stored = upload(&bench.bucket, &sample(2, 1000)).await.unwrap();
    let harm = Harm::FailOperations { path: "bad".into(), error: "no such luck".into() };
    bench.server.faults().add(Fault::on("/batch", harm));
    let ops = [add("good", &stored.hash), add("bad one", &stored.hash)];
    let outcome = bench.bucket.batch(&ops).await.unwrap();
    assert_eq!(outcome.failed.len(), 1);
    assert_eq!(
        (outcome.failed[0].path.as_str(), outcome.failed[0].error.as_str()),
        ("bad one", "no such luck")
    );
    assert_eq!(names(bench.bucket.list_all("")).await, ["good"]);
    // All failed: the Hub answers 422, and it reads the same.
    let outcome = bench.bucket.batch(&[add("bad two", &stored.hash)]).await.unwrap();
    assert_eq!(outcome.failed[0].path, "bad two");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_batch_is_cut_and_a_later_failure_is_told_path_by_path() {
    let bench = Bench::new();
    let stored = upload(&bench.bucket, &sample(3, 1000)).await.unwrap();
    let ops: Vec<BatchOp> = (0..2500).map(|i| add(&format!("f{i:04}"), &stored.hash)).collect();
    bench.server.faults().add(Fault::on("/batch", Harm::Status { status: 500, retry_after: None }).after(2));
    let outcome = bench.bucket.batch(&ops).await.unwrap();
    assert_eq!(outcome.failed.len(), 500);
    assert!(outcome.failed.iter().all(|f| f.call.as_ref().is_some_and(|e| e.may_retry())));
    assert_eq!(names(bench.bucket.list_all("")).await.len(), 2000);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_whose_answer_is_lost_is_not_sent_twice() {
    let bench = Bench::new();
    let stored = upload(&bench.bucket, &sample(4, 1000)).await.unwrap();
    bench.server.faults().add(Fault::on("/batch", Harm::LoseAnswer).times(1));
    bench.server.reset_counters();
    let error = bench.bucket.batch(&[add("x", &stored.hash)]).await.unwrap_err();
    assert!(error.may_retry(), "{error:?}");
    assert_eq!(bench.server.counters().of("/batch").calls, 1);
    assert_eq!(names(bench.bucket.list_all("")).await, ["x"], "it was applied");
    // Surely not applied: sent again.
    bench.server.faults().add(Fault::on("/batch", Harm::Status { status: 503, retry_after: None }).times(1));
    assert!(bench.bucket.batch(&[add("y", &stored.hash)]).await.unwrap().failed.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn content_that_is_not_stored_can_not_be_named() {
    let bench = Bench::new();
    let nowhere = "ab".repeat(32);
    match bench.bucket.batch(&[add("ghost", &nowhere)]).await {
        Ok(outcome) => assert_eq!(outcome.failed[0].path, "ghost"),
        Err(error) => assert_eq!(error.class, ErrorClass::Rejected),
    }
    assert!(names(bench.bucket.list_all("")).await.is_empty());
}
