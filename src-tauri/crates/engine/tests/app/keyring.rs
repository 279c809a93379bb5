//! The real Secret Service: a session bus and a gnome-keyring-daemon of the test's own.

use std::process::{Command, Stdio};
use std::sync::Arc;

use engine::app::api::commands::{Asked, SignOutArgs, TokenArgs};
use engine::app::keychain::Keyring;

use crate::bench::{Desk, until};

const INSIDE: &str = "BUCKETBAR_TEST_KEYRING";

/// Runs the test below in a session of its own.
#[test]
fn the_secret_service_keeps_tokens_and_nothing_else_does() {
    if std::env::var_os(INSIDE).is_some() {
        return;
    }
    let home = testkit::tempdir().unwrap();
    let runtime = home.path().join("run");
    std::fs::create_dir(&runtime).unwrap();
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(&runtime, std::fs::Permissions::from_mode(0o700)).unwrap();
    let script = "printf testpw | gnome-keyring-daemon --unlock --components=secrets --daemonize >/dev/null 2>&1 || exit 97; \
                  \"$0\" --exact keyring::inside_a_session_with_a_keyring --nocapture; code=$?; \
                  pid=$(dbus-send --session --print-reply=literal --dest=org.freedesktop.DBus / \
                  org.freedesktop.DBus.GetConnectionUnixProcessID string:org.freedesktop.secrets | tr -dc ' 0-9' | \
                  awk '{print $2}'); [ -n \"$pid\" ] && kill $pid; exit $code";
    let done = Command::new("dbus-run-session")
        .args(["--", "sh", "-c", script])
        .arg(std::env::current_exe().unwrap())
        .env(INSIDE, "1")
        .env("HOME", home.path())
        .env("XDG_RUNTIME_DIR", &runtime)
        .stdin(Stdio::null())
        .output()
        .expect("dbus-run-session is missing: apt install dbus-daemon gnome-keyring libsecret-tools");
    let said = format!("{}{}", String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    assert!(done.status.code() != Some(97), "gnome-keyring-daemon is missing: apt install gnome-keyring");
    assert!(done.status.success() && said.contains("1 passed"), "{said}");
}

fn lookup(user: &str) -> Option<String> {
    let mut command = Command::new("secret-tool");
    command.args(["lookup", "service", "co.BucketBar.BucketBar", "username", user]);
    let done = command.output().expect("secret-tool is missing: apt install libsecret-tools");
    done.status.success().then(|| String::from_utf8(done.stdout).unwrap())
}

/// Outside of that session it does nothing: there it would use the tester's own keyring.
#[tokio::test(flavor = "multi_thread")]
async fn inside_a_session_with_a_keyring() {
    if std::env::var_os(INSIDE).is_none() {
        return;
    }
    let mut desk = Desk::new(&[]);
    desk.keychain = Arc::new(Keyring::of_system());
    let (app, _) = desk.with_alice().await;
    let user = format!("user-alice at {}", desk.hub.endpoint());
    assert!(lookup(&user).unwrap().contains("hf_alice"));
    assert_eq!(desk.traces_of("hf_alice"), Vec::<std::path::PathBuf>::new());
    app.end().await;
    drop(app);
    let again = desk.start().await;
    let state = until(&again, "signed in still", |state| !state.accounts.is_empty()).await;
    assert_eq!(state.accounts[0].kept_in, "your keyring");
    let out = |consent| SignOutArgs { account: "user-alice".into(), consent };
    let Asked::Question { consent, .. } = again.sign_out(out(None)).await.unwrap() else { panic!() };
    again.sign_out(out(Some(consent))).await.unwrap();
    assert_eq!(lookup(&user), None);
    again.sign_in_token(TokenArgs { token: "hf_bob".into() }).await.unwrap();
    again.end().await;
}
