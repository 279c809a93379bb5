use serde_json::json;
use testkit::LocalHub;

const ODD: [&str; 7] =
    ["sp ace", "a#b?c", "100 % %20", "dir/é nfc", "dir/e\u{301} nfd", "🚀/x", "+plus & amp=eq;semi"];

#[test]
fn odd_names_come_back_as_they_went_in() {
    let hub = LocalHub::start();
    let bucket = hub.create_bucket("one");
    hub.client().put_many(&bucket, ODD.iter().map(|path| (*path, path.as_bytes())));
    let mut want = ODD.to_vec();
    want.sort_unstable();
    assert_eq!(hub.client().paths(&bucket), want);
    for path in ODD {
        assert_eq!(hub.client().read(&bucket, path), path.as_bytes(), "{path}");
        assert_eq!(hub.client().stat(&bucket, path).unwrap().size, path.len() as u64, "{path}");
    }
}

#[test]
fn a_path_may_be_sent_with_or_without_encoded_slashes() {
    let hub = LocalHub::start();
    let bucket = hub.create_bucket("one");
    hub.client().put(&bucket, "dir/sub/a b", b"A");
    for path in ["dir%2Fsub%2Fa%20b", "dir/sub/a%20b"] {
        let answer =
            hub.client().request("GET", &format!("/buckets/{bucket}/resolve/{path}"), &[], b"").unwrap();
        assert_eq!(answer.body, b"A", "{path}");
    }
    for prefix in ["dir%2Fsub", "dir/sub"] {
        let path = format!("/api/buckets/{bucket}/tree/{prefix}?recursive=false");
        let answer = hub.client().request("GET", &path, &[], b"").unwrap().json();
        assert_eq!(answer[0]["path"], json!("dir/sub/a b"), "{prefix}");
    }
}

#[test]
fn without_recursive_a_listing_is_recursive_and_pages_by_link() {
    let hub = LocalHub::start();
    let bucket = hub.create_bucket("one");
    let names: Vec<String> = (0..25).map(|n| format!("d{}/f{n:02}", n % 3)).collect();
    hub.client().put_many(&bucket, names.iter().map(|path| (path.as_str(), b"x".as_slice())));
    let mut seen = Vec::new();
    let mut next = Some(format!("/api/buckets/{bucket}/tree?limit=7"));
    while let Some(path) = next {
        let answer = hub.client().request("GET", &path, &[], b"").unwrap();
        let entries = answer.json();
        let entries = entries.as_array().unwrap();
        assert!(entries.len() <= 7 && entries.iter().all(|entry| entry["type"] == json!("file")));
        seen.extend(entries.iter().map(|entry| entry["path"].as_str().unwrap().to_string()));
        let link = answer.header("link").map(str::to_string);
        next = link.map(|link| link.strip_prefix('<').unwrap().split('>').next().unwrap().to_string());
        assert!(
            next.iter().all(|url| url.starts_with(hub.endpoint()) && url.contains("limit=7")),
            "{next:?}"
        );
    }
    let mut want = names;
    want.sort_unstable();
    assert_eq!(seen, want);
}

#[test]
fn one_level_has_files_and_directories_and_a_prefix_is_raw() {
    let hub = LocalHub::start();
    let bucket = hub.create_bucket("one");
    let files = ["logs.json", "logs/a", "logs/b/c", "logs_backup/x", "z"];
    hub.client().put_many(&bucket, files.map(|path| (path, b"x".as_slice())));
    let level = |prefix: &str| {
        let path = format!("/api/buckets/{bucket}/tree{prefix}?recursive=false");
        let answer = hub.client().request("GET", &path, &[], b"").unwrap().json();
        let entry = |entry: &serde_json::Value| {
            format!("{} {}", entry["type"].as_str().unwrap(), entry["path"].as_str().unwrap())
        };
        answer.as_array().unwrap().iter().map(entry).collect::<Vec<_>>()
    };
    assert_eq!(level(""), ["file logs.json", "directory logs", "directory logs_backup", "file z"]);
    assert_eq!(
        level("/logs"),
        ["file logs.json", "file logs/a", "directory logs/b", "directory logs_backup"]
    );
    assert_eq!(level("/logs%2F"), ["file logs/a", "directory logs/b"]);
    assert!(level("/nothing").is_empty());
}

#[test]
fn paths_info_leaves_out_what_is_no_file() {
    let hub = LocalHub::start();
    let bucket = hub.create_bucket("one");
    hub.client().put(&bucket, "dir/a", b"A");
    let body = json!({"paths": ["dir/a", "dir", "no"]}).to_string();
    let path = format!("/api/buckets/{bucket}/paths-info");
    let found = hub.client().request("POST", &path, &[], body.as_bytes()).unwrap().json();
    assert_eq!(found.as_array().unwrap().len(), 1);
    assert_eq!((&found[0]["path"], &found[0]["size"]), (&json!("dir/a"), &json!(1)));
    assert!(
        found[0]["mtime"].is_string()
            && found[0]["uploadedAt"].is_string()
            && found[0]["xetHash"].is_string()
    );
}
