//! Mounting, unmounting, ending, starting again.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use engine::app::App;
use engine::app::api::activity::ActivityKind;
use engine::app::api::buckets::{Mount, ReadOnlyReason, Unmounted};
use engine::app::api::commands::{
    Asked, ConsentArgs, MountArgs, OfFile, PauseArgs, ReadOnlyArgs, SettingsArgs, UnmountArgs,
};
use engine::app::api::error::ErrorCode;
use engine::app::api::state::{AppState, Icon};
use serde_json::json;

use crate::bench::{Desk, NOTHING, all_saved, bucket_of, mount_args, mount_of, place, until};

fn unmount(bucket: &str, consent: Option<String>) -> UnmountArgs {
    UnmountArgs { bucket: bucket.to_owned(), consent }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_is_mounted_opened_revealed_and_unmounted_when_it_is_free() {
    let desk = Desk::new(&[]);
    let (app, bucket) = desk.with_alice().await;
    let mounted = app.mount(MountArgs { open: true, ..mount_args(&bucket) }).await.unwrap();
    let place = place(&mounted);
    assert!(place.ends_with("Buckets/photos"), "{place:?}");
    assert_eq!(*desk.desktop.opened.lock(), [place.display().to_string()]);
    let link = app.reveal(OfFile { bucket: bucket.clone(), path: Some("a b/c#.txt".into()) }).await.unwrap();
    assert_eq!(link.url, format!("{}/buckets/alice/photos/resolve/a%20b/c%23.txt", desk.hub.endpoint()));
    let error = app.show(OfFile { bucket: bucket.clone(), path: Some("../x".into()) }).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::Invalid);
    desk.kernel.busy.store(true, Ordering::Relaxed);
    let answer = app.unmount(unmount(&bucket, None)).await.unwrap();
    let Unmounted::InUse { by, question, consent } = answer else { panic!("{answer:?}") };
    assert!(by[0].name == "vim" && question.starts_with("vim still uses alice/photos"), "{question}");
    assert!(matches!(
        app.unmount(unmount(&bucket, Some("guess".into()))).await.unwrap(),
        Unmounted::InUse { .. }
    ));
    assert_eq!(app.unmount(unmount(&bucket, Some(consent))).await.unwrap(), Unmounted::Done);
    until(&app, "off", |state| mount_of(state, &bucket) == Mount::Off).await;
    let used = bucket_of(&app.state(), &bucket).unwrap().last_used_ms;
    assert!(used.is_some(), "used lately: on top of the menu");
    app.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn read_only_is_asked_for_remembered_and_taken_back() {
    let desk = Desk::new(&[]);
    let (app, bucket) = desk.with_alice().await;
    desk.mount(&app, &bucket).await;
    let change = |read_only| ReadOnlyArgs { bucket: bucket.clone(), read_only };
    let mounted = app.set_read_only(change(true)).await.unwrap();
    assert!(
        matches!(mounted.mount, Mount::Mounted { read_only: Some(ReadOnlyReason::Asked), .. }),
        "{mounted:?}"
    );
    app.unmount(unmount(&bucket, None)).await.unwrap();
    let mounted = desk.mount(&app, &bucket).await;
    assert!(matches!(mounted.mount, Mount::Mounted { read_only: Some(_), .. }), "as last time");
    let mounted = app.set_read_only(change(false)).await.unwrap();
    desk.kernel.put(&mounted, "a.txt", b"x").await;
    all_saved(&app).await;
    app.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mount_that_outlives_the_app_is_served_again_on_its_port_and_unsent_files_go_on() {
    let desk = Desk::new(&[]);
    let (app, bucket) = desk.with_alice().await;
    let mounted = desk.mount(&app, &bucket).await;
    app.pause(PauseArgs { minutes: None }).await.unwrap();
    desk.kernel.put(&mounted, "unsent.txt", b"kept").await;
    desk.kernel.busy.store(true, Ordering::Relaxed);
    let began = Instant::now();
    app.end().await;
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    drop(app);
    let again = desk.start().await;
    let state =
        until(&again, "adopted", |state| matches!(mount_of(state, &bucket), Mount::Mounted { .. })).await;
    assert_eq!(place(&bucket_of(&state, &bucket).unwrap()), place(&mounted));
    let endpoint = std::fs::read_dir(desk.dir.path().join("state/buckets")).unwrap().next().unwrap().unwrap();
    let endpoint = std::fs::read_to_string(endpoint.path().join("endpoint.json")).unwrap();
    let port = serde_json::from_str::<serde_json::Value>(&endpoint).unwrap()["port"].as_u64().unwrap();
    assert_eq!(desk.kernel.ports(), [u16::try_from(port).unwrap()]);
    let state = until(&again, "still paused", |state| state.status.icon == Icon::Paused).await;
    assert!(
        !state.status.all_saved && state.status.line == "Paused · 1 file waiting",
        "{}",
        state.status.line
    );
    again.resume(NOTHING).await.unwrap();
    all_saved(&again).await;
    assert_eq!(desk.hub.client().read(&bucket, "unsent.txt"), b"kept");
    again.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_unsent_goes_on_without_a_mount_also_at_the_next_start() {
    let desk = Desk::new(&[]);
    let (app, bucket) = desk.with_alice().await;
    let mounted = desk.mount(&app, &bucket).await;
    app.pause(PauseArgs { minutes: Some(10) }).await.unwrap();
    desk.kernel.put(&mounted, "unsent.txt", b"kept").await;
    assert_eq!(app.unmount(unmount(&bucket, None)).await.unwrap(), Unmounted::Done);
    until(&app, "finishing", |state| mount_of(state, &bucket) == Mount::Finishing).await;
    let state = until(&app, "paused", |state| state.status.icon == Icon::Paused).await;
    assert!(state.status.line.starts_with("Paused until "), "{}", state.status.line);
    app.end().await;
    drop(app);
    let again = desk.start().await;
    until(&again, "taken up", |state| mount_of(state, &bucket) == Mount::Finishing).await;
    again.resume(NOTHING).await.unwrap();
    until(&again, "done and ended", |state| mount_of(state, &bucket) == Mount::Off && state.status.all_saved)
        .await;
    assert_eq!(desk.hub.client().read(&bucket, "unsent.txt"), b"kept");
    again.end().await;
    drop(again);
    let third = desk.start().await;
    until(&third, "started", |state| state.status.icon == Icon::Idle).await;
    assert_eq!(mount_of(&third.state(), &bucket), Mount::Off, "what is clean is not looked at again");
    third.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mount_that_goes_without_a_word_is_told_and_its_uploads_go_on() {
    let desk = Desk::new(&[]);
    let (app, bucket) = desk.with_alice().await;
    let mounted = desk.mount(&app, &bucket).await;
    desk.kernel.put(&mounted, "a.txt", b"x").await;
    desk.kernel.forget(&mounted);
    app.check(NOTHING).await.unwrap();
    let is_lost = |s: &AppState| s.activity.iter().any(|entry| entry.kind == ActivityKind::MountLost);
    until(&app, "told", |s| is_lost(s) && s.status.icon == Icon::Attention).await;
    all_saved(&app).await;
    assert_eq!(desk.hub.client().read(&bucket, "a.txt"), b"x");
    desk.mount(&app, &bucket).await;
    until(&app, "solved by mounting", |s| s.status.icon == Icon::Idle).await;
    app.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn quitting_says_what_is_unsent_and_serves_a_busy_mount_until_it_is_free() {
    let desk = Desk::new(&[]);
    let (app, bucket) = desk.with_alice().await;
    let mounted = desk.mount(&app, &bucket).await;
    app.pause(PauseArgs { minutes: None }).await.unwrap();
    desk.kernel.put(&mounted, "unsent.txt", b"kept").await;
    desk.kernel.busy.store(true, Ordering::Relaxed);
    let Asked::Question { unsent, facts, consent, .. } =
        app.quit(ConsentArgs { consent: None }).await.unwrap()
    else {
        panic!("not without a question")
    };
    assert_eq!(unsent.files, 1);
    assert!(facts.iter().any(|fact| fact.contains("in use by vim")), "{facts:?}");
    assert_eq!(app.quit(ConsentArgs { consent: Some(consent) }).await.unwrap(), Asked::Done);
    let early = tokio::time::timeout(Duration::from_millis(600), app.ended()).await;
    assert!(early.is_err(), "a busy mount goes on being served");
    desk.kernel.put(&mounted, "more.txt", b"still").await;
    desk.kernel.busy.store(false, Ordering::Relaxed);
    tokio::time::timeout(Duration::from_secs(15), app.ended()).await.unwrap();
    drop(app);
    let again = desk.start().await;
    again.resume(NOTHING).await.unwrap();
    until(&again, "all is there", |state| state.status.all_saved && !state.status.paused).await;
    assert_eq!(desk.hub.client().read(&bucket, "more.txt"), b"still");
    again.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn removing_everything_refuses_while_something_is_unsent_and_leaves_nothing() {
    let desk = Desk::new(&[]);
    let (app, bucket) = desk.with_alice().await;
    let mounted = desk.mount(&app, &bucket).await;
    app.pause(PauseArgs { minutes: None }).await.unwrap();
    desk.kernel.put(&mounted, "unsent.txt", b"kept").await;
    let ask = |consent| ConsentArgs { consent };
    let Asked::Question { possible, consent, .. } = app.remove_everything(ask(None)).await.unwrap() else {
        panic!()
    };
    assert!(!possible && consent.is_empty());
    app.resume(NOTHING).await.unwrap();
    all_saved(&app).await;
    let Asked::Question { possible, consent, facts, .. } = app.remove_everything(ask(None)).await.unwrap()
    else {
        panic!()
    };
    assert!(possible && facts.iter().any(|fact| fact.contains("sign-in of alice")), "{facts:?}");
    assert_eq!(app.remove_everything(ask(Some(consent))).await.unwrap(), Asked::Done);
    app.ended().await;
    assert_eq!(desk.kept(), Vec::<std::path::PathBuf>::new());
    let entry = format!("user-alice at {}", desk.hub.endpoint());
    assert!(desk.keychain.get(&entry).unwrap().is_none());
    assert_eq!(desk.hub.client().read(&bucket, "unsent.txt"), b"kept", "the Hub keeps everything");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_app_for_one_user_and_settings_are_kept() {
    let desk = Desk::new(&[]);
    let app = desk.start().await;
    let second = App::start(desk.config()).await.err().unwrap();
    assert_eq!(second.code, ErrorCode::Exists);
    let change = json!({"parallel_uploads": 7, "mount_at_login": ["alice/photos"]});
    app.set_settings(SettingsArgs { change }).await.unwrap();
    // Several callers at once: of none anything is lost.
    let fields = [
        json!({"upload_bytes_per_s": 5_000_000}),
        json!({"cache_bytes": 1 << 30}),
        json!({"reserve_bytes": 1 << 20}),
        json!({"read_only_by_default": true}),
        json!({"client_id": "x"}),
        json!({"log_level": "debug"}),
    ];
    let callers: Vec<_> = fields
        .iter()
        .cloned()
        .map(|change| {
            let app = std::sync::Arc::clone(&app);
            tokio::spawn(async move { app.set_settings(SettingsArgs { change }).await.unwrap() })
        })
        .collect();
    for caller in callers {
        caller.await.unwrap();
    }
    let kept = std::fs::read(desk.dir.path().join("config/settings.json")).unwrap();
    let kept: serde_json::Value = serde_json::from_slice(&kept).unwrap();
    for field in fields {
        let (name, value) = field.as_object().unwrap().iter().next().unwrap();
        assert_eq!(&kept[name], value, "{name}");
    }
    let bad = app.set_settings(SettingsArgs { change: json!({"parallel_uploads": 70}) }).await.unwrap_err();
    assert_eq!(bad.code, ErrorCode::Invalid);
    let missing = app.mount(mount_args("alice/photos")).await.unwrap_err();
    assert!(!missing.what.is_empty() && !missing.advice.is_empty(), "{missing}");
    let state = until(&app, "failed", |s| matches!(mount_of(s, "alice/photos"), Mount::Failed { .. })).await;
    assert!(state.accounts.is_empty());
    app.end().await;
    drop(app);
    desk.hub.create_bucket("photos");
    let again = desk.start().await;
    assert_eq!(until(&again, "kept", |_| true).await.settings.parallel_uploads, 7);
    again.end().await;
}
