//! The part of the menu with the buckets: by owner, what is in use and was used lately on top.
//!
//! A line with a submenu cannot be clicked, neither on macOS nor in a Linux panel. So the bucket's own line is
//! the click that mounts and opens, and a line below a bucket in use holds the rest.

use engine::app::api::buckets::{Bucket, Mount, OwnerGroup};
use engine::app::api::state::AppState;

use super::{Action, Item};

/// With more buckets than this in all, only those in use and a few of each owner stand in the menu itself.
const MANY: usize = 16;
/// Of each owner, then.
const FEW: usize = 5;
/// Longer names lose their middle.
const NAME_CHARS: usize = 48;

pub(super) fn groups(state: &AppState) -> Vec<Item> {
    let all: usize = state.buckets.iter().map(|group| group.buckets.len()).sum();
    let shown = if all > MANY { FEW } else { usize::MAX };
    let mut items: Vec<Item> = state.buckets.iter().flat_map(|group| group_lines(group, shown)).collect();
    items.extend(about_the_list(state, all));
    items
}

fn group_lines(group: &OwnerGroup, shown: usize) -> Vec<Item> {
    if group.buckets.is_empty() {
        return Vec::new();
    }
    let mut items = vec![Item::words(&format!("owner:{}", group.owner), shorten(&group.owner))];
    let mut rest = Vec::new();
    let mut idle_shown = 0;
    for bucket in &group.buckets {
        let idle = matches!(bucket.mount, Mount::Off);
        if idle && idle_shown >= shown {
            rest.push(line(bucket));
            continue;
        }
        idle_shown += usize::from(idle);
        items.push(line(bucket));
        items.extend(below(bucket));
    }
    if !rest.is_empty() {
        let label = format!("{} more of {}", rest.len(), shorten(&group.owner));
        items.push(Item::submenu(format!("more:{}", group.owner), label, rest));
    }
    items
}

/// The line that mounts and opens.
fn line(bucket: &Bucket) -> Item {
    let name = shorten(&bucket.name);
    let (label, checked, enabled) = match &bucket.mount {
        Mount::Off => (name, false, true),
        Mount::Mounting => (format!("{name} (mounting…)"), false, false),
        Mount::Mounted { read_only: Some(_), .. } => (format!("{name} (read-only)"), true, true),
        Mount::Mounted { read_only: None, .. } => (name, true, true),
        Mount::Unmounting => (format!("{name} (unmounting…)"), true, false),
        Mount::Finishing => (format!("{name} (uploading the rest)"), false, true),
        Mount::Lost { .. } => (format!("{name} (connection lost)"), false, true),
        Mount::Failed { .. } => (format!("{name} (could not be mounted)"), false, true),
    };
    Item::check(&Action::Bucket(bucket.id.clone()), label, checked).enabled(enabled)
}

/// What else can be done with a bucket in use; nothing below one that is off or on its way.
fn below(bucket: &Bucket) -> Option<Item> {
    let id = || bucket.id.clone();
    let reveal = Item::of(&Action::Reveal(id()), "Reveal in Hub");
    let sync = Item::of(&Action::SyncNow(id()), "Sync Now");
    let offline = Item::of(&Action::KeepOffline(id()), "Keep Offline…");
    let unmount = Item::of(&Action::Unmount(id()), "Unmount");
    let items = match &bucket.mount {
        Mount::Mounted { read_only, .. } => {
            let open =
                Item { id: format!("open-bucket:{}", bucket.id), ..Item::of(&Action::Bucket(id()), "Open") };
            let account_only = matches!(read_only, Some(engine::app::api::buckets::ReadOnlyReason::Account));
            let read_only_line =
                Item::check(&Action::ReadOnly(id()), "Read-only", read_only.is_some()).enabled(!account_only);
            vec![open, reveal, unmount, read_only_line, sync, offline]
        }
        Mount::Lost { .. } => vec![reveal, unmount, sync],
        Mount::Finishing => vec![reveal, sync],
        _ => return None,
    };
    Some(Item::submenu(
        format!("actions:{}", bucket.id),
        format!("    Actions for {}", shorten(&bucket.name)),
        items,
    ))
}

/// Why there is nothing, or not all, to be seen.
fn about_the_list(state: &AppState, shown: usize) -> Option<Item> {
    let list = &state.bucket_list;
    if let Some(error) = &list.error {
        let label = if shown == 0 {
            "The list of buckets could not be read"
        } else {
            "The list of buckets may be old"
        };
        let again = Item::of(&Action::RefreshBuckets, format!("{label}: try again"));
        tracing::debug!("buckets' list: {error}");
        return Some(again);
    }
    let signed_in = state.status.signed_in;
    match (shown, signed_in) {
        (0, true) if list.asking || list.asked_ms.is_none() => {
            Some(Item::words("no-buckets", "Looking for buckets…"))
        }
        (0, true) => Some(Item::words("no-buckets", "No buckets yet")),
        _ => None,
    }
}

/// A name that fits a menu: a long one keeps its two ends.
pub(super) fn shorten(name: &str) -> String {
    let chars: Vec<char> = name.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
    if chars.len() <= NAME_CHARS {
        return chars.into_iter().collect();
    }
    let half = (NAME_CHARS - 1) / 2;
    let end = &chars[chars.len() - half..];
    chars[..NAME_CHARS - 1 - half].iter().chain(['…'].iter()).chain(end).collect()
}
