//! Signing in, buckets as wholes, signing out; and where the token never is.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use testkit::LocalHub;

use crate::support::{Done, Engine, Room};

/// A browser: goes where it is sent, back to the listener too.
const BROWSER: &str = "#!/bin/sh\nexec curl -sL --max-time 20 -o /dev/null \"$1\"\n";

/// A room whose Hub says yes by itself, and nobody signed in.
fn room(more: &[&str]) -> Room {
    let builder = ["--consent", "auto", "--org", "acme=alice"].iter().chain(more);
    let builder = builder.fold(LocalHub::builder().token("hf_alice", "alice"), |hub, arg| hub.argument(arg));
    let mut room = Room::on(builder.start());
    room.token = None;
    room
}

fn browser(room: &Room) -> PathBuf {
    let path = room.dir.path().join("browser");
    fs::write(&path, BROWSER).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
    path
}

fn login(room: &Room) -> Done {
    let mut command = room.command(&["login", "--browser"]);
    command.env("BUCKETBAR_OPEN", browser(room)).stdin(Stdio::null());
    Done::of(command.output().unwrap()).ok()
}

/// The one file that may hold a token.
fn secrets_file(room: &Room) -> PathBuf {
    let all = files(room.dir.path());
    let mut found = all.into_iter().filter(|path| {
        path.parent().is_some_and(|dir| dir.ends_with("sign-in"))
            && path.extension().is_some_and(|e| e == "json")
    });
    let file = found.next().unwrap();
    assert_eq!(found.next(), None, "one Hub, one file");
    file
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).unwrap().flatten().map(|entry| entry.path());
    entries
        .filter(|path| path.is_dir() || path.is_file()) // no sockets
        .flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] })
        .collect()
}

fn tokens(room: &Room) -> Vec<String> {
    let grant: serde_json::Value = serde_json::from_slice(&fs::read(secrets_file(room)).unwrap()).unwrap();
    let token = |name: &str| grant[name].as_str().map(str::to_owned);
    let found: Vec<String> = ["access_token", "refresh_token"].into_iter().filter_map(token).collect();
    assert_eq!(found.len(), 2, "it can be renewed");
    found
}

#[test]
fn in_the_browser_then_a_bucket_from_its_making_to_its_end() {
    let room = room(&[]);
    room.run(&["whoami"]).says("bucketbarctl login");
    let done = login(&room);
    assert!(done.stdout.contains("Signed in as alice"), "{done:?}");
    assert!(done.stdout.contains("sign-in") && done.stdout.contains("0600"), "said aloud: {done:?}");
    let file = secrets_file(&room);
    assert_eq!(fs::metadata(&file).unwrap().mode() & 0o777, 0o600);
    assert_eq!(fs::metadata(file.parent().unwrap()).unwrap().mode() & 0o777, 0o700);
    let who = room.run(&["whoami", "--json"]).json();
    assert_eq!((who["account"].as_str(), who["organizations"][0].as_str()), (Some("alice"), Some("acme")));
    assert!(room.run(&["bucket", "create", "box", "--private"]).ok().stdout.contains("alice/box"));
    room.run(&["bucket", "create", "acme/open", "--public"]).ok();
    let again = room.run(&["bucket", "create", "box"]);
    assert_eq!(again.code, Some(1));
    again.says("already");
    let listed = room.run(&["bucket", "ls", "--json"]).json();
    let private = |name: &str| {
        let row = listed.as_array().unwrap().iter().find(|row| row["bucket"] == name);
        row.map(|row| row["private"] == true)
    };
    assert_eq!((private("alice/box"), private("acme/open")), (Some(true), Some(false)));
    room.run(&["bucket", "delete", "alice/box"]).says("--yes");
    room.run(&["bucket", "ls"]).ok().stdout.find("alice/box").unwrap();
    room.run(&["bucket", "delete", "alice/box", "--yes"]).ok();
    assert!(!room.run(&["bucket", "ls"]).ok().stdout.contains("alice/box"));
    room.run(&["logout", "--account", "bob"]).says("bob is not signed in");
    room.run(&["logout", "--account", "alice"]).ok();
    assert!(!file.exists());
    assert_eq!(room.run(&["whoami"]).code, Some(1));
}

#[test]
fn with_a_code_entered_elsewhere() {
    let mut room = Room::on(LocalHub::builder().token("hf_alice", "alice").start());
    room.token = None;
    let mut command = room.command(&["login", "--device"]);
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let line = lines.next().unwrap().unwrap();
    let code = line.split("code ").last().unwrap().trim_end_matches('.');
    let form = format!("user_code={code}&decision=allow&user=alice");
    let headers = [("content-type", "application/x-www-form-urlencoded")];
    let answer =
        room.hub.client().request("POST", "/oauth/device/decision", &headers, form.as_bytes()).unwrap();
    assert_eq!(answer.status, 200, "{line}");
    let rest: Vec<String> = lines.map(Result::unwrap).collect();
    assert!(child.wait().unwrap().success());
    assert!(rest.iter().any(|line| line.contains("Signed in as alice")), "{rest:?}");
    assert_eq!(room.run(&["whoami", "--json"]).json()["account"], "alice");
}

#[test]
fn a_sign_in_that_cannot_be_renewed_is_said_and_a_code_brings_one_that_can() {
    let room = room(&["--no-refresh-in-code-flow"]);
    let done = login(&room);
    assert!(done.stdout.contains("cannot be renewed") && done.stdout.contains("enter the code"), "{done:?}");
    tokens(&room);
}

#[test]
fn a_pasted_token_comes_by_standard_input_and_is_tried_before_it_is_kept() {
    let room = room(&[]);
    let paste = |text: &str| {
        let mut command = room.command(&["login", "--token"]);
        let pipes = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = pipes.spawn().unwrap();
        child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
        Done::of(child.wait_with_output().unwrap())
    };
    paste("hf_wrong\n").says("Nothing was kept");
    paste("api_org_x\n").says("organisation");
    paste("\n").says("no access token");
    assert_eq!(room.run(&["whoami"]).code, Some(1));
    paste("hf_alice\n").ok();
    assert_eq!(room.run(&["whoami", "--json"]).json()["account"], "alice");
}

#[test]
fn the_environment_comes_first_and_the_hf_tools_token_last() {
    let mut room = room(&[]);
    let from =
        |room: &Room| room.run(&["whoami", "--json"]).json()["token_from"].as_str().unwrap().to_owned();
    let hf = room.dir.path().join(".cache/huggingface/token");
    fs::create_dir_all(hf.parent().unwrap()).unwrap();
    fs::write(&hf, "hf_alice").unwrap();
    assert!(from(&room).contains(".cache/huggingface/token"));
    login(&room);
    assert!(from(&room).contains("sign-in"), "{}", from(&room));
    room.token = Some("hf_alice".to_owned());
    assert!(from(&room).contains("HF_TOKEN"));
    room.token = None;
    assert!(room.run(&["logout"]).ok().stdout.contains("huggingface/token"), "who is left is said");
    assert_eq!(fs::read_to_string(&hf).unwrap(), "hf_alice", "never touched");
}

#[test]
fn no_hub_elsewhere_is_signed_in_to_without_an_application() {
    let room = room(&[]);
    let mut command: Command = room.command(&["login", "--device"]);
    let done = Done::of(command.env("HF_ENDPOINT", "https://hub.invalid").output().unwrap());
    done.says("no application registered at https://hub.invalid");
}

#[test]
fn a_server_finds_the_sign_in_by_itself_and_shows_it_nowhere() {
    let room = room(&[]);
    login(&room);
    let tokens = tokens(&room);
    let state = room.state();
    let mut command = room.command(&["serve", &room.bucket, "--state", state.to_str().unwrap()]);
    command.env("BUCKETBAR_LOG", "debug");
    let engine = Engine::start(command);
    for file in ["cmdline", "environ"] {
        let text = fs::read(format!("/proc/{}/{file}", engine.pid())).unwrap();
        let text = String::from_utf8_lossy(&text);
        assert!(!tokens.iter().any(|token| text.contains(token)), "in {file}");
    }
    let left = room.run(&["logout"]).ok();
    assert!(!left.stdout.contains("not running"), "{left:?}");
    let (_, _, log) = engine.terminate();
    assert!(!tokens.iter().any(|token| log.contains(token)), "in the log: {log}");
    for path in files(room.dir.path()) {
        let text = String::from_utf8_lossy(&fs::read(&path).unwrap()).into_owned();
        assert!(!tokens.iter().any(|token| text.contains(token)), "in {}", path.display());
    }
}
