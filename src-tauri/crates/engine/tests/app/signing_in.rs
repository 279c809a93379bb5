//! Signing in and out, and that tokens are nowhere but in the keychain.

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use engine::app::App;
use engine::app::api::accounts::{AccountHealth, AccountKind, DeviceReason, SignIn};
use engine::app::api::activity::ActivityKind;
use engine::app::api::buckets::OwnerKind;
use engine::app::api::commands::{AccountArgs, Asked, PauseArgs, SignOutArgs, TokenArgs};
use engine::app::api::error::ErrorCode;
use engine::app::api::event::AppEvent;
use engine::app::api::state::{AppState, Icon};

use crate::bench::{Desk, NOTHING, all_saved, events_until, until};

/// Presses a button of a consent page; gives where the browser is sent.
fn press(endpoint: &str, action: &str, form: &str) -> String {
    let mut curl = Command::new("curl");
    curl.args(["-s", "-o", "/dev/null", "-w", "%{redirect_url}", "--data-binary", form]);
    let done = curl.arg(format!("{endpoint}{action}")).output().unwrap();
    String::from_utf8(done.stdout).unwrap()
}

/// What a person does in the browser at `url`.
fn decide(desk: &Desk, url: &str, decision: &str) {
    let page = desk.hub.client().request("GET", url, &[], b"").unwrap().text();
    let request = page.split("name=request value=\"").nth(1).unwrap().split('"').next().unwrap();
    let form = format!("request={request}&decision={decision}&user=alice&org=acme");
    let back = press(desk.hub.endpoint(), "/oauth/authorize/decision", &form);
    Command::new("curl").args(["-s", "-o", "/dev/null", &back]).status().unwrap();
}

async fn sign_in_by_browser(desk: &Desk, app: &Arc<App>, decision: &str) {
    app.sign_in_browser(NOTHING).await.unwrap();
    let state =
        until(app, "the browser is to be used", |state| matches!(state.sign_in, SignIn::Browser { .. }))
            .await;
    let SignIn::Browser { url, opened, .. } = &state.sign_in else { unreachable!() };
    assert!(*opened && desk.desktop.opened.lock().contains(url));
    decide(desk, url, decision);
}

async fn allow_device(desk: &Desk, app: &Arc<App>, wanted: DeviceReason) {
    let is = |sign_in: &SignIn| matches!(sign_in, SignIn::Device { why, .. } if *why == wanted);
    let state = until(app, "a code is to be typed", |state| is(&state.sign_in)).await;
    let SignIn::Device { user_code, .. } = &state.sign_in else { unreachable!() };
    let form = format!("user_code={user_code}&decision=allow&user=alice");
    press(desk.hub.endpoint(), "/oauth/device/decision", &form);
}

async fn done(app: &Arc<App>) {
    until(app, "signed in", |state| matches!(state.sign_in, SignIn::Done { .. })).await;
}

fn kept_token(desk: &Desk) -> String {
    let entry = format!("user-alice at {}", desk.hub.endpoint());
    let grant: serde_json::Value =
        serde_json::from_str(&desk.keychain.get(&entry).unwrap().unwrap()).unwrap();
    grant["access_token"].as_str().unwrap().to_owned()
}

/// Nothing that anybody is shown, and no file, holds the token.
async fn is_nowhere(desk: &Desk, app: &Arc<App>, secret: &str) {
    assert_eq!(desk.traces_of(secret), Vec::<std::path::PathBuf>::new());
    for command in ["snapshot", "saved", "diagnostics"] {
        let answer = app.call(command, serde_json::json!({})).await.unwrap().to_string();
        assert!(!answer.contains(secret), "{command}: {answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn in_the_browser_and_the_token_is_nowhere_but_in_the_keychain() {
    let desk = Desk::new(&["--org", "acme=alice"]);
    desk.hub.create_bucket("photos");
    desk.hub.client().create_bucket("acme/models");
    let app = desk.start().await;
    until(&app, "signed out", |state| state.status.icon == Icon::SignedOut).await;
    sign_in_by_browser(&desk, &app, "allow").await;
    done(&app).await;
    let state = until(&app, "two groups", |state| state.buckets.len() == 2).await;
    let account = &state.accounts[0];
    assert_eq!(
        (account.name.as_str(), account.kind, account.is_default),
        ("alice", AccountKind::Browser, true)
    );
    assert_eq!((state.buckets[0].kind, state.buckets[1].kind), (OwnerKind::User, OwnerKind::Organization));
    assert_eq!(state.buckets[0].buckets[0].id, "alice/photos");
    let token = kept_token(&desk);
    assert!(token.starts_with("hf_"), "{token}");
    let bucket = desk.mount(&app, "alice/photos").await;
    desk.kernel.put(&bucket, "a.txt", b"hello").await;
    all_saved(&app).await;
    assert_eq!(desk.hub.client().read("alice/photos", "a.txt"), b"hello");
    is_nowhere(&desk, &app, &token).await;
    app.end().await;
    // The next start needs no sign-in.
    let again = desk.start().await;
    until(&again, "signed in still", |state| state.status.signed_in && state.status.icon == Icon::Idle).await;
    again.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn saying_no_is_told_and_forgotten_at_will() {
    let desk = Desk::new(&["--org", "acme=alice"]);
    let app = desk.start().await;
    sign_in_by_browser(&desk, &app, "deny").await;
    let state = until(&app, "refused", |state| matches!(state.sign_in, SignIn::Failed { .. })).await;
    let SignIn::Failed { error } = &state.sign_in else { unreachable!() };
    assert!(!error.what.is_empty() && error.advice.contains("allow"), "{error}");
    app.sign_in_cancel(NOTHING).await.unwrap();
    until(&app, "forgotten", |state| state.sign_in == SignIn::None).await;
    assert!(app.state().accounts.is_empty());
    app.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_browser_and_without_a_refresh_token_it_goes_on_with_a_code() {
    let desk = Desk::new(&["--no-refresh-in-code-flow", "--org", "acme=alice"]);
    let app = desk.start().await;
    sign_in_by_browser(&desk, &app, "allow").await;
    allow_device(&desk, &app, DeviceReason::NotRenewable).await;
    done(&app).await;
    assert_eq!(app.state().accounts[0].kind, AccountKind::Device);
    desk.desktop.no_browser.store(true, Ordering::Relaxed);
    app.sign_in_browser(NOTHING).await.unwrap();
    allow_device(&desk, &app, DeviceReason::NoBrowser).await;
    done(&app).await;
    assert_eq!(app.state().accounts.len(), 1, "the same person again is the same account");
    app.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grant_is_renewed_before_it_ends_and_kept() {
    // Every token counts as nearly over, so that asking for it renews it.
    let desk = Desk::new(&["--oauth-seconds", "200", "--org", "acme=alice"]);
    let bucket = desk.hub.create_bucket("photos");
    let app = desk.start().await;
    sign_in_by_browser(&desk, &app, "allow").await;
    done(&app).await;
    let first = kept_token(&desk);
    let mounted = desk.mount(&app, &bucket).await;
    desk.kernel.put(&mounted, "a.txt", b"hello").await;
    all_saved(&app).await;
    let later = kept_token(&desk);
    assert_ne!(first, later, "renewed");
    is_nowhere(&desk, &app, &later).await;
    app.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sign_in_taken_back_at_the_hub_is_said_and_signing_in_again_heals_everything() {
    let desk = Desk::new(&["--org", "acme=alice"]);
    let bucket = desk.hub.create_bucket("photos");
    let app = desk.start().await;
    sign_in_by_browser(&desk, &app, "allow").await;
    done(&app).await;
    let mounted = desk.mount(&app, &bucket).await;
    // Its root is known from now on.
    desk.kernel.put(&mounted, "first.txt", b"first").await;
    all_saved(&app).await;
    let mut events = app.events();
    desk.hub.client().control("POST", "revoke", &serde_json::json!({"user": "alice"}));
    desk.kernel.put(&mounted, "late.txt", b"late").await;
    let ended =
        |s: &AppState| s.accounts[0].health == AccountHealth::Ended && s.status.icon == Icon::Attention;
    until(&app, "the sign-in has ended", ended).await;
    let is_it = |event: &AppEvent| matches!(event, AppEvent::Notify { notification } if notification.kind == ActivityKind::SignInEnded);
    events_until(&mut events, is_it).await;
    assert!(
        app.state().activity.iter().any(|entry| entry.kind == ActivityKind::SignInEnded && !entry.solved)
    );
    sign_in_by_browser(&desk, &app, "allow").await;
    done(&app).await;
    all_saved(&app).await;
    assert_eq!(desk.hub.client().read(&bucket, "late.txt"), b"late");
    until(&app, "nothing is left to do", |state| state.status.icon == Icon::Idle).await;
    let gone = |event: &AppEvent| matches!(event, AppEvent::Withdraw { key } if key.contains("SignInEnded"));
    events_until(&mut events, gone).await;
    app.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_accounts_each_see_and_write_their_own() {
    let desk = Desk::new(&[]);
    desk.hub.create_bucket("photos");
    desk.hub.client_as(Some("hf_bob")).create_bucket("bob/films");
    let app = desk.start().await;
    for token in ["hf_alice", "hf_bob"] {
        app.sign_in_token(TokenArgs { token: token.into() }).await.unwrap();
    }
    until(&app, "both lists", |state| state.buckets.len() == 2).await;
    for (bucket, token) in [("alice/photos", "hf_alice"), ("bob/films", "hf_bob")] {
        let mounted = desk.mount(&app, bucket).await;
        desk.kernel.put(&mounted, "mine.txt", token.as_bytes()).await;
        all_saved(&app).await;
        assert_eq!(desk.hub.client_as(Some(token)).read(bucket, "mine.txt"), token.as_bytes());
        is_nowhere_but_that_file(&desk, &app, token).await;
    }
    app.set_default_account(AccountArgs { account: "user-bob".into() }).await.unwrap();
    until(&app, "bob is the default", |state| state.accounts[1].is_default).await;
    let error = app.sign_in_token(TokenArgs { token: "hf_nobody".into() }).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::SignedOut);
    let error = app.call("sign_in_token", serde_json::json!({"tok": "hf_secret"})).await.unwrap_err();
    assert!(!error.to_string().contains("hf_secret"), "{error}");
    app.end().await;
}

/// The staged copy holds what the test wrote; every answer still must not.
async fn is_nowhere_but_that_file(desk: &Desk, app: &Arc<App>, secret: &str) {
    let traces = desk.traces_of(secret);
    let allowed = |path: &std::path::PathBuf| {
        let path = path.to_string_lossy();
        path.contains("/staged/") || path.contains("/cache/") || path.contains("/xet/")
    };
    assert!(traces.iter().all(allowed), "{traces:?}");
    let answer = app.call("snapshot", serde_json::json!({})).await.unwrap().to_string();
    assert!(!answer.contains(secret), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn signing_out_says_what_is_unsent_deletes_the_token_and_loses_nothing() {
    let desk = Desk::new(&[]);
    let (app, bucket) = desk.with_alice().await;
    let mounted = desk.mount(&app, &bucket).await;
    app.pause(PauseArgs { minutes: None }).await.unwrap();
    desk.kernel.put(&mounted, "unsent.txt", b"not yet").await;
    let entry = format!("user-alice at {}", desk.hub.endpoint());
    assert!(desk.keychain.get(&entry).unwrap().is_some());
    let out = |consent| SignOutArgs { account: "user-alice".into(), consent };
    let Asked::Question { unsent, consent, facts, .. } = app.sign_out(out(None)).await.unwrap() else {
        panic!("not without a question")
    };
    assert_eq!((unsent.files, unsent.buckets[0].bucket.as_str()), (1, bucket.as_str()));
    assert!(facts.iter().any(|fact| fact.contains("1 file (7 B) not on the Hub yet")), "{facts:?}");
    assert!(desk.keychain.get(&entry).unwrap().is_some(), "asking changes nothing");
    assert_eq!(app.sign_out(out(Some(consent))).await.unwrap(), Asked::Done);
    assert!(desk.keychain.get(&entry).unwrap().is_none(), "the token is gone");
    app.resume(NOTHING).await.unwrap();
    let state =
        until(&app, "signed out with a file waiting", |s| s.status.line == "Signed out · 1 file waiting")
            .await;
    assert!(!state.status.all_saved);
    app.sign_in_token(TokenArgs { token: "hf_alice".into() }).await.unwrap();
    all_saved(&app).await;
    assert_eq!(desk.hub.client().read(&bucket, "unsent.txt"), b"not yet");
    app.end().await;
}
