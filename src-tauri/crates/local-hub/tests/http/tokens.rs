use testkit::LocalHub;

#[test]
fn the_cas_asks_for_a_xet_token_of_the_right_kind_and_age() {
    let hub = LocalHub::start();
    let bucket = hub.create_bucket("one");
    let hash = hub.client().put(&bucket, "a", b"hello");
    let token = |kind: &str| {
        let path = format!("/api/buckets/{bucket}/xet-{kind}-token");
        let answer = hub.client().request("GET", &path, &[], b"").unwrap();
        let json = answer.json();
        assert_eq!(answer.header("x-xet-access-token"), json["accessToken"].as_str());
        assert_eq!(json["casUrl"].as_str(), Some(hub.endpoint()));
        json["accessToken"].as_str().unwrap().to_string()
    };
    let plan = format!("/v2/reconstructions/{hash}");
    let status = |token: Option<&str>, method: &str, path: &str| {
        hub.client_as(token).request(method, path, &[], b"").unwrap().status
    };
    assert_eq!(status(None, "GET", &plan), 401);
    assert_eq!(status(Some(hub.token()), "GET", &plan), 401, "a Hub token is no Xet token");
    let (read, write) = (token("read"), token("write"));
    assert_eq!(status(Some(&read), "GET", &plan), 200);
    assert_eq!(status(Some(&write), "GET", &plan), 200, "a write token also reads");
    assert_eq!(status(Some(&read), "POST", "/v1/shards"), 403);
    assert_ne!(status(Some(&write), "POST", "/v1/shards"), 403);
    hub.faults().expire_xet_tokens();
    assert_eq!(status(Some(&read), "GET", &plan), 401);
    assert_eq!(status(Some(&token("read")), "GET", &plan), 200);
}

#[test]
fn a_xorb_url_gives_only_the_ranges_that_were_signed() {
    let hub = LocalHub::start();
    let bucket = hub.create_bucket("one");
    let hash = hub.client().put(&bucket, "a", &testkit::bytes(5, 2_000_000));
    let token =
        hub.client().request("GET", &format!("/api/buckets/{bucket}/xet-read-token"), &[], b"").unwrap();
    let cas = hub.client_as(token.json()["accessToken"].as_str());
    let range = [("range", "bytes=1000000-1000099")];
    let plan = cas.request("GET", &format!("/v2/reconstructions/{hash}"), &range, b"").unwrap().json();
    let fetch = plan["xorbs"].as_object().unwrap().values().next().unwrap()[0].clone();
    let (url, bytes) = (fetch["url"].as_str().unwrap(), &fetch["ranges"][0]["bytes"]);
    let (start, end) = (bytes["start"].as_u64().unwrap(), bytes["end"].as_u64().unwrap());
    assert!(end - start < 400_000, "a plan for 100 bytes covers a chunk or two, not the xorb");
    let ask = |range: &str| hub.client_as(None).request("GET", url, &[("range", range)], b"").unwrap();
    let answer = ask(&format!("bytes={start}-{end}"));
    assert_eq!((answer.status, answer.body.len() as u64), (206, end - start + 1));
    assert_eq!(ask(&format!("bytes={start}-{}", end + 1)).status, 403);
    assert_eq!(hub.client_as(None).request("GET", url, &[], b"").unwrap().body, answer.body);
    let two = ask(&format!("bytes={start}-{},{}-{end}", start + 9, end - 9));
    assert!(two.header("content-type").unwrap().starts_with("multipart/byteranges"), "{two:?}");
    let past = [("range", "bytes=9000000-9000001")];
    assert_eq!(cas.request("GET", &format!("/v2/reconstructions/{hash}"), &past, b"").unwrap().status, 416);
}

#[test]
fn chunk_hashes_are_there_for_range_uploads() {
    let hub = LocalHub::start();
    let bucket = hub.create_bucket("one");
    let hash = hub.client().put(&bucket, "a", &testkit::bytes(5, 1_000_000));
    let token =
        hub.client().request("GET", &format!("/api/buckets/{bucket}/xet-read-token"), &[], b"").unwrap();
    let cas = hub.client_as(token.json()["accessToken"].as_str());
    let dirty = [("x-range-dirty", "bytes=500000-500009")];
    let answer = cas.request("GET", &format!("/v2/file-chunk-hashes/{hash}"), &dirty, b"").unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.json()["fileSize"].as_u64(), Some(1_000_000));
}
