use serde_json::{Value, json};
use testkit::{Fault, Harm, LocalHub};

fn send(hub: &LocalHub, bucket: &str, operations: &[Value]) -> (u16, Value) {
    let body: String = operations.iter().map(|operation| format!("{operation}\n")).collect();
    let path = format!("/api/buckets/{bucket}/batch");
    let headers = [("content-type", "application/x-ndjson")];
    let answer = hub.client().request("POST", &path, &headers, body.as_bytes()).unwrap();
    (answer.status, answer.json())
}

#[test]
fn a_partial_failure_is_200_and_all_failed_is_422() {
    let hub = LocalHub::start();
    let bucket = hub.create_bucket("one");
    let hash = hub.client().put(&bucket, "a", b"A");
    let good = json!({"type": "addFile", "path": "b", "xetHash": hash, "mtime": 1_700_000_000_123_u64});
    let unknown = json!({"type": "addFile", "path": "c", "xetHash": "a".repeat(64)});
    let bad_key = json!({"type": "addFile", "path": "a//b", "xetHash": hash});
    let (status, answer) = send(&hub, &bucket, &[good, unknown.clone(), bad_key.clone()]);
    assert_eq!((status, &answer["success"], &answer["succeeded"]), (200, &json!(false), &json!(1)));
    assert_eq!(answer["failed"].as_array().unwrap().len(), 2);
    let entry = hub.client().stat(&bucket, "b").unwrap();
    assert_eq!((entry.size, entry.mtime.as_deref()), (1, Some("2023-11-14T22:13:20.123Z")));
    let before = hub.client().bucket_info(&bucket).updated_at;
    assert_eq!(send(&hub, &bucket, &[unknown, bad_key]).0, 422);
    assert_eq!(hub.client().bucket_info(&bucket).updated_at, before, "nothing was applied");
}

#[test]
fn operations_are_applied_in_the_order_of_their_lines() {
    let hub = LocalHub::start();
    let bucket = hub.create_bucket("one");
    let hash = hub.client().put(&bucket, "a", b"A");
    let rename = [
        json!({"type": "copyFile", "path": "b", "xetHash": hash, "sourceRepoType": "bucket", "sourceRepoId": bucket}),
        json!({"type": "deleteFile", "path": "a"}),
        json!({"type": "deleteFile", "path": "never was"}),
    ];
    assert_eq!(send(&hub, &bucket, &rename).0, 200);
    assert_eq!(hub.client().paths(&bucket), ["b"]);
    let put_then_delete = [
        json!({"type": "addFile", "path": "x", "xetHash": hash}),
        json!({"type": "deleteFile", "path": "x"}),
    ];
    assert_eq!(send(&hub, &bucket, &put_then_delete).0, 200);
    assert_eq!(hub.client().paths(&bucket), ["b"]);
}

#[test]
fn deleting_a_missing_path_fails_when_the_hub_is_told_so() {
    let hub = LocalHub::builder().argument("--delete-missing").argument("fails").start();
    let bucket = hub.create_bucket("one");
    hub.client().put(&bucket, "a", b"A");
    let delete = json!({"type": "deleteFile", "path": "a"});
    assert_eq!(send(&hub, &bucket, &[delete.clone(), delete.clone()]).0, 200);
    assert_eq!(send(&hub, &bucket, &[delete]).0, 422);
}

#[test]
fn chosen_operations_fail_on_demand_and_the_rest_is_applied() {
    let hub = LocalHub::start();
    let bucket = hub.create_bucket("one");
    let hash = hub.client().put(&bucket, "a", b"A");
    let harm = Harm::FailOperations { path: "unlucky".into(), error: "quota exceeded".into() };
    hub.faults().add(Fault::on("/batch", harm).times(1));
    let add = |path: &str| json!({"type": "addFile", "path": path, "xetHash": hash});
    let (status, answer) = send(&hub, &bucket, &[add("lucky"), add("unlucky")]);
    assert_eq!((status, &answer["failed"]), (200, &json!([{"path": "unlucky", "error": "quota exceeded"}])));
    assert_eq!(hub.client().paths(&bucket), ["a", "lucky"]);
    assert_eq!(send(&hub, &bucket, &[add("unlucky")]).0, 200, "the fault is spent");
}
