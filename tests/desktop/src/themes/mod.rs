//! Each theme is one way through the app.

mod demo;
mod main_road;
mod many_buckets;
mod quitting;
mod scene;
mod second_life;
mod troubles;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use crate::Desktop;

type Theme = fn(Arc<Desktop>) -> Pin<Box<dyn Future<Output = ()> + Send>>;

pub const ALL: &[(&str, Theme)] = &[
    ("main_road: sign in, mount by the tray, copy, fail, retry, conflict, sign out", |desktop| {
        Box::pin(main_road::run(desktop))
    }),
    ("second_life: killed in the middle it comes back by itself, mounts and bytes are there", |desktop| {
        Box::pin(second_life::run(desktop))
    }),
    (
        "troubles: each failure is told once, with the file's name, and goes when it is in order again",
        |desktop| Box::pin(troubles::run(desktop)),
    ),
    ("quitting: with unsent data it asks, and goes on the next time", |desktop| {
        Box::pin(quitting::run(desktop))
    }),
    ("demo: scripts/run, one click, a mount, and nothing left behind", |desktop| {
        Box::pin(demo::run(desktop))
    }),
    ("many_buckets: five hundred of them, a menu that opens at once, and an idle app", |desktop| {
        Box::pin(many_buckets::run(desktop))
    }),
];
