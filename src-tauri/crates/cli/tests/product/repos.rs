//! Repos served read-only: read to the byte over the wire, every change refused, said as what they are.

use nfs3_types::nfs3::nfsstat3;

use crate::support::{Engine, Room};

const REPO: &str = "models/alice/bert";

fn filled() -> Room {
    let room = Room::new();
    let client = room.hub.client();
    client.create_repo(REPO, "");
    let big = testkit::bytes(5, 2_500_000);
    let files: [(&str, &[u8], &str); 4] = [
        ("README.md", b"# one\n", "git"),
        (".gitattributes", b"*.bin filter=lfs\n", "git"),
        ("a folder/model.bin", &big, "xet"),
        ("old.bin", &big, "lfs"),
    ];
    client.commit_repo(REPO, "main", &files, &[]);
    client.tag_repo(REPO, "v1", "main");
    room
}

fn serve(room: &Room, repo: &str) -> Engine {
    let state = room.state();
    Engine::start(room.command(&["serve", repo, "--state", state.to_str().unwrap()]))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repo_is_read_over_the_wire_and_no_change_is_taken() {
    let room = filled();
    let engine = serve(&room, REPO);
    let mut wire = engine.mount().await;
    let root = wire.root.clone();
    let big = testkit::bytes(5, 2_500_000);
    let folder = wire.lookup(&root, "a folder").await.unwrap();
    for (parent, name, want) in [
        (&root, "README.md", &b"# one\n"[..]),
        (&root, ".gitattributes", b"*.bin filter=lfs\n"),
        (&root, "old.bin", &big),
        (&folder, "model.bin", &big),
    ] {
        let file = wire.lookup(parent, name).await.unwrap();
        assert_eq!(wire.read(&file).await, want, "{name}");
    }
    assert_eq!(wire.create("new").await.unwrap_err(), nfsstat3::NFS3ERR_ROFS);
    let state = room.state();
    let status = room.run(&["status", REPO, "--state", state.to_str().unwrap()]).ok();
    assert!(status.stdout.starts_with("models/alice/bert: Read-only, revision main ("), "{status:?}");
    let other = room.run(&["serve", "models/alice/bert@v1", "--state", state.to_str().unwrap()]);
    assert_eq!(other.code, Some(1));
    other.says("belongs to models/alice/bert of");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tag_shows_what_it_named_and_the_cache_works_without_the_hub() {
    let mut room = filled();
    room.hub.client().commit_repo(REPO, "main", &[("README.md", b"# two\n", "git")], &["old.bin"]);
    let engine = serve(&room, "models/alice/bert@v1");
    let mut wire = engine.mount().await;
    let root = wire.root.clone();
    let readme = wire.lookup(&root, "README.md").await.unwrap();
    assert_eq!(wire.read(&readme).await, b"# one\n");
    let old = wire.lookup(&root, "old.bin").await.unwrap();
    assert_eq!(wire.read(&old).await, testkit::bytes(5, 2_500_000));
    engine.terminate();
    room.hub.stop();
    let engine = serve(&room, "models/alice/bert@v1");
    let mut wire = engine.mount().await;
    assert_eq!(wire.read(&readme).await, b"# one\n", "kept, without the Hub");
    assert_eq!(wire.read(&old).await, testkit::bytes(5, 2_500_000));
}

/// Also files outside Xet, which the Hub knows by another name than the cache does.
#[tokio::test(flavor = "multi_thread")]
async fn a_repo_is_kept_offline_whole() {
    let mut room = filled();
    let engine = serve(&room, REPO);
    let state = room.state();
    let kept = room.run(&["pin", REPO, "--state", state.to_str().unwrap(), "--yes", "--wait"]).ok();
    assert!(kept.stdout.contains("everything: kept"), "{kept:?}");
    room.hub.stop();
    let mut wire = engine.mount().await;
    let root = wire.root.clone();
    for (name, want) in [("README.md", b"# one\n".to_vec()), ("old.bin", testkit::bytes(5, 2_500_000))] {
        let file = wire.lookup(&root, name).await.unwrap();
        assert_eq!(wire.read(&file).await, want, "{name}");
    }
    let folder = wire.lookup(&root, "a folder").await.unwrap();
    let model = wire.lookup(&folder, "model.bin").await.unwrap();
    assert_eq!(wire.read(&model).await, testkit::bytes(5, 2_500_000));
}

/// Of a file outside Xet the Hub has the bytes by commit and path only.
#[tokio::test(flavor = "multi_thread")]
async fn what_an_earlier_life_listed_can_be_read_after_the_branch_has_moved() {
    let room = filled();
    let engine = serve(&room, REPO);
    let mut wire = engine.mount().await;
    let root = wire.root.clone();
    let readme = wire.lookup(&root, "README.md").await.unwrap();
    engine.terminate();
    room.hub.client().commit_repo(REPO, "main", &[("README.md", b"# two\n", "git")], &[]);
    let engine = serve(&room, REPO);
    let mut wire = engine.mount().await;
    let read = wire.read(&readme).await;
    assert!([&b"# one\n"[..], b"# two\n"].contains(&&read[..]), "{read:?}");
}

#[test]
fn a_repo_is_listed_and_what_is_not_there_is_said() {
    let room = filled();
    let listed = room.run(&["ls", "models/alice/bert"]).ok().stdout;
    assert!(listed.contains("README.md") && listed.contains("a folder/"), "{listed}");
    assert!(room.run(&["ls", "models/alice/bert@v1/a folder"]).ok().stdout.contains("model.bin"));
    room.hub.client().create_repo("datasets/acme/gated", "&gated=1");
    for (repo, part) in [
        ("models/alice/bert@v9", "Check the branch, the tag or the commit"),
        ("models/alice/none", "Check the name"),
        ("datasets/acme/gated", "accept its terms"),
        ("models/..", "is not a repo's name"),
    ] {
        let state = room.dir.path().join("other");
        let done = room.run(&["serve", repo, "--state", state.to_str().unwrap()]);
        assert!(done.code.is_some_and(|code| code != 0), "{repo}: {done:?}");
        done.says(part);
        assert!(!state.exists(), "{repo} leaves nothing behind");
    }
}
