//! The main job through the product's own binary: a bucket served, written and read over the wire, in sync
//! with a Hub, across restarts.

use std::time::{Duration, Instant};

use crate::support::{Engine, Room, files_below};
use nfs3_types::nfs3::nfsstat3;
use testkit::{Fault, Harm};

#[tokio::test(flavor = "multi_thread")]
async fn what_is_written_over_the_wire_is_on_the_hub_after_a_sync() {
    let room = Room::new();
    let engine = room.serve();
    let mut wire = engine.mount().await;
    let data = testkit::bytes(7, 3_000_000);
    let file = wire.put("new file.bin", &data).await;
    assert_eq!(wire.read(&file).await, data);
    let done = room.control("sync", &["--wait", "--timeout", "60"]);
    assert_eq!((done.code, done.stdout.as_str()), (Some(0), "Everything is on the Hub.\n"), "{done:?}");
    assert_eq!(room.hub.client().read(&room.bucket, "new file.bin"), data);
    let status = room.control("status", &["--json"]).json();
    assert_eq!((&status["all_saved"], &status["failed"]), (&true.into(), &0.into()));
    let told = room.control("events", &["--json"]).json();
    let saved = told["events"].as_array().unwrap().iter().any(|event| event["kind"] == "saved");
    assert!(saved, "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_on_the_hub_is_read_over_the_wire() {
    let room = Room::new();
    let data = testkit::bytes(8, 2_500_000);
    room.hub.client().put(&room.bucket, "a folder/b c.bin", &data);
    let engine = room.serve();
    let mut wire = engine.mount().await;
    let root = wire.root.clone();
    let folder = wire.lookup(&root, "a folder").await.unwrap();
    let file = wire.lookup(&folder, "b c.bin").await.unwrap();
    assert_eq!(wire.read(&file).await, data);
    assert_eq!(wire.lookup(&folder, "nothing").await.unwrap_err(), nfsstat3::NFS3ERR_NOENT);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_comes_back_on_the_same_port_with_the_same_handles() {
    let room = Room::new();
    let engine = room.serve();
    let mut wire = engine.mount().await;
    let data = testkit::bytes(9, 300_000);
    let file = wire.put("kept.bin", &data).await;
    let first_line = engine.first_line.clone();
    let (status, took, _) = engine.terminate();
    assert!(status.success());
    assert!(took < Duration::from_secs(5), "SIGTERM took {took:?}");
    let engine = room.serve();
    assert_eq!(engine.first_line, first_line);
    assert_eq!(engine.mount().await.read(&file).await, data);
    engine.kill();
    let engine = room.serve();
    assert_eq!(engine.first_line, first_line, "after kill -9 too");
    assert_eq!(engine.mount().await.read(&file).await, data);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_unsent_at_the_end_is_sent_after_the_next_start() {
    let mut room = Room::new();
    let engine = room.serve();
    let mut wire = engine.mount_and_list().await;
    room.hub.stop();
    let data = testkit::bytes(10, 200_000);
    wire.put("unsent.bin", &data).await;
    let (_, took, said) = engine.terminate();
    assert!(took < Duration::from_secs(5), "SIGTERM took {took:?} with the Hub away");
    assert!(said.contains("1 file of alice/photos"), "{said}");
    room.hub.restart();
    let _engine = room.serve();
    room.control("sync", &["--wait", "--timeout", "60"]).ok();
    assert_eq!(room.hub.client().read(&room.bucket, "unsent.bin"), data);
}

#[tokio::test(flavor = "multi_thread")]
async fn paused_uploads_wait_and_resumed_ones_go() {
    let room = Room::new();
    let engine = room.serve();
    room.control("pause", &[]).ok();
    engine.mount().await.put("later.bin", b"later").await;
    let refused = room.control("sync", &["--wait", "--timeout", "5"]);
    assert_eq!(refused.code, Some(1));
    refused.says("are paused");
    let queue = room.control("queue", &["--json"]).json();
    assert_eq!(queue["items"][0]["path"], "later.bin", "{queue}");
    assert!(room.hub.client().paths(&room.bucket).is_empty());
    room.control("resume", &[]).ok();
    room.control("sync", &["--wait", "--timeout", "60"]).ok();
    assert_eq!(room.hub.client().read(&room.bucket, "later.bin"), b"later");
    assert_eq!(room.control("queue", &[]).ok().stdout, "Nothing waits: everything is on the Hub.\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sync_that_cannot_end_in_time_says_what_is_left() {
    let mut room = Room::new();
    let engine = room.serve();
    let mut wire = engine.mount_and_list().await;
    room.hub.stop();
    wire.put("stuck.bin", b"stuck").await;
    let done = room.control("sync", &["--wait", "--timeout", "2"]);
    assert_eq!(done.code, Some(1), "{done:?}");
    assert!(done.stderr.contains("stuck.bin"), "{done:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prefix_is_served_as_if_it_were_the_whole() {
    let room = Room::new();
    room.hub.client().put(&room.bucket, "2024/summer/a.txt", b"inside");
    room.hub.client().put(&room.bucket, "2024/b.txt", b"outside");
    let state = room.state();
    let bucket = format!("{}/2024/summer", room.bucket);
    let args = ["serve", &bucket, "--state", state.to_str().unwrap(), "--debounce-ms", "100"];
    let engine = Engine::start(room.command(&args));
    assert!(engine.export.ends_with("/summer"));
    let mut wire = engine.mount().await;
    let root = wire.root.clone();
    let file = wire.lookup(&root, "a.txt").await.unwrap();
    assert_eq!(wire.read(&file).await, b"inside");
    assert_eq!(wire.lookup(&root, "b.txt").await.unwrap_err(), nfsstat3::NFS3ERR_NOENT);
    wire.put("new.txt", b"new").await;
    let args = ["sync", &bucket, "--state", state.to_str().unwrap(), "--wait", "--timeout", "60"];
    room.run(&args).ok();
    assert_eq!(room.hub.client().read(&room.bucket, "2024/summer/new.txt"), b"new");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_gets_in_without_the_token_and_no_token_gets_out() {
    let room = Room::new();
    let state = room.state();
    let mut command =
        room.command(&["serve", &room.bucket, "--state", state.to_str().unwrap(), "--debounce-ms", "100"]);
    command.env("BUCKETBAR_LOG", "trace");
    let engine = Engine::start(command);
    for wrong in ["/", "/photos", "/00000000000000000000000000000000/photos"] {
        assert!(engine.try_mount(wrong).await.is_err(), "{wrong}");
    }
    engine.mount().await.put("a.bin", b"a").await;
    room.control("sync", &["--wait", "--timeout", "60"]).ok();
    let mount_token = engine.export.split('/').nth(1).unwrap().to_owned();
    let (_, _, log) = engine.terminate();
    assert!(log.len() > 1000, "the log was on");
    assert!(!log.contains("hf_alice"), "the Hub's token is in the log");
    assert!(!log.contains(&mount_token), "the mount's token is in the log");
    for path in files_below(&state) {
        let text = std::fs::read(&path).unwrap();
        let found = text.windows(8).any(|window| window == b"hf_alice");
        assert!(!found, "the Hub's token is in {}", path.display());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_directory_with_a_long_path_is_reached() {
    let room = Room::new();
    let state = room.dir.path().join("x".repeat(150));
    let args = ["serve", &room.bucket, "--state", state.to_str().unwrap()];
    let engine = Engine::start(room.command(&args));
    room.run(&["status", &room.bucket, "--state", state.to_str().unwrap()]).ok();
    let (status, _, _) = engine.terminate();
    assert!(status.success());
    assert!(std::fs::symlink_metadata(state.join("control.sock")).is_err(), "the socket is gone");
}

#[tokio::test(flavor = "multi_thread")]
async fn buckets_and_folders_are_listed() {
    let room = Room::new();
    room.hub.client().put(&room.bucket, "a/b.txt", b"12345");
    let own = room.run(&["ls"]).ok();
    assert!(own.stdout.starts_with("alice/photos  private  1 file  5 B"), "{own:?}");
    assert_eq!(room.run(&["ls", "alice/photos"]).ok().stdout.trim(), "a/");
    assert_eq!(room.run(&["ls", "alice/photos/a"]).ok().stdout, "5 B  b.txt\n");
    let missing = room.run(&["ls", "alice/photos/no"]);
    assert_eq!(missing.code, Some(1));
    missing.says("There is no folder no");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_hub_is_a_jukebox_and_the_fetch_goes_on() {
    let room = Room::new();
    room.hub.client().put(&room.bucket, "a.txt", b"slow");
    let engine = room.serve();
    room.hub.faults().add(Fault::on("/tree", Harm::Delay { ms: 5000 }));
    let mut wire = engine.mount().await;
    let root = wire.root.clone();
    let start = Instant::now();
    assert_eq!(wire.lookup(&root, "a.txt").await.unwrap_err(), nfsstat3::NFS3ERR_JUKEBOX);
    let waited = start.elapsed();
    assert!((2.5..4.5).contains(&waited.as_secs_f64()), "answered after {waited:?}");
    // The same listing, not a new one, brings the answer: a new one would take five seconds more.
    tokio::time::sleep(Duration::from_millis(2500)).await;
    let start = Instant::now();
    let file = wire.lookup(&root, "a.txt").await.unwrap();
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    assert_eq!(wire.read(&file).await, b"slow");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_upload_is_said_listed_and_retried() {
    let room = Room::new();
    let engine = room.serve();
    let no = Harm::Refuse { status: 403, code: None, message: "You may not.".into() };
    room.hub.faults().add(Fault::on("/batch", no));
    engine.mount().await.put("refused.bin", b"refused").await;
    let start = Instant::now();
    let done = room.control("sync", &["--wait", "--timeout", "60"]);
    assert_eq!(done.code, Some(1), "{done:?}");
    assert!(done.stderr.contains("refused.bin"), "{done:?}");
    assert!(start.elapsed() < Duration::from_secs(30), "nothing moves by itself, so nobody waits");
    let queue = room.control("queue", &["--json"]).json();
    assert_eq!(queue["items"][0]["state"], "failed", "{queue}");
    let told = room.control("events", &["--json"]).json();
    assert!(
        told["events"].as_array().unwrap().iter().any(|event| event["kind"] == "upload_failed"),
        "{told}"
    );
    room.hub.faults().clear();
    assert_eq!(room.control("retry", &[]).ok().stdout, "1 file will be tried again now.\n");
    room.control("sync", &["--wait", "--timeout", "60"]).ok();
    assert_eq!(room.hub.client().read(&room.bucket, "refused.bin"), b"refused");
}

/// A server keeps no memory that it does not use: glibc is told so before the program begins, once.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[test]
fn a_server_starts_with_its_memory_held_and_says_that_it_has_started_anew() {
    let room = Room::new();
    let engine = room.serve();
    let environment = std::fs::read(format!("/proc/{}/environ", engine.pid())).unwrap();
    let has = |start: &str| environment.split(|byte| *byte == 0).any(|one| one.starts_with(start.as_bytes()));
    assert!(has("MALLOC_MMAP_THRESHOLD_="));
    assert!(
        has("BUCKETBAR_MEMORY_HELD="),
        "without it a program with rights of its own starts itself for ever"
    );
}
