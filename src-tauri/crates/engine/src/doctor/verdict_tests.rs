//! Facts of every kind, and what is made of them.

use super::*;
use crate::doctor::{Level, Report};

const GIB: u64 = 1 << 30;

fn local(free: u64) -> Disk {
    Disk { kind: "ext4".into(), remote: false, reflinks: Some(false), free }
}

fn folder(mode: u32, owner: u32, disk: Disk) -> Result<Folder> {
    Ok(Folder { path: "/s".into(), me: 1000, seen: Seen::There { mode, owner, disk } })
}

fn levels(checks: &[Check]) -> Vec<Level> {
    checks.iter().map(|check| check.level).collect()
}

#[test]
fn the_state_folder_is_mine_alone_on_a_local_disk_with_room() {
    use Level::{Note, Ok, Problem};
    let of = |folder| levels(&state_folder(&folder));
    assert_eq!(of(folder(0o700, 1000, local(50 * GIB))), [Ok, Ok]);
    assert_eq!(of(folder(0o750, 1000, local(50 * GIB))), [Problem, Ok]);
    assert_eq!(of(folder(0o700, 0, local(5 * GIB))), [Problem, Note]);
    assert_eq!(of(folder(0o700, 1000, local(GIB / 2))), [Ok, Problem]);
    let remote = Disk { remote: true, kind: "nfs".into(), ..local(50 * GIB) };
    assert_eq!(of(folder(0o700, 1000, remote)), [Ok, Problem]);
    let seen = |seen| of(Result::Ok(Folder { path: "/s".into(), me: 1000, seen }));
    assert_eq!(seen(Seen::Absent), [Ok]);
    assert_eq!(seen(Seen::Unreadable("x".into())), [Problem]);
}

fn account(role: &str) -> hub::Account {
    hub::Account {
        name: "alice".into(),
        full_name: None,
        email: None,
        is_pro: false,
        organizations: vec![],
        token_role: Some(role.into()),
        token_name: None,
    }
}

fn reached() -> hub::Reached {
    hub::Reached { origin: "https://h".into(), took: Duration::from_millis(20), date: None }
}

fn healthy() -> HubFacts {
    HubFacts {
        origin: Ok("https://h".into()),
        now: SystemTime::UNIX_EPOCH + Duration::from_secs(10_000),
        reached: Some(Ok(reached())),
        token_from: Some("the environment variable HF_TOKEN".into()),
        account: Some(Ok(account("write"))),
        of_the_app: Vec::new(),
        asked: Some("alice/photos".into()),
        storage: Some(Ok(reached())),
        feed: Some(Ok(())),
    }
}

#[test]
fn a_hub_with_a_good_sign_in_has_no_problem() {
    assert!(hub(&healthy()).iter().all(|check| check.level == Level::Ok), "{:?}", hub(&healthy()));
}

#[test]
fn no_token_a_refused_one_and_one_that_may_only_read() {
    let none = HubFacts { token_from: None, account: None, ..healthy() };
    assert_eq!(sign_in(&none).level, Level::Problem);
    let in_the_app = HubFacts { of_the_app: vec!["alice".into()], ..none };
    assert_eq!(sign_in(&in_the_app).level, Level::Note);
    let refused = EngineError::new("It is not accepted", "Sign in again.");
    let check = sign_in(&HubFacts { account: Some(Err(refused)), ..healthy() });
    assert_eq!((check.level, check.found.as_str()), (Level::Problem, "It is not accepted."));
    assert_eq!(sign_in(&HubFacts { account: Some(Ok(account("read"))), ..healthy() }).level, Level::Note);
    assert_eq!(sign_in(&HubFacts { account: None, ..healthy() }).level, Level::Note, "the Hub is away");
}

#[test]
fn clocks_that_differ_are_noted_then_a_problem_both_ways() {
    let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
    assert_eq!(clock(at(10_000), at(10_030)).level, Level::Ok);
    let behind = clock(at(10_000), at(9_900));
    assert_eq!((behind.level, behind.found.contains("100 s behind")), (Level::Note, true));
    assert_eq!(clock(at(10_000), at(10_400)).level, Level::Problem);
}

fn served(change: impl FnOnce(&mut bucketfs::Status)) -> EngineStatus {
    let mut engine: EngineStatus = serde_json::from_value(serde_json::json!({
        "bucket": "alice/photos", "hub": "https://h", "port": 20000, "pid": 7, "started_ms": 0, "finishing": false,
        "all_saved": true, "paused": false, "online": true, "read_only": false, "queued": 0, "uploading": 0,
        "waiting": 0, "failed": 0, "local_only": 0, "unsent_bytes": 0, "last_saved_ms": null, "offline_cause": null
    }))
    .unwrap();
    change(&mut engine.sync);
    engine
}

#[test]
fn a_server_says_what_failed_first() {
    assert_eq!(server("x", &served(|_| ())).level, Level::Ok);
    let both = server("x", &served(|sync| (sync.failed, sync.paused) = (2, true)));
    assert_eq!(both.level, Level::Problem);
    assert!(both.found.contains("2 files") && both.advice.contains("queue alice/photos"), "{both:?}");
    assert_eq!(server("x", &served(|sync| sync.held_deletes = 1)).level, Level::Note);
    assert_eq!(server("x", &served(|sync| sync.conflicts = 1)).level, Level::Note);
    assert_eq!(server("x", &served(|sync| sync.online = false)).level, Level::Note);
}

fn at_rest(database: Database, staged: u64, without_sidecar: u64) -> BucketFacts {
    let inspection = Inspection { database, staged, without_sidecar, kept_apart: 0 };
    BucketFacts {
        name: "alice/photos".into(),
        path: "/s/b".into(),
        token: "0".repeat(32),
        open_to_others: false,
        inspection: Some(inspection),
        engine: None,
    }
}

#[test]
fn a_damaged_database_and_bytes_nobody_takes_up_are_problems() {
    use Level::{Note, Ok, Problem};
    let of = |facts| levels(&bucket(&facts));
    assert_eq!(of(at_rest(Database::Sound, 0, 0)), [Ok, Ok]);
    assert_eq!(of(at_rest(Database::Sound, 3, 0)), [Ok, Note], "they may be unsent");
    assert_eq!(of(at_rest(Database::Damaged("It is.".into()), 0, 0)), [Problem, Ok]);
    assert_eq!(of(at_rest(Database::Sound, 0, 1)), [Ok, Problem, Ok]);
    assert_eq!(of(BucketFacts { open_to_others: true, ..at_rest(Database::Sound, 0, 0) }), [Problem, Ok, Ok]);
    assert_eq!(of(BucketFacts { inspection: None, ..at_rest(Database::Sound, 0, 0) }), [Note, Ok]);
}

#[test]
fn a_mount_without_a_server_is_a_problem_and_says_the_way_out() {
    let of = |served, known| mount(&MountFacts { mount_point: "/m".into(), served, known });
    assert_eq!(of(true, true).level, Level::Ok);
    assert_eq!(of(true, false).level, Level::Note);
    assert!(of(false, true).advice.contains("bucketbarctl mount"));
    assert!(of(false, false).advice.contains("unmount --force '/m'"));
}

#[test]
fn the_helper_matters_to_whoever_cannot_mount_without_it() {
    let of = |state, os, is_root| helper(&Helper { state, version: None, is_root, os }).level;
    assert_eq!(of(HelperState::Absent, Os::Linux, false), Level::Problem);
    assert_eq!(of(HelperState::Absent, Os::Linux, true), Level::Ok);
    assert_eq!(of(HelperState::Absent, Os::MacOs, false), Level::Note);
    assert_eq!(of(HelperState::Silent("x".into()), Os::Linux, true), Level::Problem);
    assert_eq!(of(HelperState::Ready, Os::MacOs, false), Level::Ok);
}

#[test]
fn every_problem_and_note_says_what_to_do() {
    let silent = Keeper { program: Some("/k".into()), version: None, holds: Err("it is stuck".into()) };
    let missing = Keeper { program: None, version: None, holds: Ok(0) };
    let mut checks = vec![
        keeper(&silent),
        keeper(&missing),
        nfs_client(NfsClient::NoKernel),
        nfs_client(NfsClient::NoProgram("/sbin/mount.nfs")),
        open_files(Some(256)),
        ports(&(20_000..=32_767, false)),
    ];
    checks.extend(hub(&HubFacts { token_from: None, ..healthy() }));
    for check in checks.iter().filter(|check| check.level != Level::Ok) {
        assert!(check.found.ends_with('.') && check.advice.len() > 10, "{check:?}");
    }
    assert!(checks.iter().filter(|check| check.level != Level::Ok).count() >= 7);
}

#[test]
fn the_last_line_counts() {
    let of = |checks: Vec<Check>| Report { version: "1".into(), checks };
    let note = || Check::note("a", "b.", "c.");
    assert_eq!(of(vec![]).summary(), "No problem was found.");
    assert_eq!(of(vec![note()]).summary(), "No problem was found, 1 note.");
    let bad = of(vec![note(), Check::problem("a", "b.", "c."), Check::problem("a", "b.", "c.")]);
    assert_eq!((bad.summary().as_str(), bad.is_healthy()), ("2 problems, 1 note.", false));
}
