//! The queue: nobody waits for another's trouble, and what it knew it knows after a restart.

use std::time::{Duration, Instant};

use bucketfs::{Event, FailureClass, ItemState, SyncLimits, Timestamp};
use testkit::{Fault, Harm};

use crate::rig::{Rig, names, sync, until, write_file};

fn impatient() -> hub::Limits {
    hub::Limits {
        request_timeout: Duration::from_secs(2),
        call_deadline: Duration::from_secs(3),
        upload_stall: Duration::from_secs(3),
        ..hub::Limits::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_fail_together_are_tried_apart_at_once() {
    let rig = Rig::new();
    let fs = rig.open().await;
    fs.pause();
    let refused = Harm::Status { status: 400, retry_after: None };
    let fault = rig.hub.faults().add(Fault::on("/shards", refused).times(1));
    for n in 0..60 {
        write_file(&fs, &format!("f{n}"), format!("content {n}").as_bytes()).await;
    }
    fs.resume();
    sync(&fs).await;
    assert_eq!(rig.hub.faults().struck(fault), 1, "the fault was not met");
    assert_eq!(rig.paths().len(), 60);
    assert!(!rig.events.any(|event| matches!(event, Event::UploadFailed { .. })), "nobody had to be told");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_entry_the_hub_cannot_bear_does_not_stop_the_others() {
    let rig = Rig::new();
    let fs = rig.open().await;
    fs.pause();
    rig.hub.faults().add(Fault::on("/batch", Harm::PoisonBatch { path: "poison".into(), status: Some(400) }));
    for n in 0..20 {
        write_file(&fs, &format!("f{n}"), format!("content {n}").as_bytes()).await;
    }
    write_file(&fs, "poison", b"bad").await;
    tokio::time::sleep(rig.config().debounce * 2).await; // all are ready: they go together
    fs.resume();
    let report = fs.sync(Some(Duration::from_secs(30))).await;
    assert_eq!(report.left.len(), 1, "{report:?}");
    assert_eq!(report.left[0].path, "poison");
    assert!(matches!(report.left[0].state, ItemState::Failed { class: FailureClass::Rejected, .. }));
    assert_eq!(rig.paths().len(), 20);
    rig.hub.faults().clear();
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(rig.paths().len(), 20, "nobody has said that it is to be tried again");
    write_file(&fs, "poison", b"saved anew").await;
    sync(&fs).await;
    assert_eq!(rig.on_hub("poison").unwrap(), b"saved anew", "another version is another matter");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_whose_batch_never_answers_does_not_stop_the_others() {
    let rig = Rig::new();
    let fs = rig.open_with(rig.config(), rig.client_with(impatient())).await;
    fs.pause();
    rig.hub.faults().add(Fault::on("/batch", Harm::PoisonBatch { path: "hung".into(), status: None }));
    for n in 0..20 {
        write_file(&fs, &format!("f{n}"), format!("content {n}").as_bytes()).await;
    }
    write_file(&fs, "hung", b"never answered").await;
    tokio::time::sleep(rig.config().debounce * 2).await; // all are ready: they go together
    fs.resume();
    until(async || (rig.paths().len() == 20 && fs.queue().len() == 1).then_some(())).await;
    rig.hub.faults().clear();
    sync(&fs).await;
    assert_eq!(rig.paths().len(), 21);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hanging_upload_holds_nobody_up_and_is_tried_again() {
    let rig = Rig::new();
    let fs = rig.open_with(rig.config(), rig.client_with(impatient())).await;
    let hang = rig.hub.faults().add(Fault::on("/xorb-uploads/", Harm::Hang).times(1));
    let big = testkit::bytes(5, 12 << 20);
    write_file(&fs, "big", &big).await;
    until(async || (rig.hub.faults().struck(hang) == 1).then_some(())).await;
    for n in 0..5 {
        write_file(&fs, &format!("small{n}"), &[n; 100]).await;
    }
    until(async || (rig.paths().len() == 5).then_some(())).await;
    assert!(rig.on_hub("big").is_none(), "it hangs");
    sync(&fs).await;
    assert!(rig.on_hub("big").unwrap() == big);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_and_the_limits_outlive_a_restart_and_a_pause_can_end_by_itself() {
    let rig = Rig::new();
    let fs = rig.open().await;
    fs.pause();
    let limits = SyncLimits { parallel: 2, upload_bytes_per_s: Some(9_000_000) };
    fs.set_limits(limits);
    write_file(&fs, "f", b"waits").await;
    fs.shutdown(Duration::from_secs(5)).await;
    drop(fs);
    let fs = rig.open().await;
    assert!(fs.status().paused);
    assert_eq!(fs.limits(), limits);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(rig.paths().is_empty());
    fs.pause_until(Timestamp::now().as_ms() + 1500);
    assert!(fs.status().paused_until_ms.is_some());
    assert!(matches!(&fs.queue()[0].state, ItemState::Waiting { until_ms: Some(_), .. }));
    until(async || (rig.paths() == ["f"]).then_some(())).await;
    assert!(!fs.status().paused);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_had_failed_for_good_is_known_after_a_restart_without_asking_again() {
    let rig = Rig::new();
    let fs = rig.open().await;
    rig.hub.faults().add(Fault::on("/batch", Harm::Status { status: 403, retry_after: None }));
    write_file(&fs, "f", b"refused").await;
    assert_eq!(fs.sync(Some(Duration::from_secs(20))).await.left.len(), 1);
    fs.shutdown(Duration::from_secs(5)).await;
    drop(fs);
    rig.hub.reset_counters();
    let fs = rig.open().await;
    let failed = |item: &bucketfs::QueueItem| matches!(&item.state, ItemState::Failed { class: FailureClass::Forbidden, why, .. } if !why.is_empty());
    assert!(failed(&fs.queue()[0]), "{:?}", fs.queue());
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(failed(&fs.queue()[0]));
    let counters = rig.hub.counters();
    assert_eq!((counters.calls("/batch"), counters.calls("shards")), (0, 0), "the Hub is left alone");
    rig.hub.faults().clear();
    assert_eq!(fs.retry(Some("f")), 1);
    sync(&fs).await;
    assert_eq!(fs.recently_saved()[0].path, "f");
}

#[tokio::test(flavor = "multi_thread")]
async fn many_small_files_cost_few_calls() {
    let rig = Rig::new();
    let fs = rig.open().await;
    names(&fs, "").await;
    fs.pause();
    for n in 0..400 {
        write_file(&fs, &format!("f{n}"), &testkit::bytes(n, 2000)).await;
    }
    rig.hub.reset_counters();
    fs.resume();
    sync(&fs).await;
    assert_eq!(rig.paths().len(), 400);
    let counters = rig.hub.counters();
    let calls = counters.of("").calls;
    assert_eq!(
        counters.calls("/v1/chunks/"),
        0,
        "each question whether a small file is there costs a round trip"
    );
    assert!(counters.calls("/batch") <= 4, "{counters:?}");
    assert!(calls <= 40, "{calls} calls for 400 files: {counters:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn with_much_unsent_the_queue_spends_little_time_on_looking() {
    let rig = Rig::new();
    let fs = rig.open().await;
    names(&fs, "").await;
    rig.hub.faults().add(Fault::on("/shards", Harm::Status { status: 503, retry_after: Some(60) }));
    let began = Instant::now();
    for n in 0..1500 {
        let name = format!("f{n}");
        let how = bucketfs::Create::Guarded(bucketfs::SetAttr::default());
        fs.create(bucketfs::ROOT, name.as_bytes(), how, None).await.unwrap();
    }
    let (looking, whole) = (fs.time_spent_looking(), began.elapsed());
    assert!(looking <= whole / 4, "{looking:?} of {whole:?}: every change looks at everything");
}

#[tokio::test(flavor = "multi_thread")]
async fn uploads_keep_to_the_limit() {
    let rig = Rig::new();
    let fs = rig.open().await;
    fs.set_limits(SyncLimits { parallel: 3, upload_bytes_per_s: Some(1_000_000) });
    fs.pause();
    write_file(&fs, "a", &testkit::bytes(1, 1_500_000)).await;
    write_file(&fs, "b", &testkit::bytes(2, 1_500_000)).await;
    let began = Instant::now();
    fs.resume();
    sync(&fs).await;
    assert!(began.elapsed() >= Duration::from_millis(2500), "3 MB at 1 MB/s: {:?}", began.elapsed());
}
