//! The menu for a state of the app.

use engine::app::api::accounts::AccountKind;
use engine::app::api::state::{AppState, AppStatus};

use super::buckets::{groups, shorten};
use super::{Action, Item};
use crate::page::Page;

/// The whole menu. Everything said in it is the engine's: `line`, names, what is mounted.
pub fn describe(state: &AppState) -> Vec<Item> {
    let mut items = vec![status_line(&state.status.line)];
    items.extend(mount_problem(state));
    let buckets = groups(state);
    if !buckets.is_empty() {
        items.push(Item::separator("buckets"));
        items.extend(buckets);
    }
    items.push(Item::separator("uploads"));
    items.push(pause(&state.status));
    items.push(Item::separator("windows"));
    items.push(activity(&state.status));
    items.push(Item::of(&Action::Open(Page::Settings), "Settings…"));
    items.push(Item::of(&Action::Open(Page::NewBucket), "New Bucket…").enabled(state.status.signed_in));
    items.push(Item::separator("accounts"));
    items.extend(accounts(state));
    items.push(Item::separator("end"));
    items.extend(end());
    items
}

/// Before the engine has started: there is a menu from the first moment on.
pub fn starting() -> Vec<Item> {
    let mut items = vec![Item::words("status", "Starting…"), Item::separator("end")];
    items.extend(end());
    items
}

/// With a line about an update just above Quit.
pub fn with_update(mut items: Vec<Item>, line: Option<String>) -> Vec<Item> {
    if let Some(line) = line {
        let at = items.iter().position(|item| item.id == "separator:end").map_or(items.len(), |at| at + 1);
        items.insert(at, Item::words("update", shorten(&line)));
    }
    items
}

/// What the pointer is told over the icon.
pub fn tooltip(status: &AppStatus) -> String {
    let lines: Vec<&str> =
        ["BucketBar", &status.line].into_iter().chain(status.details.iter().map(String::as_str)).collect();
    lines.join("\n")
}

fn status_line(line: &str) -> Item {
    Item { enabled: true, ..Item::words("status", line) }
}

fn mount_problem(state: &AppState) -> Option<Item> {
    let problem = state.about.mount_problem.as_ref().filter(|_| !state.about.can_mount)?;
    Some(Item::words("mount-problem", shorten(&problem.what)))
}

fn pause(status: &AppStatus) -> Item {
    if status.paused {
        return Item::of(&Action::Resume, "Resume Uploads");
    }
    let choices = vec![
        Item::of(&Action::Pause(Some(15)), "For 15 Minutes"),
        Item::of(&Action::Pause(Some(60)), "For 1 Hour"),
        Item::of(&Action::Pause(None), "Until I Resume"),
    ];
    Item::submenu("pause-uploads".into(), "Pause Uploads", choices)
}

fn activity(status: &AppStatus) -> Item {
    let label = match status.need_you {
        0 => "Activity…".to_owned(),
        1 => "Activity… (1 needs you)".to_owned(),
        count => format!("Activity… ({count} need you)"),
    };
    Item::of(&Action::Open(Page::Activity), label)
}

fn accounts(state: &AppState) -> Vec<Item> {
    let sign_in = if state.accounts.is_empty() { "Sign In…" } else { "Sign In with Another Account…" };
    let mut items = vec![Item::of(&Action::Open(Page::Welcome), sign_in)];
    // What the environment names cannot be signed out from here.
    let own = state.accounts.iter().filter(|account| account.kind != AccountKind::Environment);
    items.extend(own.map(|account| {
        Item::of(&Action::SignOut(account.id.clone()), format!("Sign Out {}…", shorten(&account.name)))
    }));
    items
}

fn end() -> Vec<Item> {
    vec![Item::of(&Action::CopyDiagnostics, "Copy Diagnostics"), Item::of(&Action::Quit, "Quit BucketBar")]
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
