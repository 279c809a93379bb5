//! The HTTP API: who gets in, and that it says the same as the typed calls.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use engine::app::App;
use engine::app::http::{HttpAddress, HttpApi};
use serde_json::{Value, json};

use crate::bench::Desk;

pub async fn api(app: &Arc<App>, ui: Option<std::path::PathBuf>) -> HttpAddress {
    let api = HttpApi::bind(Arc::clone(app), 0, ui).await.unwrap();
    let address = api.address();
    tokio::spawn(api.serve());
    address
}

/// One request as bytes, so that any header can be wrong.
async fn raw(address: &HttpAddress, head: &str, body: &str) -> (u16, String) {
    let host = address.url.trim_start_matches("http://").trim_end_matches('/').to_owned();
    let head = head.replace("HOST", &host).replace("TOKEN", &address.token);
    let text = format!("{head}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len());
    let exchange = move || {
        let mut stream = TcpStream::connect(host).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        stream.write_all(text.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    };
    let answer = tokio::task::spawn_blocking(exchange).await.unwrap();
    let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
    (status, answer.split_once("\r\n\r\n").unwrap().1.to_owned())
}

/// One command, as a page calls it.
pub async fn call(address: &HttpAddress, name: &str, args: Value) -> Value {
    let head = format!("POST /api/call/{name} HTTP/1.1\r\nhost: HOST\r\nauthorization: Bearer TOKEN");
    let (status, body) = raw(address, &head, &args.to_string()).await;
    let answer = serde_json::from_str(&body).unwrap_or(Value::Null);
    assert_eq!(status, 200, "{name} {args}: {answer}");
    answer
}

#[tokio::test(flavor = "multi_thread")]
async fn only_who_knows_the_token_and_speaks_to_this_very_server_gets_in() {
    let desk = Desk::new(&[]);
    let app = desk.start().await;
    let address = api(&app, None).await;
    let call = "POST /api/call/snapshot HTTP/1.1\r\nhost: HOST";
    let (status, body) = raw(&address, &format!("{call}\r\nauthorization: Bearer TOKEN"), "").await;
    assert_eq!(status, 200);
    let state: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(state["about"]["hub"], json!(desk.hub.endpoint()));
    for (head, wanted) in [
        (call.to_owned(), 401),
        (format!("{call}\r\nauthorization: Bearer {}", "0".repeat(64)), 401),
        (format!("{call}\r\nauthorization: TOKEN"), 401),
        ("POST /api/call/snapshot?token=TOKEN HTTP/1.1\r\nhost: HOST".to_owned(), 401),
        (
            "POST /api/call/snapshot HTTP/1.1\r\nhost: evil.example\r\nauthorization: Bearer TOKEN"
                .to_owned(),
            403,
        ),
        (format!("{call}\r\norigin: http://evil.example\r\nauthorization: Bearer TOKEN"), 403),
        (format!("{call}\r\norigin: null\r\nauthorization: Bearer TOKEN"), 403),
        (format!("{call}\r\norigin: http://HOST\r\nauthorization: Bearer TOKEN"), 200),
        ("POST /api/call/format_disk HTTP/1.1\r\nhost: HOST\r\nauthorization: Bearer TOKEN".to_owned(), 400),
        ("GET /api/events HTTP/1.1\r\nhost: HOST".to_owned(), 401),
        ("GET / HTTP/1.1\r\nhost: HOST".to_owned(), 404),
    ] {
        assert_eq!(raw(&address, &head, "").await.0, wanted, "{head}");
    }
    let head = "POST /api/call/mount HTTP/1.1\r\nhost: HOST\r\nauthorization: Bearer TOKEN";
    for body in ["{", "[]", "{\"bucket\": 5}", "{\"bucket\": \"x\"}", "{\"bucket\": \"a/b\", \"more\": 1}"] {
        let (status, said) = raw(&address, head, body).await;
        assert_eq!(status, 400, "{body}: {said}");
        assert!(serde_json::from_str::<Value>(&said).unwrap()["what"].is_string());
    }
    app.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn events_come_as_they_happen_and_pages_are_served_from_their_folder_only() {
    let desk = Desk::new(&[]);
    let app = desk.start().await;
    let pages = testkit::tempdir().unwrap();
    std::fs::write(pages.path().join("index.html"), "<p>hello").unwrap();
    std::fs::write(desk.dir.path().join("secret"), "no").unwrap();
    let address = api(&app, Some(pages.path().to_owned())).await;
    assert_eq!(raw(&address, "GET / HTTP/1.1\r\nhost: HOST", "").await, (200, "<p>hello".into()));
    assert_eq!(raw(&address, "GET /activity HTTP/1.1\r\nhost: HOST", "").await.0, 200, "a page of the app");
    let outside = format!("GET /..{} HTTP/1.1\r\nhost: HOST", desk.dir.path().join("secret").display());
    assert_eq!(raw(&address, &outside, "").await.0, 404);
    let ending = Arc::clone(&app);
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(300)).await;
        ending.snooze(engine::app::api::commands::SnoozeArgs { minutes: 5 }).await.unwrap();
        tokio::time::sleep(Duration::from_millis(300)).await;
        ending.end().await;
    });
    let (status, stream) = raw(&address, "GET /api/events?token=TOKEN HTTP/1.1\r\nhost: HOST", "").await;
    assert_eq!(status, 200);
    let events: Vec<Value> = stream
        .lines()
        .filter_map(|line| line.strip_prefix("data:"))
        .map(|data| serde_json::from_str(data.trim()).unwrap())
        .collect();
    assert_eq!(events[0]["event"], "changed");
    assert!(
        events
            .iter()
            .any(|event| event["parts"].as_array().is_some_and(|parts| parts.contains(&json!("settings"))))
    );
    assert_eq!(events.last().unwrap()["event"], "ended");
}
