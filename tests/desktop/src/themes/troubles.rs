//! Everything that can go wrong with a file is told once, in words with its name, and stands in the Activity until it
//! is in order again.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use desktop::app::{Process, app_in, kill_app, mount_of, start, unmounted, write};
use desktop::wait::until;
use rustix::process::Signal;
use serde_json::json;
use testkit::{Fault, Harm, LocalHub};

use super::scene::{Run, Scene};
use crate::Desktop;

pub async fn run(desktop: Arc<Desktop>) {
    let hub = LocalHub::start();
    hub.create_bucket("photos");
    let scene = Scene::new(desktop, hub);
    scene.desktop.dunst.put_away().await;
    let run = scene.start("welcome").await;
    scene.sign_in(&run).await;
    let mount = scene.mount(&run, "photos").await;
    run.page.go("#/activity").await;
    a_write_that_fails(&scene, &run, &mount).await;
    a_full_disk(&scene, &run, &mount).await;
    a_sign_in_that_ends(&scene, &run, &mount).await;
    a_lost_mount_and_a_stale_file(&scene, &run, &mount).await;
    bytes_of_a_mount_that_nobody_finished(&scene, &run).await;
}

async fn a_write_that_fails(scene: &Scene, run: &Run, mount: &Path) {
    scene.disk("write data eio 1\n");
    let written = write(&mount.join("report.txt"), b"quarterly");
    assert!(written.is_err(), "the program is told as well");
    scene.told_once("“report.txt” was not saved", &["report.txt", "Save the file again"]).await;
    scene.icon(run, "attention").await;
    run.page.says(&["report.txt", "Save the file again"]).await;
    scene.picture("not-written");
    scene.disk("");
    // Known gap (docs/semantics.md): Linux' O_TRUNC on a file that is empty already sets times alone, which a file with
    // a missing part refuses. Whoever writes it anew is let in.
    fs::remove_file(mount.join("report.txt")).unwrap_or_else(|error| panic!("{error}"));
    write(&mount.join("report.txt"), b"quarterly").unwrap_or_else(|error| panic!("saved again: {error}"));
    scene.status(run, "All saved").await;
    assert_eq!(scene.hub.client().read("alice/photos", "report.txt"), b"quarterly");
}

async fn a_full_disk(scene: &Scene, run: &Run, mount: &Path) {
    scene.disk("write all enospc\n");
    let written = write(&mount.join("film.mov"), &[7; 100_000]);
    assert!(written.is_err(), "the program is told as well");
    scene.told_once("The disk is full", &["space"]).await;
    scene.icon(run, "attention").await;
    scene.picture("disk-full");
    scene.disk("");
    let _ = fs::remove_file(mount.join("film.mov")); // if it came so far
    write(&mount.join("film.mov"), &[7; 100_000]).unwrap_or_else(|error| panic!("there is room: {error}"));
    scene.status(run, "All saved").await;
    assert_eq!(scene.hub.client().read("alice/photos", "film.mov").len(), 100_000);
}

async fn a_sign_in_that_ends(scene: &Scene, run: &Run, mount: &Path) {
    scene.hub.faults().add(Fault::on("/api/", Harm::Status { status: 401, retry_after: None }));
    write(&mount.join("later.txt"), b"kept here").unwrap_or_else(|error| panic!("{error}"));
    scene.told_once("Sign in again", &["alice"]).await;
    scene.icon(run, "attention").await;
    run.page.says(&["Sign in"]).await;
    scene.picture("sign-in-ended");
    scene.hub.faults().clear();
    scene.sign_in(run).await;
    scene.status(run, "All saved").await;
    assert_eq!(scene.hub.client().read("alice/photos", "later.txt"), b"kept here");
}

async fn a_lost_mount_and_a_stale_file(scene: &Scene, run: &Run, mount: &Path) {
    // Something is unsent, so the server stays when its mount is gone.
    run.icon.click("Until I Resume").await;
    scene.icon(run, "paused").await;
    let mut open = File::create(mount.join("open.txt")).unwrap_or_else(|error| panic!("{error}"));
    open.write_all(b"first").and_then(|()| open.sync_all()).unwrap_or_else(|error| panic!("{error}"));
    fs::remove_file(mount.join("open.txt")).unwrap_or_else(|error| panic!("{error}"));
    write(&mount.join("unsent.txt"), b"waits").unwrap_or_else(|error| panic!("{error}"));
    let lazily = Command::new("umount").arg("-l").arg(mount).status();
    assert!(lazily.is_ok_and(|status| status.success()), "umount -l");
    scene.told_once("alice/photos is not mounted any more", &["Mount it again"]).await;
    run.page.says(&["not mounted any more"]).await;
    scene.picture("mount-lost");
    let late = open.write_all(b"second").and_then(|()| open.sync_all());
    assert_eq!(late.map_err(|error| error.raw_os_error()), Err(Some(116)), "ESTALE");
    scene.told_once("A program lost its open file", &["open.txt"]).await;
    scene.picture("stale");
    drop(open);
    run.icon.click("Resume Uploads").await;
    let again = scene.mount(run, "photos").await;
    assert_eq!(again, mount);
    let state = scene.call(run, "snapshot", json!({})).await;
    let rows = state["activity"].as_array().cloned().unwrap_or_default();
    let stale = rows.iter().find(|row| row["kind"] == "stale").unwrap_or_else(|| panic!("{rows:?}"));
    scene.call(run, "dismiss", json!({ "entry": stale["id"] })).await;
    scene.status(run, "All saved").await;
    assert_eq!(scene.hub.client().read("alice/photos", "unsent.txt"), b"waits");
}

/// App and keeper are killed while a file is open and unsent, and the mount is taken away before they come back.
async fn bytes_of_a_mount_that_nobody_finished(scene: &Scene, run: &Run) {
    let mount = mount_of(&scene.home).unwrap_or_else(|| panic!("it is mounted"));
    let file = mount.join("draft.txt");
    let mut open = File::create(&file).unwrap_or_else(|error| panic!("{error}"));
    open.write_all(b"half a sentence").unwrap_or_else(|error| panic!("{error}"));
    // Sent to the server, and not committed.
    let sent = Command::new("python3").arg("-c").arg(SEND).arg(&file).status();
    assert!(sent.is_ok_and(|status| status.success()), "sync_file_range");
    kill_app(&scene.home);
    run.process.ended().await;
    let gone = Command::new("umount").args(["-f", "-l"]).arg(&mount).status();
    assert!(gone.is_ok_and(|status| status.success()), "umount -f -l");
    drop(open);
    unmounted(&scene.home).await;
    assert!(app_in(&scene.home).is_none(), "nobody brings it back");
    scene.desktop.dunst.put_away().await;
    let _again = start(&scene.home, &["--quiet"]);
    let process = Process::running(&scene.home).await;
    scene.told_once("recovered", &["1 file"]).await;
    let kept = until("what had arrived is on the Hub", || async {
        let paths = scene.hub.client().paths("alice/photos");
        paths.iter().find(|path| path.starts_with("draft")).cloned().ok_or(paths)
    })
    .await;
    assert_eq!(scene.hub.client().read("alice/photos", &kept), b"half a sentence");
    process.kill(Signal::TERM);
    process.ended().await;
}

const SEND: &str = "
import ctypes, os, sys
file = os.open(sys.argv[1], os.O_RDWR)
libc = ctypes.CDLL(None, use_errno=True)
waited = 1 | 2 | 4
sys.exit(0 if libc.sync_file_range(file, ctypes.c_int64(0), ctypes.c_int64(0), waited) == 0 else 1)
";
