//! `kill -9` while a bucket is mounted and something is unsent: the app comes back by itself and takes it all up.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use desktop::app::{app_in, mount_of, write};
use desktop::wait::until;
use rustix::process::Signal;
use testkit::{Fault, Harm, LocalHub};

use super::scene::Scene;
use crate::Desktop;

pub async fn run(desktop: Arc<Desktop>) {
    let hub = LocalHub::start();
    hub.create_bucket("photos");
    let scene = Scene::new(desktop, hub);
    let first = scene.start("welcome").await;
    scene.sign_in(&first).await;
    let mount = scene.mount(&first, "photos").await;
    scene.hub.faults().add(Fault::on("/batch", Harm::Status { status: 503, retry_after: None }));
    write(&mount.join("unsent.txt"), b"not on the Hub yet").unwrap_or_else(|error| panic!("{error}"));
    first.process.kill(Signal::KILL);
    first.process.ended().await;
    scene.hub.faults().clear();
    assert!(mount_of(&scene.home).is_some(), "the kernel still has it");

    // Nobody starts it: the keeper does, and has held the port meanwhile.
    let process = first.process.next(&scene.home).await;
    let icon = scene.desktop.panel.icon().await;
    until("the mount answers again", || async {
        let read = tokio::task::spawn_blocking({
            let file = mount.join("unsent.txt");
            move || fs::read(file)
        });
        match tokio::time::timeout(Duration::from_secs(10), read).await {
            Ok(Ok(Ok(bytes))) if bytes == b"not on the Hub yet" => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
    until("the Hub has it", || async {
        let paths = scene.hub.client().paths("alice/photos");
        if paths.iter().any(|path| path == "unsent.txt") { Ok(()) } else { Err(paths) }
    })
    .await;
    until("all saved", || async {
        let line = icon.status().await;
        if line.contains("All saved") { Ok(()) } else { Err(line) }
    })
    .await;
    write(&mount.join("later.txt"), b"written in the second life").unwrap_or_else(|error| panic!("{error}"));
    process.kill(Signal::TERM);
    process.ended().await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(app_in(&scene.home).is_none(), "what was ended in order stays ended");
    println!("    the mount lived on, and what was unsent is on the Hub");
}
