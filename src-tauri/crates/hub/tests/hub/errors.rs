//! Classes, words, and who gets to see the token.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use hub::{Asking, BucketName, ErrorClass, Hub};
use testkit::{Fault, Harm, LocalHub};

use crate::bench::{Bench, config};

fn busy(status: u16) -> Harm {
    Harm::Status { status, retry_after: None }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_token_asks_to_sign_in() {
    let bench = Bench::new();
    let error = bench.another(Some("hf_wrong")).whoami().await.unwrap_err();
    assert_eq!((error.class, error.status), (ErrorClass::SignIn, Some(401)));
    assert!(error.advice.contains("Sign in"), "{error:?}");
    assert!(!format!("{error:?}").contains("hf_wrong"), "no token in an error");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_bucket_is_said_to_be_missing() {
    let bench = Bench::new();
    let ghost = bench.hub.bucket(BucketName::new("alice", "ghost"));
    let error = ghost.info().await.unwrap_err();
    assert_eq!(error.class, ErrorClass::NotFound);
    assert!(error.what.contains("alice/ghost"), "{error}");
    assert!(error.advice.contains("name"), "{error:?}");
    assert_eq!(ghost.list_dir("").next().await.unwrap().unwrap_err().class, ErrorClass::NotFound);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_may_only_read_is_told_so() {
    let server = LocalHub::builder().token("hf_alice", "alice").read_token("hf_read", "alice").start();
    let bench = Bench::on(server);
    assert!(bench.bucket.can_write().await.unwrap());
    let reader = bench.another(Some("hf_read")).bucket(bench.bucket.name().clone());
    assert!(!reader.can_write().await.unwrap());
    assert!(reader.info().await.is_ok());
    let error = reader.start_upload(Asking::Storage).await.err().unwrap();
    assert_eq!(error.class, ErrorClass::Forbidden, "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_signed_in_may_not_write() {
    let bench = Bench::new();
    bench.hub.set_private(&"alice/box".parse().unwrap(), false).await.unwrap();
    let anyone = bench.another(None).bucket(bench.bucket.name().clone());
    assert!(anyone.info().await.is_ok(), "a public bucket");
    assert!(!anyone.can_write().await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn every_status_has_its_class() {
    let bench = Bench::new();
    let table = [
        (400, ErrorClass::Rejected),
        (401, ErrorClass::SignIn),
        (403, ErrorClass::Forbidden),
        (404, ErrorClass::NotFound),
        (409, ErrorClass::Rejected),
        (413, ErrorClass::Quota),
        (422, ErrorClass::Rejected),
        (500, ErrorClass::Busy { retry_after: None }),
        (503, ErrorClass::Busy { retry_after: None }),
        (507, ErrorClass::Quota),
    ];
    for (status, class) in table {
        bench.server.faults().clear();
        bench.server.faults().add(Fault::on("GET /api/buckets/alice/box", busy(status)));
        let error = bench.bucket.info().await.unwrap_err();
        assert_eq!((error.class, error.status), (class, Some(status)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn trouble_that_passes_is_not_noticed() {
    let bench = Bench::new();
    for harm in [busy(500), busy(503), busy(408), Harm::Reset, Harm::Truncate { after: 3 }] {
        bench.server.faults().clear();
        bench.server.faults().add(Fault::on("GET /api/buckets/alice/box", harm.clone()).times(2));
        bench.bucket.info().await.unwrap_or_else(|e| panic!("{harm:?}: {e:?}"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rate_limit_is_waited_for_when_short_and_told_when_long() {
    let bench = Bench::new();
    let limit = |seconds| Harm::Status { status: 429, retry_after: Some(seconds) };
    bench.server.faults().add(Fault::on("GET /api/buckets/alice/box", limit(1)).times(1));
    let began = Instant::now();
    bench.bucket.info().await.unwrap();
    assert!(began.elapsed() >= Duration::from_secs(1), "it waited as it was asked");
    bench.server.faults().add(Fault::on("GET /api/buckets/alice/box", limit(120)));
    let began = Instant::now();
    let error = bench.bucket.info().await.unwrap_err();
    assert!(error.retry_after().is_some_and(|wait| wait >= Duration::from_secs(120)), "{error:?}");
    assert!(began.elapsed() < Duration::from_secs(3), "it did not wait for minutes");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_makes_no_sense_is_broken() {
    let bench = Bench::new();
    bench.server.faults().add(Fault::on("GET /api/buckets/alice/box", Harm::Short { by: 4 }));
    assert_eq!(bench.bucket.info().await.unwrap_err().class, ErrorClass::Broken);
}

/// A server that sends everybody somewhere else, and keeps what it was sent.
struct Elsewhere {
    port: u16,
    heard: Arc<Mutex<Vec<String>>>,
}

fn answering(answer: impl Fn(u16) -> String + Send + 'static) -> Elsewhere {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let heard = Arc::new(Mutex::new(Vec::new()));
    let hears = heard.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut head = [0; 8192];
            let length = stream.read(&mut head).unwrap_or(0);
            hears.lock().unwrap().push(String::from_utf8_lossy(&head[..length]).into_owned());
            let _ = stream.write_all(answer(port).as_bytes());
        }
    });
    Elsewhere { port, heard }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_token_never_leaves_for_another_origin() {
    let stranger = answering(|_| "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n[]".to_owned());
    let (thief, dir) = (stranger.port, testkit::tempdir().unwrap());
    let sly = answering(move |_| {
        format!(
            "HTTP/1.1 307 x\r\nlocation: http://127.0.0.1:{thief}/api/whoami-v2\r\ncontent-length: 0\r\n\r\n"
        )
    });
    let hub = Hub::new(config(&format!("http://127.0.0.1:{}", sly.port), Some("hf_secret"), &dir)).unwrap();
    assert_eq!(hub.whoami().await.unwrap_err().class, ErrorClass::Broken);
    let paged = answering(move |_| {
        format!(
            "HTTP/1.1 200 x\r\nlink: <http://127.0.0.1:{thief}/p2>; rel=\"next\"\r\ncontent-length: 2\r\n\r\n[]"
        )
    });
    let hub = Hub::new(config(&format!("http://127.0.0.1:{}", paged.port), Some("hf_secret"), &dir)).unwrap();
    assert!(hub.list_buckets("me").await.is_err());
    assert!(sly.heard.lock().unwrap()[0].contains("hf_secret"), "the Hub itself got it");
    assert!(stranger.heard.lock().unwrap().is_empty(), "the stranger was not even asked");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redirect_inside_the_hub_is_followed() {
    let renamed = answering(|port| {
        format!("HTTP/1.1 307 x\r\nlocation: http://127.0.0.1:{port}/round\r\ncontent-length: 0\r\n\r\n")
    });
    let dir = testkit::tempdir().unwrap();
    let hub = Hub::new(config(&format!("http://127.0.0.1:{}", renamed.port), Some("hf_x"), &dir)).unwrap();
    assert_eq!(hub.whoami().await.unwrap_err().class, ErrorClass::Broken, "round in a circle, and it ends");
    assert!(renamed.heard.lock().unwrap().len() > 3);
}
