//! `pin`, `unpin`, `pins` as a person types them.

use crate::support::Room;

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_is_kept_offline_listed_read_without_the_hub_and_let_go() {
    let mut room = Room::new();
    room.hub.client().put(&room.bucket, "d/a.txt", b"kept");
    room.hub.client().put(&room.bucket, "d/sub/b.bin", &[7; 300_000]);
    room.hub.client().put(&room.bucket, "other.txt", b"not kept");
    let _engine = room.serve();
    let state = room.state();
    let target = format!("{}:d", room.bucket);
    let named = ["--state", state.to_str().unwrap()];
    let run = |command: &str, target: &str, more: &[&str]| {
        let line: Vec<&str> = [&[command, target], &named[..], more].concat();
        room.run(&line)
    };
    let done = run("pin", &target, &["--yes", "--wait"]).ok().stdout;
    assert!(
        done.contains("d: 2 files, 300.0 kB; 300.0 kB to download,") && done.ends_with("d: kept\n"),
        "{done}"
    );
    let again = run("pin", &target, &["--wait"]).ok().stdout;
    assert!(again.contains("all of it on this machine"), "{again}");
    let listed = room.control("pins", &[]).ok().stdout;
    assert!(listed.contains("2 files, 300.0 kB") && listed.contains("never given up by itself"), "{listed}");
    let pins = room.control("pins", &["--json"]).json();
    assert_eq!(pins["pins"][0]["state"], "kept", "{pins}");
    assert_eq!(pins["cache"]["kept_bytes"], 300_004, "{pins}");
    let status = room.control("status", &["--json"]).json();
    assert_eq!((status["kept_bytes"].as_u64(), status["to_keep_bytes"].as_u64()), (Some(300_004), Some(0)));
    let inside = run("unpin", &format!("{}:d/a.txt", room.bucket), &[]);
    assert_eq!(inside.code, Some(1));
    inside.says("d/a.txt is kept offline because d is.");
    let missing = run("pin", &format!("{}:nothing", room.bucket), &[]);
    assert_eq!(missing.code, Some(1));
    let elsewhere = room.run(&["pin", "/nowhere/at/all"]);
    elsewhere.says("is not in a folder that is mounted here");
    run("unpin", &target, &[]).ok();
    assert!(room.control("pins", &[]).ok().stdout.starts_with("Nothing is kept offline."));
    room.hub.kill();
}
