//! What a person decides on the command line: conflicts, undo, the limits of uploads.

use crate::support::Room;

const WAIT: &[&str] = &["--wait", "--timeout", "60"];

#[tokio::test(flavor = "multi_thread")]
async fn an_overwritten_version_is_listed_and_restored() {
    let room = Room::new();
    let engine = room.serve();
    let mut wire = engine.mount().await;
    let file = wire.put("f.txt", b"version 1").await;
    room.control("sync", WAIT).ok();
    wire.write(&file, b"VERSION 2").await;
    wire.commit(&file).await;
    room.control("sync", WAIT).ok();
    let listed = room.control("recent-deletes", &[]).ok().stdout;
    assert!(listed.contains("overwritten") && listed.contains("f.txt"), "{listed}");
    let done = room.control("restore", &["f.txt", "--as", "old.txt"]).ok();
    assert_eq!(done.stdout, "It is back as old.txt.\n");
    room.control("sync", WAIT).ok();
    assert_eq!(room.hub.client().read(&room.bucket, "old.txt"), b"version 1");
    assert_eq!(room.hub.client().read(&room.bucket, "f.txt"), b"VERSION 2");
    let missing = room.control("restore", &["never.txt"]);
    assert_eq!(missing.code, Some(1));
    missing.says("Nothing that was at never.txt has been deleted or overwritten here.");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conflict_is_listed_and_solved() {
    let room = Room::new();
    let engine = room.serve();
    let mut wire = engine.mount().await;
    let file = wire.put("doc.txt", b"version 1").await;
    room.control("sync", WAIT).ok();
    assert_eq!(room.control("conflicts", &[]).ok().stdout, "No file is kept in two versions.\n");
    room.control("pause", &["--minutes", "10"]).ok();
    assert_ne!(room.control("status", &["--json"]).json()["paused_until_ms"], serde_json::Value::Null);
    wire.write(&file, b"VERSION 2").await;
    wire.commit(&file).await;
    room.hub.client().put(&room.bucket, "doc.txt", b"theirs");
    room.control("resume", &[]).ok();
    room.control("sync", WAIT).ok();
    let conflicts = room.control("conflicts", &["--json"]).json();
    let id = conflicts[0]["id"].to_string();
    assert_eq!(conflicts[0]["path"], "doc.txt", "{conflicts}");
    assert!(room.control("status", &[]).ok().stdout.contains("1 file needs you"));
    room.control("resolve", &[&id, "--keep", "mine"]).ok();
    room.control("sync", WAIT).ok();
    assert_eq!(room.hub.client().paths(&room.bucket), ["doc.txt"]);
    assert_eq!(room.hub.client().read(&room.bucket, "doc.txt"), b"VERSION 2");
    let again = room.control("resolve", &[&id, "--keep", "both"]);
    assert_eq!(again.code, Some(1));
    again.says(&format!("There is no conflict {id} (any more)."));
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_are_said_and_kept_and_dropping_an_edit_asks_first() {
    let room = Room::new();
    let engine = room.serve();
    let mut wire = engine.mount().await;
    let set = room.control("limits", &["--parallel", "2", "--upload", "500000"]).ok();
    assert_eq!(
        set.stdout,
        "At most 2 uploads run beside each other, with at most 500.0 kB a second together.\n"
    );
    let file = wire.put("f", b"version 1").await;
    room.control("sync", WAIT).ok();
    room.control("pause", &[]).ok();
    wire.write(&file, b"VERSION 2").await;
    wire.commit(&file).await;
    let asked = room.control("discard", &["f"]);
    assert_eq!(asked.code, Some(1));
    asked.says("--yes");
    assert_eq!(wire.read(&file).await, b"VERSION 2", "nothing was dropped");
    room.control("discard", &["f", "--yes"]).ok();
    assert_eq!(wire.read(&file).await, b"version 1");
    assert_eq!(room.control("deletes", &[]).ok().stdout, "No deletion waits for an answer.\n");
    engine.kill();
    let _engine = room.serve();
    let kept = room.control("limits", &["--json"]).json();
    assert_eq!((&kept["parallel"], &kept["upload_bytes_per_s"]), (&2.into(), &500_000.into()));
}
