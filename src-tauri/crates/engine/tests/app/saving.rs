//! The one truth while files are saved, fail and heal; notifications; decisions.

use std::collections::BTreeSet;

use engine::app::api::activity::{ActivityAction, ActivityKind};
use engine::app::api::commands::{RetryArgs, SettingsArgs};
use engine::app::api::event::AppEvent;
use engine::app::api::queue::RowState;
use engine::app::api::state::Icon;
use serde_json::json;
use testkit::{Fault, Harm};

use crate::bench::{Desk, NOTHING, all_saved, events_until, rows, until};

#[tokio::test(flavor = "multi_thread")]
async fn the_line_goes_from_saved_through_uploading_to_saved_and_never_lies() {
    let desk = Desk::new(&[]);
    let (app, bucket) = desk.with_alice().await;
    let mounted = desk.mount(&app, &bucket).await;
    until(&app, "idle", |state| state.status.icon == Icon::Idle && state.status.mounted == 1).await;
    desk.hub.faults().add(Fault::on("/batch", Harm::Delay { ms: 2500 }));
    let mut events = app.events();
    let before = app.state().status.line.clone();
    desk.kernel.put(&mounted, "big.bin", &vec![7; 3 << 20]).await;
    let seen = events_until(&mut events, |event| {
        matches!(event, AppEvent::Changed { status, .. } if status.all_saved && status.last_saved_ms.is_some())
    })
    .await;
    let lines: Vec<(Icon, String, bool)> = seen
        .iter()
        .filter_map(|event| match event {
            AppEvent::Changed { status, .. } => Some((status.icon, status.line.clone(), status.all_saved)),
            _ => None,
        })
        .collect();
    assert!(
        lines.iter().any(|(icon, line, _)| *icon == Icon::Syncing && line.starts_with("Uploading 1 file")),
        "{lines:?}"
    );
    assert!(lines.iter().all(|(icon, _, saved)| *icon != Icon::Idle || *saved), "{lines:?}");
    assert_eq!(before, "All saved");
    until(&app, "saved again", |state| state.status.line.starts_with("All saved · ")).await;
    assert_eq!(desk.hub.client().read(&bucket, "big.bin"), vec![7; 3 << 20]);
    let saved = app.saved(NOTHING).await.unwrap().rows;
    assert_eq!((saved[0].path.as_str(), saved[0].bytes), ("big.bin", 3 << 20));
    app.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_failures_of_one_cause_are_one_notification_and_retry_heals_them() {
    let desk = Desk::new(&[]);
    let (app, bucket) = desk.with_alice().await;
    let mounted = desk.mount(&app, &bucket).await;
    all_saved(&app).await;
    let fault = Harm::Refuse { status: 413, code: None, message: "the account's storage is full".into() };
    desk.hub.faults().add(Fault::on("/batch", fault));
    let mut events = app.events();
    for number in 0..20 {
        desk.kernel.put(&mounted, &format!("f{number:02}.txt"), b"x").await;
    }
    let state =
        until(&app, "all have failed", |s| s.status.failed == 20 && s.status.icon == Icon::Attention).await;
    assert_eq!(state.status.line, "20 files need you");
    let rows = rows(&app).await;
    assert!(
        rows.iter()
            .all(|row| matches!(&row.state, RowState::Failed { why, .. } if why.contains("storage is full")))
    );
    let entry = state.activity.iter().find(|entry| entry.kind == ActivityKind::UploadFailed).unwrap();
    assert!(entry.actions.contains(&ActivityAction::Retry) && entry.path.is_some());
    desk.hub.faults().clear();
    assert_eq!(app.retry(RetryArgs { bucket: None, path: None }).await.unwrap().count, 20);
    all_saved(&app).await;
    let seen = events_until(&mut events, |event| matches!(event, AppEvent::Withdraw { .. })).await;
    let told: Vec<(String, bool)> = seen
        .iter()
        .filter_map(|event| match event {
            AppEvent::Notify { notification } => Some((notification.key.clone(), notification.update)),
            _ => None,
        })
        .collect();
    let keys: BTreeSet<&String> = told.iter().map(|(key, _)| key).collect();
    assert_eq!(keys.len(), 1, "one notification: {told:?}");
    assert_eq!(told.iter().filter(|(_, update)| !update).count(), 1, "{told:?}");
    assert_eq!(desk.hub.client().paths(&bucket).len(), 20);
    until(&app, "solved", |state| state.activity.iter().all(|entry| entry.solved)).await;
    app.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kind_that_is_off_is_in_the_activity_only() {
    let desk = Desk::new(&[]);
    let (app, bucket) = desk.with_alice().await;
    let change = json!({"notifications": {"upload_failed": false}});
    app.set_settings(SettingsArgs { change }).await.unwrap();
    let mounted = desk.mount(&app, &bucket).await;
    let mut events = app.events();
    desk.hub.faults().add(Fault::on("/batch", Harm::Status { status: 403, retry_after: None }));
    desk.kernel.put(&mounted, "a.txt", b"x").await;
    let failed = |event: &AppEvent| matches!(event, AppEvent::Changed { status, .. } if status.failed == 1);
    let seen = events_until(&mut events, failed).await;
    assert!(!seen.iter().any(|event| matches!(event, AppEvent::Notify { .. })), "{seen:?}");
    until(&app, "a row", |state| state.activity.iter().any(|entry| entry.kind == ActivityKind::UploadFailed))
        .await;
    app.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_offline_hub_is_said_and_waited_for() {
    let mut desk = Desk::new(&[]);
    let (app, bucket) = desk.with_alice().await;
    let mounted = desk.mount(&app, &bucket).await;
    all_saved(&app).await;
    // Its root is known from now on.
    desk.kernel.put(&mounted, "first.txt", b"x").await;
    all_saved(&app).await;
    desk.hub.kill();
    desk.kernel.put(&mounted, "late.txt", b"late").await;
    let state = until(&app, "offline", |state| state.status.icon == Icon::Offline).await;
    assert_eq!(state.status.line, "Offline: 1 file waiting");
    desk.hub.restart();
    app.check(NOTHING).await.unwrap();
    all_saved(&app).await;
    until(&app, "idle", |state| state.status.icon == Icon::Idle).await;
    assert_eq!(desk.hub.client().read(&bucket, "late.txt"), b"late");
    app.end().await;
}
