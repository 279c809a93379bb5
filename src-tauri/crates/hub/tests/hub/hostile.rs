//! A Hub that lies: lists without an end, absurd sizes and waits, entries of kinds that no bucket has.

use std::time::{Duration, Instant};

use futures_util::{StreamExt, TryStreamExt};
use hub::{BatchOp, BucketName, ErrorClass, Hub, Limits, Resume, TreeEntry};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::json;
use testkit::{Lie, LyingHub, TempDir};

use crate::bench::{config, limits, names};

struct Lied {
    server: LyingHub,
    hub: Hub,
    _dir: TempDir,
}

impl Lied {
    fn with(limits: Limits, answer: impl Fn(&str, &str) -> Lie + Send + Sync + 'static) -> Lied {
        let server = LyingHub::start(answer);
        let dir = testkit::tempdir().unwrap();
        let mut config = config(&server.endpoint(), Some("hf_alice"), &dir);
        config.limits = limits;
        Lied { hub: Hub::new(config).unwrap(), server, _dir: dir }
    }

    fn tell(entries: serde_json::Value) -> Lied {
        Lied::with(limits(), move |_, _| Lie::body(entries.to_string()))
    }

    fn bucket(&self) -> hub::Bucket {
        self.hub.bucket(BucketName::new("alice", "box"))
    }
}

fn file(path: &str) -> serde_json::Value {
    json!({"type": "file", "path": path, "size": 1, "xetHash": "ab".repeat(32)})
}

fn linked(body: impl Into<Vec<u8>>, next: &str) -> Lie {
    Lie::body(body).header("Link", &format!("<{next}>; rel=\"next\""))
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_in_a_circle_of_any_length_are_an_error() {
    // The first page, then three that go round.
    let lied = Lied::with(limits(), |target, here| {
        let at: usize = target.split("at=").nth(1).and_then(|n| n.parse().ok()).unwrap_or(0);
        let path = target.split('?').next().unwrap_or_default();
        linked(json!([file("same")]).to_string(), &format!("{here}{path}?at={}", at % 3 + 1))
    });
    for pages in [lied.bucket().list_dir(""), lied.bucket().list_all("")] {
        let error = pages.try_collect::<Vec<_>>().await.unwrap_err();
        assert_eq!(error.class, ErrorClass::Broken, "{error:?}");
        assert!(error.what.contains("go round in a circle"), "{error}");
    }
    assert_eq!(lied.server.asked(), 8, "each page once");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_accounts_buckets_in_a_circle_are_an_error_too() {
    let lied = Lied::with(limits(), |_, here| linked("[]", &format!("{here}/api/buckets/alice?x=1")));
    let error = lied.hub.list_buckets("alice").await.unwrap_err();
    assert!(error.what.contains("go round in a circle"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_without_an_end_come_to_one() {
    let next = |target: &str, here: &str| format!("{here}{target}1");
    let few = Limits { list_pages: 40, ..limits() };
    let lied = Lied::with(few, move |target, here| linked("[]", &next(target, here)));
    let error = lied.bucket().list_dir("").try_collect::<Vec<_>>().await.unwrap_err();
    assert!(error.what.contains("has no end"), "{error}");
    assert_eq!(lied.server.asked(), 40);

    let small = Limits { list_bytes: 100_000, ..limits() };
    let lied = Lied::with(small, move |target, here| {
        linked(format!("[{}]", " ".repeat(9_000)), &next(target, here))
    });
    let error = lied.bucket().list_dir("").try_collect::<Vec<_>>().await.unwrap_err();
    assert!(error.what.contains("is too long"), "{error}");
    assert_eq!(lied.server.asked(), 12);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_too_long_is_refused_while_it_comes() {
    assert_eq!(Limits::default().answer, 64 << 20);
    let lied = Lied::with(limits(), |_, _| Lie::body(vec![b' '; (64 << 20) + 1]));
    let error = lied.bucket().info().await.unwrap_err();
    assert_eq!(error.class, ErrorClass::Broken);
    assert!(error.what.contains("the answer is too long"), "{error}");
    let lied = Lied::with(limits(), |_, _| Lie { status: 422, ..Lie::body(vec![b' '; 20 << 20]) });
    let error = lied.bucket().info().await.unwrap_err();
    assert_eq!(
        (error.class, error.status),
        (ErrorClass::Rejected, Some(422)),
        "the long body of a refusal is left"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn sizes_no_file_can_have_are_an_error_and_never_a_small_file() {
    for size in ["9223372036854775808", "18446744073709551615", "18446744073709551616", "-1", "1.5", "\"7\""]
    {
        let body = format!(r#"[{{"type":"file","path":"f","size":{size},"xetHash":"{}"}}]"#, "ab".repeat(32));
        let lied = Lied::with(limits(), move |_, _| Lie::body(body.clone()));
        let error = lied.bucket().list_dir("").try_collect::<Vec<_>>().await.unwrap_err();
        assert_eq!(error.class, ErrorClass::Broken, "{size}: {error:?}");
        assert_eq!(
            lied.bucket().paths_info(&["f".into()]).await.unwrap_err().class,
            ErrorClass::Broken,
            "{size}"
        );
    }
    let largest = json!([{"type": "file", "path": "f", "size": i64::MAX, "xetHash": "ab".repeat(32)}]);
    let pages: Vec<Vec<TreeEntry>> = Lied::tell(largest).bucket().list_dir("").try_collect().await.unwrap();
    assert!(matches!(&pages[0][..], [TreeEntry::File(file)] if file.size == i64::MAX as u64));
}

#[tokio::test(flavor = "multi_thread")]
async fn symlinks_and_other_kinds_that_a_bucket_has_not_are_left_out() {
    let odd = |kind: &str| json!({"type": kind, "path": format!("of {kind}"), "target": "/etc/passwd", "size": 0, "xetHash": "ab".repeat(32)});
    let lied = Lied::tell(json!([
        odd("symlink"),
        odd("link"),
        odd(""),
        odd("submodule"),
        odd("FILE"),
        file("good")
    ]));
    assert_eq!(names(lied.bucket().list_dir("")).await, ["good"]);
    assert_eq!(names(lied.bucket().list_all("")).await, ["good"]);
    let found = lied.bucket().paths_info(&["good".into()]).await.unwrap();
    assert_eq!(found.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_key_many_times_is_taken_once_and_keys_elsewhere_not_at_all() {
    let lied = Lied::tell(json!([
        file("d/a"),
        file("d/a"),
        file("d/b/c"),
        file("d/b/e"),
        file("e"),
        file("/d/a"),
        file("../d/a"),
        file(""),
        file("d"),
        file("d/")
    ]));
    assert_eq!(names(lied.bucket().list_dir("d")).await, ["d/a", "d/b"]);
    assert_eq!(
        names(lied.bucket().list_all("d")).await.len(),
        4,
        "two of them the same: a walk remembers no names"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_absurd_wait_is_no_panic_and_not_waited_for() {
    for (name, value) in
        [("Retry-After", "18446744073709551615"), ("RateLimit", "\"api\";r=0;t=18446744073709551615")]
    {
        let lied = Lied::with(limits(), move |_, _| Lie::status(429).header(name, value));
        let began = Instant::now();
        let error = lied.bucket().info().await.unwrap_err();
        assert_eq!(error.retry_after(), Some(Duration::from_secs(24 * 60 * 60)), "{name}");
        assert!(began.elapsed() < Duration::from_secs(5));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn addresses_that_are_none_end_a_call_with_an_error() {
    for place in ["", "http://", "//", "javascript:alert(1)", "file:///etc/passwd", "http://[", "/\u{7f}"] {
        let place = place.to_owned();
        let lied = Lied::with(limits(), move |_, _| Lie::status(302).header("Location", &place));
        assert!(lied.bucket().info().await.is_err());
    }
}

/// Answers of each kind as an honest Hub gives them.
const TREE: &str = r#"[{"type":"file","path":"d/größe.bin","size":12,"xetHash":"abababababababababababababababababababababababababababababababab","mtime":"2026-01-02T03:04:05.678Z","uploadedAt":"2026-01-02T03:04:05.000Z"},{"type":"directory","path":"d/sub","uploadedAt":"2026-01-02T03:04:05.000Z"}]"#;
const BATCH: &str =
    r#"{"success":false,"processed":2,"succeeded":1,"failed":[{"path":"d/a","error":"no such content"}]}"#;
const INFO: &str = r#"{"id":"alice/box","private":true,"createdAt":"2026-01-02T03:04:05.000Z","updatedAt":"2026-01-02T03:04:05.000Z","size":12,"totalFiles":1}"#;
const FEED: &str = "event: ready\ndata: {\"cursor\":\"7\"}\n\n: ping\n\nevent: changes\ndata: {\"cursor\":\"8\",\"changes\":[{\"path\":\"d/a\",\"op\":\"update\",\"size\":3,\"xetHash\":\"ab\",\"uploadedAt\":\"2026-01-02T03:04:05.000Z\"}]}\n\nevent: reset\ndata: {\"reason\":\"gap\"}\n\n";

/// Seeded, so that what it finds can be found again.
#[tokio::test(flavor = "multi_thread")]
async fn damaged_answers_are_errors_or_make_sense_and_nothing_panics() {
    let seeds = if std::env::var_os("BUCKETBAR_FULL").is_some() { 1_000 } else { 60 };
    for seed in 0..seeds {
        let lied = Lied::with(limits(), move |target, _| {
            let honest = match target {
                _ if target.contains("/events") => FEED,
                _ if target.contains("/batch") => BATCH,
                _ if target.contains("/tree") || target.contains("/paths-info") => TREE,
                _ => INFO,
            };
            Lie::body(damaged(honest, seed))
        });
        let bucket = lied.bucket();
        for page in bucket.list_dir("d").try_collect::<Vec<_>>().await.into_iter().flatten().flatten() {
            assert!(page.path().starts_with("d/"), "seed {seed}: {page:?} is not in the folder");
        }
        let _ = bucket.list_all("").try_collect::<Vec<_>>().await;
        let _ = bucket.paths_info(&["d/a".into()]).await;
        let _ = bucket.batch(&[BatchOp::Delete { path: "d/a".into() }]).await;
        let _ = bucket.info().await;
        let mut news = bucket.watch(Resume::Cursor("6".into()));
        let heard = tokio::time::timeout(Duration::from_millis(20), async {
            for _ in 0..3 {
                let _ = news.next().await;
            }
        });
        let _ = heard.await;
    }
}

fn damaged(honest: &str, seed: u64) -> Vec<u8> {
    let mut random = StdRng::seed_from_u64(seed);
    let mut bytes = honest.as_bytes().to_vec();
    for _ in 0..random.random_range(1..5) {
        let at = random.random_range(0..bytes.len());
        match random.random_range(0..6) {
            0 => bytes[at] = random.random(),
            1 => bytes[at] ^= 1 << random.random_range(0..8),
            2 => bytes.truncate(at.max(1)),
            3 => bytes.insert(at, random.random()),
            4 => drop(bytes.splice(at..at, *b"99999999999999999999")),
            _ => {
                let end = random.random_range(at..bytes.len());
                let piece = bytes[at..end].to_vec();
                bytes.splice(at..at, piece);
            }
        }
    }
    bytes
}
