//! `scripts/run` on a screen: the app on a Hub of its own, signed in by one click, and nothing left behind.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use desktop::app::{Process, mounted};
use desktop::browser::Page;
use desktop::home::Home;
use desktop::wait::{LONG, until_within};
use testkit::LocalHub;

use crate::Desktop;

pub async fn run(desktop: Arc<Desktop>) {
    let other = LocalHub::start(); // not the demo's: it brings its own
    let home = Home::new(&other);
    desktop.secrets.ensure(&desktop.home);
    let of_others = desktop.secrets.all().len();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/run");
    let programs = ["bucketbar", "bucketbarctl", "local-hub"]
        .map(|name| (format!("{}_BIN", name.to_uppercase().replace('-', "_")), testkit::binary(name)));
    // It fills its bucket with 200 MB first.
    let page = Page::of_within(&home, &script, &[], &programs, 3 * LONG).await;
    let icon = desktop.panel.icon().await;
    let process = Process::running(&home).await;
    page.press("Sign in with your browser").await;
    let address =
        until_within(LONG, "the browser is asked for", || async { home.opened().pop().ok_or("not yet") })
            .await;
    // This Hub says yes by itself: a look at the page is all.
    let looked = Command::new("curl").args(["-sSL", "--max-time", "30", &address]).output();
    assert!(looked.as_ref().is_ok_and(|looked| looked.status.success()), "{looked:?}");
    icon.click("models").await;
    let mount = mounted(&home).await;
    assert_eq!(mount.file_name().and_then(|name| name.to_str()), Some("models"));
    let readme = fs::read_to_string(mount.join("README.md")).unwrap_or_else(|error| panic!("{error}"));
    assert!(!readme.is_empty());
    icon.click("Quit BucketBar").await;
    process.ended().await;
    until_within(LONG, "nothing is left of the sign-in", || async {
        let left = desktop.secrets.all().len();
        if left == of_others { Ok(()) } else { Err(left) }
    })
    .await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    println!("    one click, mounted, read, quit; the keychain is as it was");
}
