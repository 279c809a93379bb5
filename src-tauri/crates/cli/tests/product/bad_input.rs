//! What goes wrong by somebody's hand: each has its sentence, its exit code, and does no harm.

use std::net::TcpListener;

use crate::support::{LONG, Room};
use nfs3_types::nfs3::nfsstat3;

#[test]
fn an_unknown_bucket_is_refused_and_leaves_nothing() {
    let mut room = Room::new();
    room.bucket = "alice/nope".into();
    room.refused(&[]).says("alice/nope");
    assert!(!room.state().exists());
}

#[test]
fn nobody_signed_in() {
    let mut room = Room::new();
    room.token = None;
    let done = room.refused(&[]);
    done.says("Nobody is signed in");
    done.says("hf auth login");
}

#[test]
fn a_token_the_hub_does_not_accept() {
    let mut room = Room::new();
    room.token = Some("hf_wrong".into());
    let done = room.refused(&[]);
    done.says("does not accept the token of the environment variable HF_TOKEN");
    assert!(!done.stderr.contains("hf_wrong"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_may_only_read_is_served_read_only_and_told_so() {
    let mut room = Room::new();
    room.hub.client().put(&room.bucket, "a.txt", b"read me");
    room.token = Some("hf_read".into());
    let engine = room.serve();
    assert!(engine.first_line.contains(",ro\""), "{}", engine.first_line);
    let mut wire = engine.mount().await;
    let root = wire.root.clone();
    let file = wire.lookup(&root, "a.txt").await.unwrap();
    assert_eq!(wire.read(&file).await, b"read me");
    assert_eq!(wire.create("b.txt").await.unwrap_err(), nfsstat3::NFS3ERR_ROFS);
    let (_, _, said) = engine.terminate();
    assert!(said.contains("may not write to alice/photos: it is served read-only"), "{said}");
}

#[test]
fn a_hub_out_of_reach_is_said_the_first_time() {
    let mut room = Room::new();
    room.hub.stop();
    let done = room.refused(&[]);
    done.says("alice/photos");
    done.says("network");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_known_bucket_is_served_while_the_hub_is_away() {
    let mut room = Room::new();
    let engine = room.serve();
    let file = engine.mount().await.put("a.txt", b"here").await;
    room.control("sync", &["--wait", "--timeout", "60"]).ok();
    engine.terminate();
    room.hub.stop();
    let engine = room.serve();
    assert_eq!(engine.mount().await.read(&file).await, b"here");
    let (_, _, said) = engine.terminate();
    assert!(said.contains("What is on this machine is served"), "{said}");
}

#[test]
fn a_taken_port_is_named() {
    let room = Room::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    room.refused(&["--port", &port]).says(&format!("Port {port} of this machine is in use"));
}

#[test]
fn a_state_directory_in_use_is_left_alone() {
    let room = Room::new();
    let mut engine = room.serve();
    room.refused(&[]).says("in use by another");
    assert!(!engine.has_ended());
    room.control("status", &[]).ok();
}

#[test]
fn another_buckets_state_directory_is_refused() {
    let mut room = Room::new();
    room.serve().terminate();
    room.bucket = room.hub.create_bucket("videos");
    room.refused(&[]).says("belongs to alice/photos");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_database_is_kept_aside_said_and_rebuilt() {
    let mut room = Room::new();
    let engine = room.serve();
    let mut wire = engine.mount_and_list().await;
    room.hub.stop();
    let data = testkit::bytes(11, 100_000);
    wire.put("staged.bin", &data).await;
    engine.kill();
    for name in ["names.db", "names.db-wal", "names.db-shm"] {
        let path = room.state().join(name);
        if path.exists() {
            std::fs::write(path, [0xAB; 8192]).unwrap();
        }
    }
    room.hub.restart();
    let engine = room.serve();
    let told = room.control("events", &["--json"]).json();
    let rebuilt = told["events"].as_array().unwrap().iter().find(|event| event["kind"] == "database_rebuilt");
    assert!(rebuilt.is_some(), "{told}");
    room.control("sync", &["--wait", "--timeout", "60"]).ok();
    let paths = room.hub.client().paths(&room.bucket);
    assert!(paths.iter().any(|path| room.hub.client().read(&room.bucket, path) == data), "{paths:?}");
    drop(engine);
}

#[test]
fn without_an_engine_every_command_says_how_to_start_one() {
    let room = Room::new();
    for command in ["sync", "pause", "resume", "status", "queue", "retry", "events"] {
        let done = room.control(command, &[]);
        assert_eq!(done.code, Some(1), "{command}");
        done.says("No engine is running for this state directory");
        done.says("bucketbarctl serve alice/photos --state ");
    }
}

#[test]
fn a_command_line_nobody_understands_is_usage() {
    let room = Room::new();
    for args in [&["serve"][..], &["mount", "alice"], &["serve", "alice", "--state", "x"], &["fly"]] {
        assert_eq!(room.run(args).code, Some(2), "{args:?}");
    }
}

#[test]
fn retry_with_nothing_failed() {
    let room = Room::new();
    let _engine = room.serve();
    assert_eq!(room.control("retry", &[]).ok().stdout, "Nothing had failed.\n");
    let done = room.control("retry", &["--path", "a/b"]);
    assert_eq!(done.code, Some(1));
}

#[test]
fn each_problem_of_a_mount_point_has_its_sentence() {
    let room = Room::new();
    let dir = room.dir.path();
    let full = dir.join("full");
    std::fs::create_dir(&full).unwrap();
    std::fs::write(full.join("file"), "x").unwrap();
    let cases = [
        (dir.join("missing"), "does not exist"),
        (full.join("file"), "is not a folder"),
        (full, "is not empty"),
        ("/proc".into(), "is mounted on /proc already"),
    ];
    for (path, sentence) in cases {
        let done = room.run(&["mount", &room.bucket, path.to_str().unwrap()]);
        assert_eq!(done.code, Some(1));
        done.says(sentence);
    }
    assert!(!dir.join(".local/state/bucketbar").exists(), "nothing was started");
}

#[test]
fn a_mount_of_an_unknown_bucket_tells_the_servers_sentence_and_leaves_nothing() {
    let room = Room::new();
    let dir = room.dir.path().join("m");
    std::fs::create_dir(&dir).unwrap();
    let state = room.state();
    let done = room.run(&["mount", "alice/nope", dir.to_str().unwrap(), "--state", state.to_str().unwrap()]);
    assert_eq!(done.code, Some(1));
    done.says("alice/nope");
    assert!(!state.exists());
}

/// With a kernel that can mount it is mounted; without one that is said. Either way no server is left
/// behind in the end.
#[test]
fn a_mount_succeeds_or_leaves_no_server() {
    let room = Room::new();
    room.hub.client().put(&room.bucket, "a.txt", b"through the kernel");
    let dir = room.dir.path().join("m");
    std::fs::create_dir(&dir).unwrap();
    let path = dir.to_str().unwrap();
    let done = room.run(&["mount", &room.bucket, path]);
    if done.code == Some(0) {
        assert_eq!(std::fs::read(dir.join("a.txt")).unwrap(), b"through the kernel");
        room.run(&["unmount", path]).ok();
    } else {
        assert_eq!(done.code, Some(1));
        done.says("NFS");
    }
    testkit::eventually(LONG, || {
        let done = room.run(&["status", &room.bucket]);
        if done.code == Some(1) { Ok(()) } else { Err(done.stdout) }
    });
}

#[test]
fn unmount_of_what_is_not_mounted() {
    let room = Room::new();
    let done = room.run(&["unmount", room.dir.path().to_str().unwrap()]);
    assert_eq!(done.code, Some(1));
    done.says("Nothing is mounted on");
}

/// What a terminal would take for a command to itself.
#[test]
fn a_name_that_steers_a_terminal_is_shown_harmless_and_told_to_programs_as_it_is() {
    let name = "evil\u{1b}]0;owned\u{7}\u{1b}[2J\nfake line";
    let entry = serde_json::json!([{"type": "file", "path": name, "size": 1, "xetHash": "ab".repeat(32)}]);
    let hub = testkit::LyingHub::start(move |_, _| testkit::Lie::body(entry.to_string()));
    let room = Room::new();
    let ls = |more: &[&str]| {
        let args = [&["ls", "alice/photos"], more].concat();
        crate::support::Done::of(room.command(&args).env("HF_ENDPOINT", hub.endpoint()).output().unwrap())
            .ok()
    };
    let shown = ls(&[]).stdout;
    assert_eq!(shown.lines().count(), 1, "{shown:?}");
    assert!(!shown.contains(|c: char| c.is_control() && c != '\n'), "{shown:?}");
    assert!(shown.contains("evil\\u{1b}]0;owned"), "{shown}");
    assert_eq!(ls(&["--json"]).json()[0]["path"], name);
    // In a sentence of an error, too.
    let done = crate::support::Done::of(
        room.command(&["ls", "alice/photos/a\u{1b}[2J"]).env("HF_ENDPOINT", hub.endpoint()).output().unwrap(),
    );
    assert_eq!(done.code, Some(1), "{done:?}");
    assert!(!done.stderr.contains('\u{1b}'), "{:?}", done.stderr);
}
