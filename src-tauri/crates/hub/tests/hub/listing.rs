//! Listings and what the Hub says about buckets.

use std::collections::BTreeSet;

use futures_util::TryStreamExt;
use hub::{BucketName, TreeEntry};

use crate::bench::{Bench, names};

const ODD: &[&str] = &[
    "with space/a b.txt",
    "hash#tag?query%41&x=y+z.txt",
    "emoji 🦀/🪣.bin",
    "caf\u{e9}.txt",
    "cafe\u{301}.txt",
    "dots/.hidden/...three",
    "back\u{2028}line",
];

#[tokio::test(flavor = "multi_thread")]
async fn odd_names_come_back_as_they_were_given() {
    let bench = Bench::new();
    bench.server.client().put_many("alice/box", ODD.iter().map(|name| (*name, name.as_bytes())));
    let all: BTreeSet<String> = names(bench.bucket.list_all("")).await.into_iter().collect();
    assert_eq!(all, ODD.iter().map(|s| s.to_string()).collect());
    assert_eq!(names(bench.bucket.list_dir("with space")).await, ["with space/a b.txt"]);
    assert_eq!(names(bench.bucket.list_dir("emoji 🦀")).await, ["emoji 🦀/🪣.bin"]);
    let paths: Vec<String> = ODD.iter().map(|s| s.to_string()).collect();
    let found = bench.bucket.paths_info(&paths).await.unwrap();
    assert_eq!(found.len(), ODD.len());
    assert!(found.iter().all(|file| file.size == file.path.len() as u64 && file.xet_hash.len() == 64));
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_names_come_page_by_page_and_none_twice() {
    let bench = Bench::new();
    let wanted: Vec<String> = (0..10_050).map(|i| format!("many/file {i:05}")).collect();
    bench.server.client().put_many("alice/box", wanted.iter().map(|name| (name.as_str(), &b"same"[..])));
    let pages: Vec<Vec<TreeEntry>> = bench.bucket.list_dir("many").try_collect().await.unwrap();
    assert!(pages.len() >= 3, "{} pages", pages.len());
    let mut found: Vec<&str> = pages.iter().flatten().map(TreeEntry::path).collect();
    found.sort_unstable();
    assert_eq!(found, wanted);
}

#[tokio::test(flavor = "multi_thread")]
async fn neighbours_that_share_the_beginning_are_not_in_the_directory() {
    let bench = Bench::new();
    let files = ["logs/a", "logs/sub/b", "logs.json", "logs_backup/c", "logs/sub2/d", "other"];
    bench.server.client().put_many("alice/box", files.iter().map(|name| (*name, &b"x"[..])));
    let pages: Vec<Vec<TreeEntry>> = bench.bucket.list_dir("logs").try_collect().await.unwrap();
    let mut found = pages.concat();
    found.sort_by(|a, b| a.path().cmp(b.path()));
    let [TreeEntry::File(a), TreeEntry::Directory { path: sub, .. }, TreeEntry::Directory { path: sub2, .. }] =
        &found[..]
    else {
        panic!("{found:?}")
    };
    assert_eq!((a.path.as_str(), sub.as_str(), sub2.as_str()), ("logs/a", "logs/sub", "logs/sub2"));
    let mut all = names(bench.bucket.list_all("logs")).await;
    all.sort();
    assert_eq!(all, ["logs/a", "logs/sub/b", "logs/sub2/d"]);
    assert!(names(bench.bucket.list_dir("log")).await.is_empty());
    assert!(names(bench.bucket.list_dir("../other-bucket")).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn buckets_are_made_listed_changed_moved_and_deleted() {
    let bench = Bench::new();
    let (one, two) = (BucketName::new("alice", "one"), BucketName::new("alice", "two"));
    let account = bench.hub.whoami().await.unwrap();
    assert_eq!(account.name, "alice");
    assert!(!bench.hub.create_bucket(&one, true).await.unwrap().existed);
    let again = bench.hub.create_bucket(&one, true).await.unwrap();
    assert!(again.existed && again.url.is_some(), "{again:?}");
    assert!(bench.hub.bucket(one.clone()).info().await.unwrap().private);
    bench.hub.set_private(&one, false).await.unwrap();
    assert!(!bench.hub.bucket(one.clone()).info().await.unwrap().private);
    bench.hub.move_bucket(&one, &two).await.unwrap();
    let listed: BTreeSet<String> =
        bench.hub.list_buckets("me").await.unwrap().into_iter().map(|info| info.id).collect();
    assert_eq!(listed, ["alice/box", "alice/two"].map(String::from).into());
    bench.hub.delete_bucket(&two).await.unwrap();
    assert_eq!(bench.hub.list_buckets("alice").await.unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_buckets_revision_moves_with_every_change() {
    let bench = Bench::new();
    let before = bench.bucket.info().await.unwrap();
    bench.server.client().put("alice/box", "a", b"12345");
    let after = bench.bucket.info().await.unwrap();
    assert_eq!((after.size, after.total_files), (5, 1));
    assert_ne!(before.updated_at, after.updated_at);
}
