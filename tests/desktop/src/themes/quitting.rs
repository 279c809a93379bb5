//! Quit while something is unsent: it is said, it ends, and it goes on at the next start.

use std::process::Command;
use std::sync::Arc;

use desktop::app::{Process, start, unmounted, write};
use desktop::wait::until;
use rustix::process::Signal;
use testkit::{Fault, Harm, LocalHub};

use super::scene::Scene;
use crate::Desktop;

pub async fn run(desktop: Arc<Desktop>) {
    let hub = LocalHub::start();
    hub.create_bucket("photos");
    let scene = Scene::new(desktop, hub);
    let run = scene.start("welcome").await;
    scene.sign_in(&run).await;
    let mount = scene.mount(&run, "photos").await;
    scene.hub.faults().add(Fault::on("/batch", Harm::Status { status: 503, retry_after: None }));
    write(&mount.join("unsent.txt"), b"for the next time").unwrap_or_else(|error| panic!("{error}"));

    run.icon.click("Quit BucketBar").await;
    if let Some(file) = scene.desktop.picture("quit-question") {
        let window = dialog("Quit BucketBar").await;
        let _ = Command::new("import").args(["-window", &window]).arg(file).status();
    }
    answer_dialog("Quit BucketBar", false).await;
    assert!(run.process.lives(), "Cancel keeps it");
    run.icon.click("Quit BucketBar").await;
    answer_dialog("Quit BucketBar", true).await;
    run.process.ended().await;
    unmounted(&scene.home).await;
    assert!(scene.hub.client().paths("alice/photos").is_empty(), "it could not be sent");

    scene.hub.faults().clear();
    let _again = start(&scene.home, &["--quiet"]);
    let process = Process::running(&scene.home).await;
    until("the Hub has it", || async {
        let paths = scene.hub.client().paths("alice/photos");
        if paths.iter().any(|path| path == "unsent.txt") { Ok(()) } else { Err(paths) }
    })
    .await;
    assert_eq!(scene.hub.client().read("alice/photos", "unsent.txt"), b"for the next time");
    process.kill(Signal::TERM);
    process.ended().await;
    println!("    asked, ended, and sent at the next start");
}

/// The window of a native question.
async fn dialog(title: &str) -> String {
    until(&format!("the question “{title}”"), || async {
        let found = Command::new("xdotool").args(["search", "--onlyvisible", "--name", title]).output();
        let text = found.map(|found| String::from_utf8_lossy(&found.stdout).into_owned()).unwrap_or_default();
        text.lines().next().map(str::to_owned).ok_or("none")
    })
    .await
}

/// Says yes or no by the keyboard, and waits for the question to go.
pub async fn answer_dialog(title: &str, yes: bool) {
    let window = dialog(title).await;
    // Escape is the safe answer; yes has its letter.
    let key = if yes {
        format!("alt+{}", title.chars().next().unwrap_or_default().to_ascii_lowercase())
    } else {
        "Escape".into()
    };
    let _ = Command::new("xdotool").args(["windowfocus", "--sync", &window]).status();
    let _ = Command::new("xdotool").args(["key", &key]).status();
    until("the question is gone", || async {
        let found = Command::new("xdotool").args(["search", "--onlyvisible", "--name", title]).output();
        let there = found.is_ok_and(|found| !found.stdout.is_empty());
        if there { Err("it is there") } else { Ok(()) }
    })
    .await;
}
