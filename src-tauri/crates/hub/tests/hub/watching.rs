//! The change feed: replay, live news, resuming, gaps, and Hubs without one.

use std::time::Duration;

use futures_util::StreamExt;
use hub::{ChangeKind, Limits, News, Resume, Watch};
use testkit::{Fault, Harm};

use crate::bench::{Bench, limits};

/// The next news that is not an error (those are the feed's losses, which it repairs itself).
async fn news(watch: &mut Watch) -> News {
    let next = async {
        loop {
            if let Ok(news) = watch.next().await.expect("a watch has no end") {
                return news;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(15), next).await.expect("news within 15 s")
}

fn paths(news: &News) -> Vec<(&str, ChangeKind)> {
    match news {
        News::Changes { changes, .. } => changes.iter().map(|c| (c.path.as_str(), c.kind)).collect(),
        other => panic!("{other:?}"),
    }
}

fn quick() -> Limits {
    Limits {
        feed_backoff: Duration::from_millis(200),
        feed_silence: Duration::from_secs(40),
        feed_poll: Duration::from_millis(300),
        ..limits()
    }
}

fn watched(bench: &Bench, resume: Resume) -> Watch {
    bench.another_with(Some("hf_alice"), quick()).bucket(bench.bucket.name().clone()).watch(resume)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_happened_since_the_listing_is_told_and_then_what_happens() {
    let bench = Bench::new();
    let client = bench.server.client();
    client.put("alice/box", "old", b"1");
    let listed_at = bench.bucket.info().await.unwrap().updated_at.unwrap();
    client.put("alice/box", "between ü", b"12");
    let mut watch = watched(&bench, Resume::Since(listed_at));
    let mut replayed = Vec::new();
    loop {
        match news(&mut watch).await {
            News::CaughtUp { .. } => break,
            other => replayed.extend(paths(&other).into_iter().map(|(p, k)| (p.to_owned(), k))),
        }
    }
    assert!(replayed.contains(&("between ü".to_owned(), ChangeKind::Add)), "{replayed:?}");
    client.put("alice/box", "live", b"123");
    let told = news(&mut watch).await;
    assert_eq!(paths(&told), [("live", ChangeKind::Add)]);
    let News::Changes { changes, .. } = &told else { panic!() };
    assert_eq!(changes[0].size, Some(3));
    assert_eq!(changes[0].xet_hash.as_ref().map(String::len), Some(64));
    client.delete("alice/box", "live");
    assert_eq!(paths(&news(&mut watch).await), [("live", ChangeKind::Delete)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_feed_is_resumed_and_nothing_is_missed() {
    let mut bench = Bench::new();
    let mut watch = watched(&bench, Resume::Live);
    assert!(matches!(news(&mut watch).await, News::CaughtUp { .. }));
    bench.server.faults().feed_reconnect();
    assert!(matches!(news(&mut watch).await, News::CaughtUp { .. }), "asked to come again, it comes again");
    bench.server.client().put("alice/box", "one", b"1");
    let told = news(&mut watch).await;
    assert_eq!(paths(&told), [("one", ChangeKind::Add)]);
    bench.server.restart();
    bench.server.client().put("alice/box", "two", b"2");
    let mut seen = Vec::new();
    while seen.is_empty() {
        if let News::Changes { changes, .. } = news(&mut watch).await {
            seen.extend(changes.into_iter().map(|c| c.path));
        }
    }
    assert_eq!(seen, ["two"], "and no “one” again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gap_asks_to_list_again_and_goes_on_from_there() {
    let bench = Bench::new();
    bench.server.client().put("alice/box", "a", b"1");
    let old = bench.bucket.info().await.unwrap().updated_at.unwrap();
    bench.server.client().put("alice/box", "lost", b"1");
    bench.server.faults().feed_gap();
    let mut watch = watched(&bench, Resume::Since(old));
    let News::Relist { resume, .. } = news(&mut watch).await else { panic!("a gap") };
    assert!(matches!(resume, Resume::Since(_)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resume_point_that_means_nothing_is_given_up() {
    let bench = Bench::new();
    let mut watch = watched(&bench, Resume::Cursor("no cursor of yours".to_owned()));
    assert!(matches!(news(&mut watch).await, News::Relist { .. }));
    assert!(matches!(news(&mut watch).await, News::CaughtUp { .. } | News::Changes { .. }));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_feed_the_revision_is_watched() {
    let bench = Bench::new();
    for status in [404, 501, 403] {
        bench.server.faults().clear();
        bench.server.faults().add(Fault::on("/events", Harm::Status { status, retry_after: None }));
        let now = bench.bucket.info().await.unwrap().updated_at.unwrap();
        let mut watch = watched(&bench, Resume::Since(now));
        let quiet = tokio::time::timeout(Duration::from_secs(1), watch.next()).await;
        assert!(quiet.is_err(), "{status}: nothing changed, nothing is told: {quiet:?}");
        bench.server.client().put("alice/box", &format!("file {status}"), b"1");
        assert!(matches!(news(&mut watch).await, News::Relist { .. }));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_offline_hub_is_told_and_not_hammered() {
    let mut bench = Bench::new();
    let mut watch = watched(&bench, Resume::Live);
    assert!(matches!(news(&mut watch).await, News::CaughtUp { .. }));
    bench.server.kill();
    let error =
        tokio::time::timeout(Duration::from_secs(10), watch.next()).await.unwrap().unwrap().unwrap_err();
    assert!(error.may_retry(), "{error:?}");
    bench.server.restart();
    assert!(matches!(news(&mut watch).await, News::CaughtUp { .. }));
}
