use serde_json::json;
use testkit::LocalHub;

fn hub() -> LocalHub {
    LocalHub::builder()
        .token("hf_alice", "alice")
        .token("hf_bob", "bob")
        .read_token("hf_read", "alice")
        .argument("--org")
        .argument("acme=alice,bob:read")
        .start()
}

#[test]
fn creating_a_bucket_that_exists_is_409_and_tells_its_url() {
    let hub = hub();
    let bucket = hub.create_bucket("one");
    let again = hub.client().request("POST", "/api/buckets/me/one", &[], b"{}").unwrap();
    assert_eq!(again.status, 409);
    assert_eq!(again.json()["url"], json!(format!("{}/buckets/{bucket}", hub.endpoint())));
}

#[test]
fn a_private_bucket_does_not_exist_for_strangers() {
    let hub = hub();
    hub.create_bucket("one");
    let status = |token: Option<&str>, path: &str| {
        let answer = hub.client_as(token).request("GET", path, &[], b"").unwrap();
        (answer.status, answer.header("x-error-code").map(str::to_string))
    };
    let gone = Some("RepoNotFound".to_string());
    assert_eq!(status(None, "/api/buckets/alice/one"), (401, gone.clone()));
    assert_eq!(status(Some("hf_bob"), "/api/buckets/alice/one"), (404, gone.clone()));
    assert_eq!(status(Some("hf_alice"), "/api/buckets/alice/two"), (404, gone));
    assert_eq!(status(Some("hf_read"), "/api/buckets/alice/one").0, 200);
    assert_eq!(status(Some("hf_wrong"), "/api/whoami-v2").0, 401);
    assert_eq!(status(None, "/api/whoami-v2").0, 401);
    assert_eq!(status(Some("hf_alice"), "/api/buckets/nobody").0, 404);
}

#[test]
fn members_of_an_organization_see_its_buckets_and_only_writers_change_them() {
    let hub = hub();
    hub.client().create_bucket("acme/shared");
    let bob = hub.client_as(Some("hf_bob"));
    assert!(bob.list("acme/shared").is_empty());
    let listed = bob.request("GET", "/api/buckets/acme", &[], b"").unwrap().json();
    assert_eq!(listed[0]["id"], json!("acme/shared"));
    let refused = bob.request("DELETE", "/api/buckets/acme/shared", &[], b"").unwrap();
    assert_eq!(refused.status, 403, "bob may only read: {}", refused.text());
}

#[test]
fn a_read_only_token_reads_and_changes_nothing() {
    let hub = hub();
    let bucket = hub.create_bucket("one");
    hub.client().put(&bucket, "a", b"A");
    let reader = hub.client_as(Some("hf_read"));
    assert_eq!(reader.read(&bucket, "a"), b"A");
    let role = reader.request("GET", "/api/whoami-v2", &[], b"").unwrap().json();
    assert_eq!(role["auth"]["accessToken"]["role"], json!("read"));
    let refused = |method: &str, path: &str, body: &[u8]| {
        let answer = reader.request(method, path, &[("content-type", "application/x-ndjson")], body).unwrap();
        assert_eq!(answer.status, 403, "{method} {path}: {}", answer.text());
        assert!(answer.header("x-error-message").is_some(), "the reason is in the header too");
    };
    refused("POST", "/api/buckets/alice/one/batch", b"{\"type\":\"deleteFile\",\"path\":\"a\"}\n");
    refused("GET", "/api/buckets/alice/one/xet-write-token", b"");
    refused("DELETE", "/api/buckets/alice/one", b"");
    refused("POST", "/api/buckets/me/two", b"{}");
    refused("PUT", "/api/buckets/alice/one/settings", b"{\"private\":false}");
    assert_eq!(hub.client().paths(&bucket), ["a"]);
}

#[test]
fn a_bucket_is_moved_with_what_is_in_it() {
    let hub = hub();
    let bucket = hub.create_bucket("one");
    hub.client().put(&bucket, "a", b"A");
    let order = |from: &str, to: &str| {
        let body = json!({"fromRepo": from, "toRepo": to, "type": "bucket"}).to_string();
        hub.client().request("POST", "/api/repos/move", &[], body.as_bytes()).unwrap().status
    };
    hub.create_bucket("taken");
    assert_eq!(order("alice/one", "alice/taken"), 409);
    assert_eq!(order("alice/one", "bob/one"), 403);
    assert_eq!(order("alice/one", "acme/moved"), 200);
    assert_eq!(hub.client().read("acme/moved", "a"), b"A");
    assert_eq!(hub.client().request("GET", "/api/buckets/alice/one", &[], b"").unwrap().status, 404);
}

#[test]
fn every_change_moves_updated_at_strictly_up() {
    let hub = hub();
    let bucket = hub.create_bucket("one");
    let mut seen = vec![hub.client().bucket_info(&bucket).updated_at];
    for n in 0..10 {
        hub.client().put(&bucket, "same", format!("{n}").as_bytes());
        seen.push(hub.client().bucket_info(&bucket).updated_at);
        hub.client().copy(&bucket, "same", "copy");
        seen.push(hub.client().bucket_info(&bucket).updated_at);
    }
    assert!(seen.is_sorted_by(|a, b| a < b), "{seen:?}");
    assert!(seen.iter().all(|at| at.len() == "2026-01-01T00:00:00.000Z".len()), "milliseconds: {seen:?}");
}
