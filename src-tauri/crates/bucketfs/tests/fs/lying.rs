//! A Hub that lies about what is in the bucket, seen from the file system.

use std::sync::Arc;

use bucketfs::{BucketFs, ErrorKind, Kind, ROOT};
use serde_json::json;
use testkit::{Lie, LyingHub};

use crate::rig::{Rig, find, names, read_file};

fn file(path: &str) -> serde_json::Value {
    json!({"type": "file", "path": path, "size": 3, "xetHash": "ab".repeat(32)})
}

/// A file system over a Hub that lists `entries` whatever is asked.
async fn over(rig: &Rig, entries: serde_json::Value) -> (LyingHub, Arc<BucketFs>) {
    let hub = LyingHub::start(move |target, _| match target {
        _ if target.contains("/tree") => Lie::body(entries.to_string()),
        _ => Lie::status(404),
    });
    let config = hub::HubConfig {
        endpoint: hub::parse_endpoint(&hub.endpoint()).unwrap(),
        token: Arc::new(hub::StaticToken::new("hf_alice", "the tests")),
        cache_root: rig.state.path().join("xet"),
        user_agent: "bucketfs-tests".into(),
        limits: hub::Limits::default(),
    };
    let client = hub::Hub::new(config).unwrap().bucket(rig.bucket.parse::<hub::BucketName>().unwrap());
    let fs = BucketFs::open(rig.config(), client, rig.events.clone()).await.unwrap();
    (hub, fs)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lying_listing_shows_what_can_be_and_nothing_leaves_the_folder() {
    let rig = Rig::new();
    let long = "x".repeat(400);
    let entries = json!([
        file("good"), file("good"), file("../x"), file("/abs"), file(""), file("/"), file("."), file(".."), file("a//b"),
        file("nul\u{0}"), file("both"), {"type": "directory", "path": "both"}, {"type": "directory", "path": "dir/"},
        {"type": "directory", "path": ".."}, {"type": "symlink", "path": "link", "target": "/etc/passwd"},
        file("esc\u{1b}[2J"), file(&long),
    ]);
    let (_hub, fs) = over(&rig, entries).await;
    let shown = names(&fs, "").await;
    for name in ["good", "dir", "both", "esc\u{1b}[2J"] {
        assert_eq!(shown.iter().filter(|one| *one == name).count(), 1, "{name} in {shown:?}");
    }
    for name in &shown {
        assert!(
            !name.contains(['/', '\0']) && !["", ".", "..", "link"].contains(&name.as_str()),
            "{shown:?}"
        );
        assert!(name.len() <= 255, "{name}");
        let id = find(&fs, name).await.unwrap();
        assert!(matches!(fs.getattr(id).await.unwrap().kind, Kind::File | Kind::Directory), "{name}");
    }
    assert!(shown.iter().any(|name| name.starts_with("both~")), "file and folder of one name: {shown:?}");
    assert!(shown.iter().any(|name| name.starts_with("xxx")), "{shown:?}");
    let outside: Vec<_> =
        std::fs::read_dir(rig.state.path()).unwrap().flatten().map(|e| e.file_name()).collect();
    assert!(outside.iter().all(|name| name == "state" || name == "xet"), "{outside:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_size_no_file_can_have_is_an_error_and_no_empty_folder() {
    let rig = Rig::new();
    let huge = json!([{"type": "file", "path": "f", "size": 1u64 << 63, "xetHash": "ab".repeat(32)}]);
    let (_hub, fs) = over(&rig, huge).await;
    let looked = fs.lookup(ROOT, b"f").await.unwrap_err();
    assert_ne!(looked.kind, ErrorKind::NotFound, "{looked}");
    assert!(fs.readdir(ROOT, 0, 100).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_that_differ_by_case_are_two_files() {
    let rig = Rig::new();
    for (path, content) in [("README", "large"), ("readme", "small"), ("Dir/a", "D"), ("dir/a", "d")] {
        rig.put(path, content.as_bytes());
    }
    let fs = rig.open().await;
    assert_eq!(names(&fs, "").await.len(), 4);
    for (path, content) in [("README", "large"), ("readme", "small"), ("Dir/a", "D"), ("dir/a", "d")] {
        assert_eq!(read_file(&fs, path).await, content.as_bytes(), "{path}");
    }
    assert_eq!(fs.lookup(ROOT, b"ReadMe").await.unwrap_err().kind, ErrorKind::NotFound);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cookie_that_nobody_gave_is_after_the_last_name() {
    let rig = Rig::new();
    rig.put("a", b"a");
    let fs = rig.open_quiet().await;
    assert_eq!(names(&fs, "").await, ["a"]);
    for cookie in [i64::MAX as u64, 1 << 63, u64::MAX] {
        let page = fs.readdir(ROOT, cookie, 10).await.unwrap();
        assert!(page.entries.is_empty() && page.end, "{cookie}: {} names", page.entries.len());
    }
}
