//! Repos at a revision: listings, contents in and outside Xet, branches that move and tags that do not, gates.

use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt};
use hub::{Bucket, ErrorClass, ErrorCode, FileEntry, Limits, News, RepoKind, RepoName, Resume, TreeEntry};
use testkit::{Fault, Harm};

use crate::bench::{Bench, limits, names, read, sample};

const REPO: &str = "models/alice/bert";

fn name(text: &str) -> RepoName {
    text.parse().unwrap()
}

fn commit(bench: &Bench, branch: &str, files: &[(&str, &[u8], &str)], delete: &[&str]) -> String {
    bench.server.client().commit_repo(REPO, branch, files, delete)
}

fn filled() -> Bench {
    let bench = Bench::new();
    bench.server.client().create_repo(REPO, "");
    let big = sample(1, 3_000_000);
    commit(
        &bench,
        "main",
        &[
            ("README.md", b"# one\n", "git"),
            ("a b/c#.txt", b"odd", "git"),
            ("a b/model.bin", &big, "xet"),
            ("old/train.bin", &big, "lfs"),
            ("empty", b"", "git"),
        ],
        &[],
    );
    bench
}

async fn entry(bucket: &Bucket, path: &str) -> FileEntry {
    let pages: Vec<Vec<TreeEntry>> = bucket.list_all("").try_collect().await.unwrap();
    let found = pages.into_iter().flatten().find_map(|entry| match entry {
        TreeEntry::File(file) if file.path == path => Some(file),
        _ => None,
    });
    found.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_sort_of_file_is_listed_and_read_to_the_byte() {
    let bench = filled();
    let repo = bench.hub.bucket(name(REPO));
    let mut all = names(repo.list_all("")).await;
    all.sort_unstable();
    assert_eq!(all, ["README.md", "a b/c#.txt", "a b/model.bin", "empty", "old/train.bin"]);
    let mut top = names(repo.list_dir("")).await;
    top.sort_unstable();
    assert_eq!(top, ["README.md", "a b", "empty", "old"]);
    assert!(names(repo.list_dir("nothing")).await.is_empty());
    let big = sample(1, 3_000_000);
    for (path, want) in [
        ("README.md", &b"# one\n"[..]),
        ("a b/c#.txt", b"odd"),
        ("a b/model.bin", &big),
        ("old/train.bin", &big),
    ] {
        let file = entry(&repo, path).await;
        assert_eq!(file.size, want.len() as u64, "{path}");
        assert_eq!(read(&repo, &file.xet_hash, file.size, 0..file.size).await.unwrap(), want, "{path}");
        let part = file.size / 3..file.size - 1;
        let bytes = read(&repo, &file.xet_hash, file.size, part.clone()).await.unwrap();
        assert_eq!(bytes, want[part.start as usize..part.end as usize], "{path}");
    }
    assert!(!repo.can_write().await.unwrap());
    let refused = repo.batch(&[hub::BatchOp::Delete { path: "README.md".into() }]).await.unwrap_err();
    assert_eq!(refused.class, ErrorClass::Forbidden);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_gives_whole_files_and_one_that_breaks_off_are_read_all_the_same() {
    let bench = Bench::on(testkit::LocalHub::builder().argument("--resolve-without-ranges").start());
    bench.server.client().create_repo(REPO, "");
    let text = sample(2, 500_000);
    commit(&bench, "main", &[("text", &text, "git")], &[]);
    let repo = bench.hub.bucket(name(REPO));
    let file = entry(&repo, "text").await;
    let fault = Fault::on("resolve-cache", Harm::Truncate { after: 100_000 }).times(1);
    bench.server.faults().add(fault);
    assert_eq!(read(&repo, &file.xet_hash, file.size, 70_000..300_000).await.unwrap(), text[70_000..300_000]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_branch_moves_on_a_tag_stays_and_old_content_is_still_read() {
    let bench = filled();
    let client = bench.server.client();
    client.tag_repo(REPO, "v1", "main");
    let quick = Limits { repo_poll: Duration::from_millis(200), ..limits() };
    let hub = bench.another_with(Some("hf_alice"), quick);
    let (branch, tag) = (hub.bucket(name(REPO)), hub.bucket(name(&format!("{REPO}@v1"))));
    let before = entry(&branch, "README.md").await;
    tag.info().await.unwrap();
    assert!(tag.commit().unwrap().frozen && !branch.commit().unwrap().frozen);
    let listed_at = branch.info().await.unwrap().updated_at.unwrap();
    let mut watch = branch.watch(Resume::Since(listed_at));
    let sha = commit(&bench, "main", &[("README.md", b"# two, longer\n", "git")], &["empty"]);
    let news = tokio::time::timeout(Duration::from_secs(10), watch.next()).await.unwrap().unwrap().unwrap();
    assert!(matches!(news, News::Relist { .. }), "{news:?}");
    assert_eq!(branch.commit().unwrap().sha, sha);
    let after = entry(&branch, "README.md").await;
    assert_ne!(after.xet_hash, before.xet_hash);
    assert_eq!(
        read(&branch, &after.xet_hash, after.size, 0..after.size).await.unwrap(),
        &b"# two, longer\n"[..]
    );
    assert_eq!(read(&branch, &before.xet_hash, before.size, 0..before.size).await.unwrap(), &b"# one\n"[..]);
    assert_eq!(
        entry(&tag, "README.md").await,
        FileEntry { uploaded_at_ms: entry(&tag, "README.md").await.uploaded_at_ms, ..before }
    );
    let refs = branch.refs().await.unwrap();
    assert_eq!((refs.branches, refs.tags), (vec!["main".to_owned()], vec!["v1".to_owned()]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gate_a_missing_revision_and_a_missing_repo_are_said_with_what_to_do() {
    let bench = filled();
    bench.server.client().create_repo("models/acme/gated", "&gated=1");
    let gated = bench.hub.bucket(name("models/acme/gated")).info().await.unwrap_err();
    assert_eq!((gated.class, gated.code), (ErrorClass::Forbidden, Some(ErrorCode::GatedRepo)));
    assert!(gated.advice.contains("accept its terms"), "{}", gated.advice);
    let revision = bench.hub.bucket(name(&format!("{REPO}@nowhere"))).info().await.unwrap_err();
    assert_eq!((revision.class, revision.code), (ErrorClass::NotFound, Some(ErrorCode::RevisionNotFound)));
    let missing = bench.hub.bucket(name("datasets/alice/none")).info().await.unwrap_err();
    assert_eq!(missing.class, ErrorClass::NotFound);
    let rows = bench.hub.list_repos(RepoKind::Model, "alice").await.unwrap();
    assert_eq!(rows.iter().map(|row| row.name.to_string()).collect::<Vec<_>>(), [REPO]);
}
