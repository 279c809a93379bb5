//! From the first start to signing out, as a person goes.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use desktop::app::{all_in, open_words, unmounted, write};
use desktop::browser::Page;
use desktop::wait::until;
use testkit::{Fault, Harm, LocalHub, bytes};

use super::scene::{Run, Scene};
use crate::Desktop;

pub async fn run(desktop: Arc<Desktop>) {
    let hub = LocalHub::builder().argument("--org").argument("acme=alice").start();
    let bucket = hub.create_bucket("photos");
    hub.client().create_bucket("acme/models");
    hub.client().put(&bucket, "hello.txt", b"hello");
    let scene = Scene::new(desktop, hub);
    let run = scene.start("welcome").await;

    signing_in(&scene, &run).await;
    let mount = mounting(&scene, &run).await;
    saving(&scene, &run, &mount).await;
    a_fault_at_the_hub(&scene, &run, &mount).await;
    a_disk_that_does_not_sync(&scene, &run, &mount).await;
    a_conflict(&scene, &run, &mount).await;
    no_token_anywhere(&scene);
    a_second_start(&scene).await;
    signing_out(&scene, &run).await;
}

async fn signing_in(scene: &Scene, run: &Run) {
    scene.icon(run, "signed_out").await;
    assert!(run.icon.line("Sign In…").await.is_some(), "the menu offers to sign in");
    run.page.says(&["Sign in with your browser"]).await;
    scene.picture("welcome");
    run.page.press("Sign in with your browser").await;
    let address =
        until("the browser is asked for", || async { scene.home.opened().pop().ok_or("not yet") }).await;
    assert!(address.starts_with(scene.hub.endpoint()), "{address}");
    let browser = Page::browser(&scene.home, &address).await;
    scene.picture("consent");
    browser.tick("acme").await;
    browser.press("Allow").await;
    run.page.says(&["Continue"]).await;
    until("the menu shows the buckets", || async { run.icon.line("photos").await.ok_or("not yet") }).await;
    until("the organisation's as well", || async { run.icon.line("models").await.ok_or("not yet") }).await;
    scene.icon(run, "idle").await;
    println!("    signed in through the consent page");
}

async fn mounting(scene: &Scene, run: &Run) -> std::path::PathBuf {
    assert_eq!(run.icon.line("photos").await.and_then(|line| line.checked), Some(false));
    let mount = scene.mount(run, "photos").await;
    assert_eq!(fs::read(mount.join("hello.txt")).ok().as_deref(), Some(&b"hello"[..]));
    until("the file manager is asked to show it", || async {
        let last = scene.home.opened().pop();
        if last.as_deref().map(Path::new) == Some(mount.as_path()) { Ok(()) } else { Err(last) }
    })
    .await;
    until("a check mark", || async {
        let line = run.icon.line("photos").await;
        if line.as_ref().and_then(|line| line.checked) == Some(true) { Ok(()) } else { Err(line) }
    })
    .await;
    let below = run.icon.line("    Actions for photos").await.map(|line| line.below).unwrap_or_default();
    let labels: Vec<&str> = below.iter().map(|line| line.label.as_str()).collect();
    assert_eq!(labels, ["Open", "Reveal in Hub", "Unmount", "Read-only", "Sync Now", "Keep Offline…"]);
    run.icon.click("Reveal in Hub").await;
    let page = format!("{}/buckets/{}/photos", scene.hub.endpoint(), scene.hub.user());
    until("the browser is asked for the bucket's page", || async {
        let last = scene.home.opened().pop();
        if last.as_deref().is_some_and(|last| last.starts_with(&page)) { Ok(()) } else { Err(last) }
    })
    .await;
    println!("    mounted by a click in the tray");
    mount
}

async fn saving(scene: &Scene, run: &Run, mount: &Path) {
    run.page.go("#/activity").await;
    // So slow that the way can be seen.
    scene.hub.faults().network(0, 300_000);
    let content = bytes(1, 3_000_000);
    write(&mount.join("picture.raw"), &content).unwrap_or_else(|error| panic!("{error}"));
    scene.status(run, "Uploading").await;
    scene.icon(run, "syncing").await;
    run.page.says(&["picture.raw"]).await;
    scene.picture("uploading");
    scene.hub.faults().network(0, 0);
    scene.status(run, "All saved").await;
    scene.icon(run, "idle").await;
    assert!(scene.hub.client().read("alice/photos", "picture.raw") == content, "the Hub has every byte");
    scene.picture("saved");
    println!("    uploading, then all saved");
}

async fn a_fault_at_the_hub(scene: &Scene, run: &Run, mount: &Path) {
    scene.desktop.dunst.put_away().await;
    let refuse = Harm::Refuse { status: 403, code: None, message: "You may not write here".into() };
    scene.hub.faults().add(Fault::on("/batch", refuse));
    for name in ["first.txt", "second.txt"] {
        write(&mount.join(name), b"kept").unwrap_or_else(|error| panic!("{error}"));
    }
    scene.icon(run, "attention").await;
    scene.status(run, "need").await;
    run.page.says(&["first.txt", "second.txt", "Retry"]).await;
    scene.picture("failed");
    tokio::time::sleep(Duration::from_secs(6)).await;
    assert_eq!(scene.desktop.dunst.displayed(), 1, "two files of one cause are one notification");
    scene.hub.faults().clear();
    // A click on it brings the Activity; then the person heals it there.
    scene.desktop.dunst.click();
    shown("Activity").await;
    run.page.press("Retry all").await;
    scene.status(run, "All saved").await;
    assert_eq!(scene.hub.client().read("alice/photos", "second.txt"), b"kept");
    let told = scene.desktop.dunst.put_away().await;
    assert_eq!(told.len(), 1, "{told:?}");
    println!("    refused: “{}” “{}”; retried and saved", told[0].title, told[0].body.replace('\n', " "));
}

async fn a_disk_that_does_not_sync(scene: &Scene, run: &Run, mount: &Path) {
    fs::write(scene.home.disk_faults(), "sync data eio\n").unwrap_or_else(|error| panic!("{error}"));
    let written = write(&mount.join("letter.txt"), b"dear all");
    until("a notification", || async {
        if scene.desktop.dunst.displayed() > 0 { Ok(()) } else { Err("none") }
    })
    .await;
    scene.icon(run, "attention").await;
    run.page.says(&["letter.txt"]).await;
    scene.picture("not-synced");
    fs::remove_file(scene.home.disk_faults()).unwrap_or_else(|error| panic!("{error}"));
    let told = scene.desktop.dunst.put_away().await;
    assert!(!told.is_empty() && told.iter().any(|told| told.body.contains("letter.txt")), "{told:?}");
    write(&mount.join("letter.txt"), b"dear all")
        .unwrap_or_else(|error| panic!("the disk is well again: {error}"));
    scene.status(run, "All saved").await;
    assert_eq!(scene.hub.client().read("alice/photos", "letter.txt"), b"dear all");
    println!(
        "    fsync failed ({written:?}): “{}” “{}”; healed by saving again",
        told[0].title,
        told[0].body.replace('\n', " ")
    );
}

async fn a_conflict(scene: &Scene, run: &Run, mount: &Path) {
    // Ours waits while theirs comes.
    run.icon.click("Until I Resume").await;
    scene.icon(run, "paused").await;
    scene.picture("paused");
    write(&mount.join("hello.txt"), b"ours").unwrap_or_else(|error| panic!("{error}"));
    scene.hub.client().put("alice/photos", "hello.txt", b"theirs");
    run.icon.click("Resume Uploads").await;
    until("both versions on the Hub", || async {
        let paths = scene.hub.client().paths("alice/photos");
        let both = paths.iter().filter(|path| path.starts_with("hello")).count() == 2;
        if both { Ok(()) } else { Err(paths) }
    })
    .await;
    assert_eq!(scene.hub.client().read("alice/photos", "hello.txt"), b"theirs", "theirs is not overwritten");
    until("a notification", || async {
        if scene.desktop.dunst.displayed() > 0 { Ok(()) } else { Err("none") }
    })
    .await;
    run.page.says(&["hello.txt", "two places"]).await;
    scene.picture("conflict");
    scene.desktop.dunst.put_away().await;
    println!("    a conflict keeps both and has its row");
}

fn no_token_anywhere(scene: &Scene) {
    let tokens = scene.desktop.secrets.tokens();
    assert!(
        !tokens.is_empty(),
        "the secret service has the sign-in: {:?}",
        scene.desktop.secrets.all().len()
    );
    let files = scene.home.files_with(&tokens);
    assert!(files.is_empty(), "tokens in files: {files:?}");
    for id in all_in(&scene.home) {
        let words = open_words(id);
        let leaked =
            tokens.iter().any(|token| words.windows(token.len()).any(|window| window == token.as_bytes()));
        assert!(!leaked, "a token can be read off process {id}");
    }
    println!("    {} tokens, all in the secret service and nowhere else", tokens.len());
}

async fn a_second_start(scene: &Scene) {
    let program = testkit::binary("bucketbar");
    let ended = scene.home.command(program).args(["--page", "settings"]).stdout(Stdio::piped()).output();
    let ended = ended.unwrap_or_else(|error| panic!("{error}"));
    assert!(ended.status.success(), "{ended:?}");
    assert_eq!(String::from_utf8_lossy(&ended.stdout).trim(), "BucketBar is running already.");
    shown("Settings").await;
    println!("    a second start shows its page in the first");
}

/// Waits for a window of this title.
async fn shown(title: &str) {
    until(&format!("the window “{title}”"), || async {
        let found = Command::new("xdotool").args(["search", "--onlyvisible", "--name", title]).output();
        if found.is_ok_and(|found| !found.stdout.is_empty()) { Ok(()) } else { Err("none") }
    })
    .await;
}

async fn signing_out(scene: &Scene, run: &Run) {
    run.icon.click("Unmount").await;
    unmounted(&scene.home).await;
    run.icon.click("Sign Out alice…").await;
    super::quitting::answer_dialog("Sign Out", true).await;
    scene.icon(run, "signed_out").await;
    until("the secret service has nothing left", || async {
        let left = scene.desktop.secrets.tokens();
        if left.is_empty() { Ok(()) } else { Err(left.len()) }
    })
    .await;
    println!("    signed out; the secret service is empty");
}
