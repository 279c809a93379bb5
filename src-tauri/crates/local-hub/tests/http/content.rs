use testkit::{LocalHub, bytes};

#[test]
fn content_is_read_back_whole_and_in_ranges() {
    let hub = LocalHub::start();
    let bucket = hub.create_bucket("one");
    // More than one xorb, so that ranges cross from one to the next.
    let content = bytes(1, 90_000_000);
    hub.client().put(&bucket, "big", &content);
    assert!(hub.client().read(&bucket, "big") == content, "the whole file");
    for (offset, length) in
        [(0, 1), (0, 100_000), (64 << 20, 3_000_000), ((64 << 20) - 7, 14), (89_999_990, 10)]
    {
        let range = hub.client().read_range(&bucket, "big", offset, length);
        let want = &content[offset as usize..(offset + length) as usize];
        assert!(range == want, "{length} bytes at {offset}");
    }
    hub.client().put(&bucket, "empty", b"");
    assert_eq!(hub.client().read(&bucket, "empty"), b"");
}

#[test]
fn the_same_content_has_the_same_hash_and_is_stored_once() {
    let hub = LocalHub::start();
    let bucket = hub.create_bucket("one");
    let content = bytes(2, 3_000_000);
    let first = hub.client().put(&bucket, "a", &content);
    assert_eq!(hub.client().put(&bucket, "b", &content), first);
    assert_ne!(hub.client().put(&bucket, "c", &bytes(3, 3_000_000)), first);
}

#[test]
fn resolve_tells_the_metadata_on_its_redirect_to_another_origin() {
    let hub = LocalHub::start();
    let bucket = hub.create_bucket("one");
    let hash = hub.client().put(&bucket, "a", b"hello");
    let path = format!("/buckets/{bucket}/resolve/a");
    let answer = no_redirects(&hub, "HEAD", &path);
    let (status, headers) = answer;
    assert_eq!(status, 302);
    assert_eq!((headers["x-xet-hash"].as_str(), headers["x-linked-size"].as_str()), (hash.as_str(), "5"));
    assert!(headers["link"].contains("xet-read-token>; rel=\"xet-auth\""), "{}", headers["link"]);
    assert!(headers.contains_key("content-length"), "huggingface_hub 1.29 insists on it");
    assert!(
        !headers["location"].starts_with(hub.endpoint()),
        "storage is another origin: {}",
        headers["location"]
    );
    let missing = hub.client().request("HEAD", &format!("/buckets/{bucket}/resolve/no"), &[], b"").unwrap();
    assert_eq!((missing.status, missing.header("x-error-code")), (404, Some("EntryNotFound")));
}

#[test]
fn storage_refuses_a_token_a_forged_and_an_expired_url() {
    let hub = LocalHub::start();
    let bucket = hub.create_bucket("one");
    hub.client().put(&bucket, "a", b"hello");
    let (_, headers) = no_redirects(&hub, "GET", &format!("/buckets/{bucket}/resolve/a"));
    let url = &headers["location"];
    let stranger = hub.client_as(None);
    let status = |url: &str| stranger.request("GET", url, &[], b"").unwrap().status;
    assert_eq!(status(url), 200);
    assert_eq!(hub.client().request("GET", url, &[], b"").unwrap().status, 400, "a token leaked to storage");
    assert_eq!(status(&url.replace("size=5", "size=6")), 403);
    hub.faults().expire_storage_urls();
    assert_eq!(status(url), 403);
    let (_, headers) = no_redirects(&hub, "GET", &format!("/buckets/{bucket}/resolve/a"));
    assert_eq!(status(&headers["location"]), 200);
}

#[test]
fn the_demo_bucket_is_filled_once() {
    let directory = testkit::tempdir().unwrap();
    let begin = || LocalHub::builder().data(directory.path()).demo().start();
    let hub = begin();
    let bucket = hub.demo_bucket().unwrap().to_string();
    let info = hub.client().bucket_info(&bucket);
    assert!(info.total_files > 2000 && info.size > 200_000_000, "{info:?}");
    let names = hub.client().paths(&bucket);
    for part in [" ", "#", "%", "🚀", "caf\u{e9}", "cafe\u{301}"] {
        assert!(names.iter().any(|name| name.contains(part)), "a name with {part:?}");
    }
    hub.client().delete(&bucket, "README.md");
    drop(hub);
    assert_eq!(begin().client().stat(&bucket, "README.md"), None, "changes to the demo bucket stay");
}

/// Status and headers of the first answer.
fn no_redirects(
    hub: &LocalHub,
    method: &str,
    path: &str,
) -> (u16, std::collections::BTreeMap<String, String>) {
    use std::io::{Read, Write};
    let address = hub.endpoint().trim_start_matches("http://");
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {}\r\nconnection: close\r\n\r\n",
        hub.token()
    );
    stream.write_all(head.as_bytes()).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let mut lines = text.split("\r\n");
    let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let headers = lines.take_while(|line| !line.is_empty()).map(|line| {
        let (name, value) = line.split_once(": ").unwrap();
        (name.to_lowercase(), value.to_string())
    });
    (status, headers.collect())
}
