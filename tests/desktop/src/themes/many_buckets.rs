//! Five hundred buckets: the menu stays short and opens at once; an app with nothing to do does nothing.

use std::sync::Arc;
use std::time::Duration;

use desktop::app::{Process, kill_app, mounted, start};
use desktop::wait::until;
use rustix::process::Signal;
use testkit::LocalHub;

use super::scene::Scene;
use crate::Desktop;

const MANY: usize = 500;
/// As the project asks; the best of some tries, because the machine has other things to do.
const AT_ONCE: Duration = Duration::from_millis(100);
const LOOK: Duration = Duration::from_secs(10);

pub async fn run(desktop: Arc<Desktop>) {
    let hub = LocalHub::start();
    for number in 0..MANY {
        hub.create_bucket(&format!("bucket-{number:03}"));
    }
    let scene = Scene::new(desktop, hub);
    let run = scene.start("welcome").await;
    scene.sign_in(&run).await;
    let rest = until("all of them in the menu", || async {
        let menu = run.icon.menu().await;
        let rest = menu.iter().find(|line| line.label.ends_with(" more of alice")).cloned();
        rest.ok_or(menu.len())
    })
    .await;
    assert!(rest.below.len() > MANY - 20, "{}", rest.below.len());
    let mut best = Duration::MAX;
    for _ in 0..10 {
        let (menu, took) = run.icon.open().await;
        assert!(menu.len() < 40, "the menu itself is short: {}", menu.len());
        best = best.min(took);
    }
    println!("    the menu with {MANY} buckets opens in {best:?}");
    assert!(best < AT_ONCE, "{best:?}");

    // Without a window, as it is most of the time; the driver's end is the app's.
    drop(run);
    kill_app(&scene.home);
    let _quiet = start(&scene.home, &["--quiet"]);
    let process = Process::running(&scene.home).await;
    let icon = scene.desktop.panel.icon().await;
    icon.click("bucket-000").await;
    mounted(&scene.home).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    let before = process.busy();
    tokio::time::sleep(LOOK).await;
    let busy = process.busy().saturating_sub(before);
    assert!(process.lives(), "it is the app that was looked at");
    println!(
        "    idle, a bucket mounted, no window: {busy:?} of processor in {LOOK:?}, {} MB of memory",
        process.memory()
    );
    assert!(busy < LOOK / 50, "an idle app is busy: {busy:?}");
    process.kill(Signal::TERM);
    process.ended().await;
}
