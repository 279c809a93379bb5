use std::collections::{BTreeMap, HashSet};

use engine::app::api::accounts::{Account, AccountHealth, AccountKind, HfCliOffer, SignIn};
use engine::app::api::buckets::{Bucket, Mount, OwnerGroup, OwnerKind, ReadOnlyReason};
use engine::app::api::error::{AppError, ErrorCode};
use engine::app::api::settings::{LogLevel, Settings};
use engine::app::api::state::{About, AppState, AppStatus, BucketList};

use super::super::{Action, Change, Item, Kind, changes};
use super::*;

fn state() -> AppState {
    let settings = Settings {
        mount_folder: "/home/ada/Buckets".into(),
        start_at_login: false,
        mount_at_login: vec![],
        cache_bytes: None,
        reserve_bytes: None,
        upload_bytes_per_s: None,
        parallel_uploads: 3,
        read_only_by_default: false,
        notifications: BTreeMap::new(),
        snooze_until_ms: None,
        client_id: None,
        telemetry: false,
        log_level: LogLevel::Info,
    };
    let about = About {
        version: "0".into(),
        hub: "https://hub.example".into(),
        os: "linux".into(),
        machine: "this computer".into(),
        can_mount: true,
        mount_problem: None,
        can_oauth: true,
        started_ms: 0,
    };
    AppState {
        revision: 1,
        status: AppStatus { line: "All saved · 14:02".into(), signed_in: true, ..AppStatus::default() },
        accounts: vec![account("ada", AccountKind::Browser)],
        sign_in: SignIn::None,
        hf_cli: HfCliOffer { place: String::new(), there: false },
        token_variable: None,
        buckets: vec![],
        bucket_list: BucketList { asked_ms: Some(1), asking: false, error: None },
        conflicts: vec![],
        held_deletes: vec![],
        activity: vec![],
        settings,
        about,
    }
}

fn account(name: &str, kind: AccountKind) -> Account {
    Account {
        id: format!("id-{name}"),
        name: name.into(),
        full_name: None,
        organizations: vec![],
        kind,
        health: AccountHealth::Good,
        kept_in: String::new(),
        is_default: true,
    }
}

fn bucket(owner: &str, name: &str, mount: Mount) -> Bucket {
    Bucket {
        id: format!("{owner}/{name}"),
        owner: owner.into(),
        name: name.into(),
        account: None,
        private: true,
        size: None,
        files: None,
        last_used_ms: None,
        mount,
        sync: None,
    }
}

fn mounted(read_only: Option<ReadOnlyReason>) -> Mount {
    Mount::Mounted { mount_point: "/m".into(), read_only, since_ms: 1 }
}

fn group(owner: &str, kind: OwnerKind, buckets: Vec<Bucket>) -> OwnerGroup {
    OwnerGroup { owner: owner.into(), kind, account: None, buckets }
}

fn labels(items: &[Item]) -> Vec<&str> {
    items.iter().map(|item| item.label.as_str()).collect()
}

fn find<'a>(items: &'a [Item], id: &str) -> Option<&'a Item> {
    items.iter().find_map(|item| match &item.kind {
        _ if item.id == id => Some(item),
        Kind::Submenu(inner) => find(inner, id),
        _ => None,
    })
}

fn inner(item: &Item) -> &[Item] {
    match &item.kind {
        Kind::Submenu(items) => items,
        _ => panic!("{} has nothing below it", item.id),
    }
}

fn ids(items: &[Item]) -> Vec<String> {
    items
        .iter()
        .flat_map(|item| match &item.kind {
            Kind::Submenu(inner) => [vec![item.id.clone()], ids(inner)].concat(),
            _ => vec![item.id.clone()],
        })
        .collect()
}

#[test]
fn the_first_line_is_the_engines_and_opens_the_activity() {
    let menu = describe(&state());
    assert_eq!(menu[0].label, "All saved · 14:02");
    assert_eq!(Action::of_id(&menu[0].id), Some(Action::Open(Page::Activity)));
}

#[test]
fn buckets_stand_below_their_owners_with_a_check_mark_when_mounted() {
    let mut state = state();
    state.buckets = vec![
        group(
            "ada",
            OwnerKind::User,
            vec![bucket("ada", "photos", mounted(None)), bucket("ada", "notes", Mount::Off)],
        ),
        group(
            "acme",
            OwnerKind::Organization,
            vec![bucket("acme", "models", mounted(Some(ReadOnlyReason::Account)))],
        ),
    ];
    let menu = describe(&state);
    assert_eq!(
        labels(&menu)[2..9],
        [
            "ada",
            "photos",
            "    Actions for photos",
            "notes",
            "acme",
            "models (read-only)",
            "    Actions for models"
        ]
    );
    let kind = |id| find(&menu, id).map(|item| item.kind.clone());
    assert_eq!(kind("bucket:ada/photos"), Some(Kind::Check(true)));
    assert_eq!(kind("bucket:ada/notes"), Some(Kind::Check(false)));
    assert!(find(&menu, "owner:ada").is_some_and(|item| !item.enabled), "a heading is no button");
}

#[test]
fn a_bucket_in_use_offers_what_can_be_done_with_it() {
    let mut state = state();
    state.buckets = vec![group("ada", OwnerKind::User, vec![bucket("ada", "photos", mounted(None))])];
    let menu = describe(&state);
    let below = find(&menu, "actions:ada/photos").map(inner).unwrap_or_default();
    assert_eq!(labels(below), ["Open", "Reveal in Hub", "Unmount", "Read-only", "Sync Now", "Keep Offline…"]);
    let id = || "ada/photos".to_owned();
    let actions: Vec<_> = below.iter().filter_map(|item| Action::of_id(&item.id)).collect();
    assert_eq!(
        actions,
        [
            Action::Bucket(id()),
            Action::Reveal(id()),
            Action::Unmount(id()),
            Action::ReadOnly(id()),
            Action::SyncNow(id()),
            Action::KeepOffline(id())
        ]
    );
}

#[test]
fn read_only_by_the_account_cannot_be_switched_off() {
    let mut state = state();
    for (reason, may) in [(ReadOnlyReason::Asked, true), (ReadOnlyReason::Account, false)] {
        state.buckets = vec![group("ada", OwnerKind::User, vec![bucket("ada", "b", mounted(Some(reason)))])];
        let menu = describe(&state);
        let line = find(&menu, "read-only:ada/b").cloned();
        assert_eq!(line.map(|item| (item.kind, item.enabled)), Some((Kind::Check(true), may)));
    }
}

#[test]
fn every_state_of_a_mount_is_said_in_words() {
    let failed = Mount::Failed { error: AppError::new(ErrorCode::System, "no", "") };
    for (mount, label, enabled) in [
        (Mount::Off, "b", true),
        (Mount::Mounting, "b (mounting…)", false),
        (Mount::Unmounting, "b (unmounting…)", false),
        (Mount::Finishing, "b (uploading the rest)", true),
        (Mount::Lost { why: "gone".into() }, "b (connection lost)", true),
        (failed, "b (could not be mounted)", true),
    ] {
        let mut state = state();
        state.buckets = vec![group("ada", OwnerKind::User, vec![bucket("ada", "b", mount)])];
        let menu = describe(&state);
        let line = find(&menu, "bucket:ada/b").map(|item| (item.label.as_str(), item.enabled));
        assert_eq!(line, Some((label, enabled)));
    }
}

fn many() -> AppState {
    let mut state = state();
    let mut buckets: Vec<_> =
        (0..500).map(|n| bucket("ada", &format!("bucket-{n:03}"), Mount::Off)).collect();
    buckets[400].mount = mounted(None);
    state.buckets = vec![group("ada", OwnerKind::User, buckets)];
    state
}

#[test]
fn of_five_hundred_the_recent_and_the_mounted_are_on_top_and_the_rest_in_a_submenu() {
    let menu = describe(&many());
    assert!(menu.len() < 30, "the menu itself stays short: {}", menu.len());
    assert_eq!(labels(&menu)[3..8], ["bucket-000", "bucket-001", "bucket-002", "bucket-003", "bucket-004"]);
    assert_eq!(menu[8].label, "bucket-400");
    let rest = find(&menu, "more:ada").map(inner).unwrap_or_default();
    assert_eq!(rest.len(), 494);
    assert_eq!(
        rest.iter().filter(|item| matches!(item.kind, Kind::Check(_))).count(),
        494,
        "each can be clicked"
    );
}

#[test]
fn mounting_one_of_five_hundred_touches_a_handful_of_lines() {
    let before = describe(&many());
    let mut state = many();
    state.buckets[0].buckets[450].mount = mounted(None);
    state.status.line = "All saved · 14:03".into();
    let steps = changes(&before, &describe(&state));
    assert!(steps.len() <= 6, "{steps:?}");
    assert!(steps.contains(&Change::Label { at: 0, label: "All saved · 14:03".into() }));
}

#[test]
fn no_two_lines_have_one_id() {
    let mut state = many();
    state.buckets.push(group(
        "acme",
        OwnerKind::Organization,
        vec![bucket("acme", "bucket-000", mounted(None))],
    ));
    state.accounts.push(account("grace", AccountKind::Token));
    let all = ids(&describe(&state));
    assert_eq!(all.iter().collect::<HashSet<_>>().len(), all.len());
}

#[test]
fn pause_becomes_resume() {
    let mut state = state();
    let menu = describe(&state);
    let choices = find(&menu, "pause-uploads").map(inner).unwrap_or_default();
    let actions: Vec<_> = choices.iter().filter_map(|item| Action::of_id(&item.id)).collect();
    assert_eq!(actions, [Action::Pause(Some(15)), Action::Pause(Some(60)), Action::Pause(None)]);
    state.status.paused = true;
    let menu = describe(&state);
    assert!(find(&menu, "resume").is_some() && find(&menu, "pause-uploads").is_none());
}

#[test]
fn who_is_signed_in_can_sign_out_but_not_who_the_environment_names() {
    let mut state = state();
    state.accounts.push(account("ci", AccountKind::Environment));
    let menu = describe(&state);
    assert!(find(&menu, "sign-out:id-ada").is_some() && find(&menu, "sign-out:id-ci").is_none());
    state.accounts.clear();
    state.status.signed_in = false;
    let menu = describe(&state);
    assert_eq!(find(&menu, "open:welcome").map(|item| item.label.as_str()), Some("Sign In…"));
    assert!(find(&menu, "open:new-bucket").is_some_and(|item| !item.enabled));
}

#[test]
fn what_needs_somebody_is_counted() {
    let mut state = state();
    for (count, label) in [(0, "Activity…"), (1, "Activity… (1 needs you)"), (3, "Activity… (3 need you)")]
    {
        state.status.need_you = count;
        assert_eq!(
            find(&describe(&state), "open:activity").map(|item| item.label.clone()).as_deref(),
            Some(label)
        );
    }
}

#[test]
fn an_empty_list_says_why() {
    let mut state = state();
    let words = |state: &AppState| {
        let menu = describe(state);
        find(&menu, "no-buckets").or(find(&menu, "refresh")).map(|item| item.label.clone())
    };
    assert_eq!(words(&state).as_deref(), Some("No buckets yet"));
    state.bucket_list.asking = true;
    assert_eq!(words(&state).as_deref(), Some("Looking for buckets…"));
    state.bucket_list.error = Some(AppError::new(ErrorCode::Offline, "no", ""));
    assert_eq!(words(&state).as_deref(), Some("The list of buckets could not be read: try again"));
}

#[test]
fn a_long_or_wild_name_fits_one_line() {
    let mut state = state();
    let name = format!("{}\n{}", "x".repeat(200), "end");
    state.buckets = vec![group("ada", OwnerKind::User, vec![bucket("ada", &name, Mount::Off)])];
    let menu = describe(&state);
    let label = find(&menu, &format!("bucket:ada/{name}")).map(|item| item.label.clone()).unwrap_or_default();
    assert!(label.chars().count() == 48 && label.ends_with("end") && !label.contains('\n'), "{label:?}");
}

#[test]
fn there_is_a_way_to_quit_before_anything_has_started() {
    assert!(starting().iter().any(|item| Action::of_id(&item.id) == Some(Action::Quit)));
}
