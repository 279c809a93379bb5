use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::{Value, json};
use testkit::LocalHub;

/// One open event stream.
struct Follower {
    lines: BufReader<TcpStream>,
}

impl Follower {
    fn open(hub: &LocalHub, bucket: &str, query: &str) -> Self {
        let address = hub.endpoint().trim_start_matches("http://");
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let path = format!("/api/buckets/{bucket}/events{query}");
        let token = hub.token();
        write!(stream, "GET {path} HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {token}\r\n\r\n")
            .unwrap();
        Self { lines: BufReader::new(stream) }
    }

    /// The next event; `None` at the end of the stream.
    fn next(&mut self) -> Option<(String, Value)> {
        let mut name = String::new();
        loop {
            let mut line = String::new();
            if self.lines.read_line(&mut line).unwrap() == 0 || line == "0\r\n" {
                return None;
            }
            if let Some(event) = line.strip_prefix("event: ") {
                name = event.trim().into();
            }
            if let Some(data) = line.strip_prefix("data: ") {
                return Some((name, serde_json::from_str(data).unwrap()));
            }
        }
    }
}

fn cursor(event: &Value) -> String {
    event["cursor"].as_str().unwrap().to_string()
}

#[test]
fn changes_are_told_live_and_replayed_before_ready() {
    let hub = LocalHub::start();
    let bucket = hub.create_bucket("one");
    let other = hub.create_bucket("two");
    hub.client().put(&bucket, "before", b"0");
    let since = hub.client().bucket_info(&bucket).updated_at;
    let mut live = Follower::open(&hub, &bucket, "");
    let (name, ready) = live.next().unwrap();
    assert_eq!(name, "ready");
    hub.client().put(&other, "elsewhere", b"0");
    let hash = hub.client().put(&bucket, "a", b"1");
    hub.client().put(&bucket, "a", b"22");
    hub.client().delete(&bucket, "a");
    let told: Vec<Value> = (0..3).map(|_| live.next().unwrap().1).collect();
    let change = &told[0]["changes"][0];
    assert_eq!((&change["path"], &change["op"], &change["size"]), (&json!("a"), &json!("add"), &json!(1)));
    assert_eq!(change["xetHash"], json!(hash));
    assert_eq!(
        (&told[1]["changes"][0]["op"], &told[2]["changes"][0]["op"]),
        (&json!("update"), &json!("delete"))
    );

    for query in [format!("?cursor={}", cursor(&ready)), format!("?since={since}")] {
        let mut replayed = Follower::open(&hub, &bucket, &query);
        for want in &told {
            assert_eq!(replayed.next().unwrap(), ("changes".to_string(), want.clone()), "{query}");
        }
        assert_eq!(replayed.next().unwrap().0, "ready", "{query}");
    }
    let mut rest = Follower::open(&hub, &bucket, &format!("?cursor={}", cursor(&told[1])));
    assert_eq!(rest.next().unwrap().1, told[2]);
}

#[test]
fn a_resume_point_survives_a_restart_until_there_is_a_gap() {
    let mut hub = LocalHub::start();
    let bucket = hub.create_bucket("one");
    hub.client().put(&bucket, "a", b"1");
    let (_, ready) = Follower::open(&hub, &bucket, "").next().unwrap();
    hub.client().put(&bucket, "b", b"2");
    hub.restart();
    let resume = format!("?cursor={}", cursor(&ready));
    assert_eq!(Follower::open(&hub, &bucket, &resume).next().unwrap().1["changes"][0]["path"], json!("b"));
    hub.faults().feed_gap();
    let mut late = Follower::open(&hub, &bucket, &resume);
    assert_eq!(late.next().unwrap().0, "reset");
    assert_eq!(late.next(), None, "after reset the stream ends");
    assert_eq!(Follower::open(&hub, &bucket, "").next().unwrap().0, "ready");
}

#[test]
fn open_streams_are_told_to_reconnect() {
    let hub = LocalHub::start();
    let bucket = hub.create_bucket("one");
    let mut follower = Follower::open(&hub, &bucket, "");
    assert_eq!(follower.next().unwrap().0, "ready");
    hub.faults().feed_reconnect();
    assert_eq!(follower.next().unwrap().0, "reconnect");
    assert_eq!(follower.next(), None);
}

#[test]
fn a_resume_point_that_was_never_given_out_is_400() {
    let hub = LocalHub::start();
    let bucket = hub.create_bucket("one");
    for query in ["cursor=nonsense", "cursor=999999", "since=yesterday"] {
        let path = format!("/api/buckets/{bucket}/events?{query}");
        assert_eq!(hub.client().request("GET", &path, &[], b"").unwrap().status, 400, "{query}");
    }
}
