//! `doctor` on machines in good and bad health. What this machine can mount is not the matter here.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::{Done, Engine, Room};

/// Says nothing of what differs between the machines that run this test.
const OF_THE_MACHINE: [&str; 4] = ["NFS client", "Helper", "Disk", "Mounts"];

struct Found {
    code: Option<i32>,
    checks: Vec<(String, String, String)>,
}

impl Found {
    fn in_(room: &Room) -> Found {
        let done = room.run(&["doctor", "--json"]);
        for secret in ["hf_alice", "hf_wrong", "hf_read"] {
            assert!(!done.stdout.contains(secret) && !done.stderr.contains(secret), "{done:?}");
        }
        let report: Value = serde_json::from_str(&done.stdout).unwrap_or_else(|_| panic!("{done:?}"));
        let text = |check: &Value, field: &str| check[field].as_str().unwrap().to_owned();
        let row = |check: &Value| (text(check, "name"), text(check, "level"), text(check, "found"));
        let found =
            Found { code: done.code, checks: report["checks"].as_array().unwrap().iter().map(row).collect() };
        let bad = found.checks.iter().any(|(_, level, _)| level == "problem");
        assert_eq!(found.code, Some(i32::from(bad)), "the exit code says what was found: {report:#}");
        found
    }

    /// The names of what is a problem here and does not lie in the machine.
    fn problems(&self) -> Vec<&str> {
        let bad = self.checks.iter().filter(|(_, level, _)| level == "problem");
        bad.map(|(name, ..)| name.as_str()).filter(|name| !OF_THE_MACHINE.contains(name)).collect()
    }

    fn says(&self, name: &str, level: &str, part: &str) {
        let fits = |row: &&(String, String, String)| row.0 == name && row.1 == level && row.2.contains(part);
        assert!(self.checks.iter().any(|row| fits(&row)), "{name} {level} “{part}”: {:#?}", self.checks);
    }
}

/// A server with its state where a person's lies.
fn serve(room: &Room) -> Engine {
    let state = state(room);
    let args =
        ["serve", &room.bucket, "--state", state.to_str().unwrap(), "--debounce-ms", "100", "--no-keeper"];
    Engine::start(room.command(&args))
}

fn home(room: &Room) -> PathBuf {
    room.dir.path().join(".local/state/bucketbar")
}

fn state(room: &Room) -> PathBuf {
    home(room).join("buckets/photos")
}

/// Every name below, with its length and its time of change.
fn picture(dir: &Path) -> Vec<String> {
    let mut lines = Vec::new();
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let (path, about) = (entry.path(), entry.metadata().unwrap());
        // The index of SQLite's log is shared memory: its time moves when the system writes it back, whoever looks.
        let changed = (!path.to_string_lossy().ends_with("-shm")).then(|| about.modified().unwrap());
        lines.push(format!("{} {} {changed:?}", path.display(), about.len()));
        if about.is_dir() {
            lines.extend(picture(&path));
        }
    }
    lines.sort();
    lines
}

#[test]
fn a_machine_that_never_used_it_is_well_and_stays_untouched() {
    let room = Room::new();
    let found = Found::in_(&room);
    assert_eq!(found.problems(), Vec::<&str>::new(), "{:#?}", found.checks);
    found.says("Sign-in", "ok", "alice by the token of the environment variable HF_TOKEN");
    found.says("Storage", "ok", "answers in");
    found.says("Clock", "ok", "agrees");
    assert_eq!(picture(room.dir.path()), Vec::<String>::new());
    let shown = room.run(&["doctor"]).stdout;
    assert!(shown.contains("ok      Sign-in: alice"), "{shown}");
}

#[test]
fn nobody_signed_in_and_a_token_that_is_not_accepted() {
    let mut room = Room::new();
    room.token = None;
    let found = Found::in_(&room);
    assert_eq!(found.problems(), ["Sign-in"]);
    let origin = room.hub.endpoint().trim_end_matches('/');
    let of_the_app = serde_json::json!({origin: {"default": null, "accounts": [
        {"id": "1", "name": "alice", "full_name": null, "organizations": [], "kind": "browser"}]}});
    let folder = room.dir.path().join(".config/bucketbar");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("accounts.json"), of_the_app.to_string()).unwrap();
    Found::in_(&room).says("Sign-in", "note", "The app is signed in as alice");
    room.token = Some("hf_wrong".to_owned());
    let found = Found::in_(&room);
    assert_eq!(found.problems(), ["Sign-in"]);
    found.says("Hub", "ok", "answers in");
    room.token = Some("hf_read".to_owned());
    Found::in_(&room).says("Sign-in", "note", "may read");
}

#[test]
fn the_first_command_makes_the_state_folder_for_its_owner_alone() {
    let room = Room::new();
    room.run(&["whoami"]).ok();
    assert_eq!(fs::metadata(home(&room)).unwrap().permissions().mode() & 0o777, 0o700);
    Found::in_(&room).says("State folder", "ok", "yours alone");
}

#[test]
fn a_hub_that_is_away_is_said_soon() {
    let room = Room::new();
    let mut command = room.command(&["doctor"]);
    command.env("HF_ENDPOINT", "http://127.0.0.1:9");
    let begun = Instant::now();
    let done = Done::of(command.output().unwrap());
    assert!(begun.elapsed() < Duration::from_secs(60));
    assert_eq!(done.code, Some(1));
    assert!(done.stdout.contains("PROBLEM Hub: http://127.0.0.1:9: "), "{}", done.stdout);
    assert!(done.stdout.contains("could not be tried"), "{}", done.stdout);
}

#[tokio::test]
async fn a_running_server_is_looked_at_and_not_disturbed() {
    let room = Room::new();
    let engine = serve(&room);
    let mut wire = engine.mount_and_list().await;
    wire.put("a.txt", b"hello").await;
    let found = Found::in_(&room);
    assert_eq!(found.problems(), Vec::<&str>::new(), "{:#?}", found.checks);
    let name = format!("Bucket {}", room.bucket);
    found.says(&name, "ok", "is sound");
    found.says(&name, "ok", &format!("process {}", engine.pid()));
    let file = wire.put("b.txt", b"still served").await;
    assert_eq!(wire.read(&file).await, b"still served");
}

#[tokio::test]
async fn a_folder_open_to_others_and_a_damaged_database() {
    let room = Room::new();
    let engine = serve(&room);
    engine.mount_and_list().await.put("a.txt", b"hello").await;
    engine.terminate();
    let name = format!("Bucket {}", room.bucket);
    let before = picture(&home(&room));
    Found::in_(&room).says(&name, "ok", "is sound");
    assert_eq!(picture(&home(&room)), before, "nothing was changed by looking");

    fs::set_permissions(home(&room), fs::Permissions::from_mode(0o755)).unwrap();
    assert_eq!(Found::in_(&room).problems(), ["State folder"]);
    fs::set_permissions(home(&room), fs::Permissions::from_mode(0o700)).unwrap();

    let database = state(&room).join("names.db");
    let mut bytes = fs::read(&database).unwrap();
    let from = bytes.len() / 4;
    bytes[from..].fill(0xff);
    fs::write(&database, &bytes).unwrap();
    let found = Found::in_(&room);
    assert_eq!(found.problems(), [name.as_str()], "{:#?}", found.checks);
    assert_eq!(fs::read(&database).unwrap(), bytes, "the damaged one is left for the next start");
}
