use std::time::{Duration, Instant};

use testkit::{Fault, Harm, LocalHub};

fn with_file(content: &[u8]) -> (LocalHub, String) {
    let hub = LocalHub::start();
    let bucket = hub.create_bucket("one");
    hub.client().put(&bucket, "a", content);
    (hub, bucket)
}

fn delete(hub: &LocalHub, bucket: &str) -> Result<u16, String> {
    let body = b"{\"type\":\"deleteFile\",\"path\":\"a\"}\n";
    let path = format!("/api/buckets/{bucket}/batch");
    let answer = hub.client().request("POST", &path, &[("content-type", "application/x-ndjson")], body);
    answer.map(|answer| answer.status)
}

#[test]
fn a_status_is_answered_before_anything_is_applied() {
    let (hub, bucket) = with_file(b"A");
    for status in [401, 403, 404, 408, 409, 413, 422, 500, 503] {
        let id =
            hub.faults().add(Fault::on("POST */batch", Harm::Status { status, retry_after: None }).times(1));
        assert_eq!(delete(&hub, &bucket), Ok(status));
        assert_eq!(hub.faults().struck(id), 1);
        assert_eq!(hub.client().paths(&bucket), ["a"], "{status}: nothing was applied");
    }
    assert_eq!(delete(&hub, &bucket), Ok(200));
}

#[test]
fn a_429_says_when_to_come_back() {
    let (hub, bucket) = with_file(b"A");
    hub.faults().add(Fault::on("/tree", Harm::Status { status: 429, retry_after: Some(7) }).times(1));
    let answer = hub.client().request("GET", &format!("/api/buckets/{bucket}/tree"), &[], b"").unwrap();
    assert_eq!((answer.status, answer.header("retry-after")), (429, Some("7")));
    assert_eq!(answer.header("ratelimit"), Some("\"api\";r=0;t=7"));
}

#[test]
fn a_refusal_is_worded_as_it_is_told_to_be() {
    let (hub, bucket) = with_file(b"A");
    let message = "Access to this resource is disabled.";
    let harm = Harm::Refuse { status: 403, code: Some("GatedRepo".into()), message: message.into() };
    hub.faults().add(Fault::on("/tree", harm).times(1));
    let answer = hub.client().request("GET", &format!("/api/buckets/{bucket}/tree"), &[], b"").unwrap();
    assert_eq!((answer.status, answer.header("x-error-code")), (403, Some("GatedRepo")));
    assert_eq!((answer.header("x-error-message"), &answer.json()["error"]), (Some(message), &message.into()));
    hub.faults().quotas(2, 2, 60);
    assert_eq!(hub.client().request("GET", "/api/whoami-v2", &[], b"").unwrap().status, 200);
    assert_eq!(hub.client().request("GET", "/api/whoami-v2", &[], b"").unwrap().status, 200);
    assert_eq!(hub.client().request("GET", "/api/whoami-v2", &[], b"").unwrap().status, 429);
}

#[test]
fn an_answer_is_lost_after_the_change_was_applied() {
    let (hub, bucket) = with_file(b"A");
    hub.faults().add(Fault::on("/batch", Harm::LoseAnswer).times(1));
    assert!(delete(&hub, &bucket).is_err(), "no answer came");
    assert!(hub.client().paths(&bucket).is_empty(), "yet it was applied");
}

#[test]
fn a_held_answer_comes_after_the_change_is_visible() {
    let (hub, bucket) = with_file(b"A");
    hub.faults().add(Fault::on("/batch", Harm::HoldAnswer { ms: 1500 }).times(1));
    let deleting = std::thread::spawn({
        let client = testkit::HubClient::new(hub.endpoint(), Some("hf_alice"));
        let bucket = bucket.clone();
        move || client.delete(&bucket, "a")
    });
    testkit::eventually(Duration::from_secs(1), || {
        if hub.client().paths(&bucket).is_empty() { Ok(()) } else { Err("still there") }
    });
    assert!(!deleting.is_finished(), "applied, not answered");
    deleting.join().unwrap();
}

#[test]
fn a_poisoned_batch_is_refused_as_a_whole_and_others_pass() {
    let (hub, bucket) = with_file(b"A");
    hub.client().put(&bucket, "good", b"B");
    hub.faults().add(Fault::on("/batch", Harm::PoisonBatch { path: "\"a\"".into(), status: Some(400) }));
    assert_eq!(delete(&hub, &bucket).unwrap(), 400);
    hub.client().delete(&bucket, "good");
    assert_eq!(hub.client().paths(&bucket), ["a"]);
}

#[test]
fn collected_content_is_gone_until_it_is_stored_again() {
    let (hub, bucket) = with_file(b"A");
    let hash = hub.client().put(&bucket, "a", b"replaced");
    hub.client().put(&bucket, "a", b"by this");
    assert_eq!(hub.faults().collect_garbage(), 2, "A and what replaced it");
    assert_eq!(hub.faults().collect_garbage(), 0, "once");
    let copy = format!(
        r#"{{"type":"copyFile","path":"b","xetHash":"{hash}","sourceRepoType":"bucket","sourceRepoId":"{bucket}"}}"#
    );
    let headers = [("content-type", "application/x-ndjson")];
    let batch = || {
        let path = format!("/api/buckets/{bucket}/batch");
        hub.client().request("POST", &path, &headers, copy.as_bytes()).unwrap().status
    };
    assert_eq!(batch(), 422);
    assert_eq!(hub.client().paths(&bucket), ["a"]);
}

#[test]
fn a_reset_comes_before_the_change() {
    let (hub, bucket) = with_file(b"A");
    hub.faults().add(Fault::on("/batch", Harm::Reset).times(1));
    let error = delete(&hub, &bucket).unwrap_err();
    assert!(error.contains("reset"), "{error}");
    assert_eq!(hub.client().paths(&bucket), ["a"]);
}

#[test]
fn a_hanging_call_gets_no_answer_and_holds_up_nobody_else() {
    let (hub, bucket) = with_file(b"A");
    hub.faults().add(Fault::on("/batch", Harm::Hang).times(1));
    let waiting = std::thread::spawn({
        let (endpoint, bucket) = (hub.endpoint().to_string(), bucket.clone());
        let client = testkit::HubClient::new(&endpoint, Some("hf_alice"));
        move || client.request("POST", &format!("/api/buckets/{bucket}/batch"), &[], b"")
    });
    std::thread::sleep(Duration::from_millis(300));
    assert!(!waiting.is_finished(), "it hangs");
    assert_eq!(hub.client().paths(&bucket), ["a"]);
    drop(hub);
    assert!(waiting.join().unwrap().is_err());
}

#[test]
fn a_body_is_cut_shortened_or_slowed() {
    let content = testkit::bytes(1, 1_000_000);
    let (hub, bucket) = with_file(&content);
    let read = || hub.client().request("GET", &format!("/buckets/{bucket}/resolve/a"), &[], b"");
    hub.faults().add(Fault::on("/_storage/", Harm::Truncate { after: 300_000 }).times(1));
    assert!(read().is_err(), "a cut body is an error to the reader");
    hub.faults().add(Fault::on("/_storage/", Harm::Short { by: 10 }).times(1));
    assert!(read().unwrap().body == content[..999_990], "a wrong length, well formed");
    hub.faults().add(Fault::on("/_storage/", Harm::Bandwidth { bytes_per_second: 2_000_000 }).times(1));
    let began = Instant::now();
    assert!(read().unwrap().body == content);
    assert!(began.elapsed() > Duration::from_millis(450), "1 MB at 2 MB/s: {:?}", began.elapsed());
    hub.faults().add(Fault::on("/_storage/", Harm::UrlExpired).times(1));
    assert_eq!(read().unwrap().status, 403);
    hub.faults().add(Fault::on("/resolve/", Harm::TokenExpired).times(1));
    assert_eq!(read().unwrap().status, 401);
    assert!(read().unwrap().body == content, "every fault is spent");
}

#[test]
fn the_network_is_as_slow_as_it_is_told_to_be() {
    let content = testkit::bytes(1, 400_000);
    let (hub, bucket) = with_file(&content);
    hub.faults().network(100, 2_000_000);
    let began = Instant::now();
    assert!(hub.client().read(&bucket, "a") == content);
    assert!(began.elapsed() > Duration::from_millis(350), "2 x 100 ms + 0.2 s: {:?}", began.elapsed());
    hub.faults().network(0, 0);
    let began = Instant::now();
    assert!(hub.client().read(&bucket, "a") == content);
    assert!(began.elapsed() < Duration::from_millis(350), "{:?}", began.elapsed());
}

#[test]
fn faults_strike_by_count_and_by_seeded_chance() {
    let (hub, bucket) = with_file(b"A");
    let path = format!("/api/buckets/{bucket}");
    let draw = || {
        hub.faults().clear();
        let harm = Harm::Status { status: 500, retry_after: None };
        hub.faults().add(Fault::on("/api/buckets/", harm).probability(0.3, 42));
        (0..40).map(|_| hub.client().request("GET", &path, &[], b"").unwrap().status).collect::<Vec<_>>()
    };
    let first = draw();
    assert_eq!(draw(), first, "the same seed, the same sequence");
    assert!(first.contains(&500) && first.contains(&200));
    hub.faults().clear();
    hub.faults().add(Fault::on("/api/", Harm::Status { status: 503, retry_after: None }).after(2).times(1));
    let statuses: Vec<u16> =
        (0..4).map(|_| hub.client().request("GET", &path, &[], b"").unwrap().status).collect();
    assert_eq!(statuses, [200, 200, 503, 200]);
}

#[test]
fn counters_tell_calls_and_bytes_by_route() {
    let content = testkit::bytes(1, 500_000);
    let (hub, bucket) = with_file(&content);
    hub.reset_counters();
    hub.client().read(&bucket, "a");
    hub.client().stat(&bucket, "a");
    let counters = hub.counters();
    assert_eq!((counters.calls("/resolve/"), counters.calls("paths-info"), counters.calls("")), (1, 1, 3));
    assert_eq!(counters.of("/_storage/files").down, 500_000);
    assert_eq!(counters.of("paths-info").up, "{\"paths\":[\"a\"]}".len() as u64);
    hub.reset_counters();
    assert_eq!(hub.counters().calls(""), 0);
}
