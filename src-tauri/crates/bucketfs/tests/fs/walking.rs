//! Walks through many folders: the same names as one by one, for few calls.

use std::time::Duration;

use bucketfs::{Create, SetAttr};

use crate::rig::{Rig, find, names, parent_of, read_file, sync, until};

fn put_folders(rig: &Rig, folders: std::ops::Range<u32>) {
    let files: Vec<(String, Vec<u8>)> = folders
        .flat_map(|folder| (0..3).map(move |file| (format!("w/{folder:03}/sub/{file}"), vec![folder as u8])))
        .collect();
    rig.hub
        .client()
        .put_many(&rig.bucket, files.iter().map(|(path, content)| (path.as_str(), content.as_slice())));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_walk_through_many_folders_costs_few_calls_and_sees_every_name() {
    let rig = Rig::new();
    put_folders(&rig, 0..60);
    rig.put("w/top", b"beside the folders");
    rig.put("wider/x", b"a neighbour");
    let fs = rig.open().await;
    rig.hub.reset_counters();
    let mut top: Vec<String> = (0..60).map(|folder| format!("{folder:03}")).collect();
    top.push("top".into());
    assert_eq!(names(&fs, "w").await, top);
    for folder in 0..60 {
        assert_eq!(names(&fs, &format!("w/{folder:03}")).await, ["sub"]);
        assert_eq!(names(&fs, &format!("w/{folder:03}/sub")).await, ["0", "1", "2"]);
    }
    let calls = rig.hub.counters().calls("/tree");
    assert!(calls <= 12, "{calls} listings for 121 folders");
    assert_eq!(read_file(&fs, "w/042/sub/1").await, [42]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_changes_in_the_midst_of_a_walk_is_seen() {
    let rig = Rig::new();
    put_folders(&rig, 0..30);
    let fs = rig.open().await;
    for folder in 0..6 {
        names(&fs, &format!("w/{folder:03}/sub")).await;
    }
    // Ours: neither undone by what was listed before it happened …
    fs.create(find(&fs, "w/020").await.unwrap(), b"ours", Create::Unchecked(SetAttr::default()), None)
        .await
        .unwrap();
    let (dir, name) = parent_of(&fs, "w/021/sub/1").await;
    fs.remove(dir, name, None).await.unwrap();
    sync(&fs).await;
    // … nor others', as soon as the feed has told of it.
    rig.put("w/025/sub/theirs", b"new");
    rig.hub.client().delete(&rig.bucket, "w/026/sub/2");
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(names(&fs, "w/020").await, ["ours", "sub"]);
    assert_eq!(names(&fs, "w/021/sub").await, ["0", "2"]);
    let seen = async |path: &str, want: &[&str]| {
        let (fs, path) = (fs.clone(), path.to_owned());
        until(async || (names(&fs, &path).await == want).then_some(())).await;
    };
    seen("w/025/sub", &["0", "1", "2", "theirs"]).await;
    seen("w/026/sub", &["0", "1"]).await;
    for folder in 7..30 {
        names(&fs, &format!("w/{folder:03}/sub")).await;
    }
    seen("w/021/sub", &["0", "2"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_walk_after_a_restart_costs_few_calls_and_sees_what_changed_meanwhile() {
    let rig = Rig::new();
    put_folders(&rig, 0..40);
    let fs = rig.open().await;
    for folder in 0..40 {
        names(&fs, &format!("w/{folder:03}/sub")).await;
    }
    fs.shutdown(Duration::from_secs(5)).await;
    drop(fs);
    rig.put("w/030/sub/theirs", b"new");
    rig.hub.client().delete(&rig.bucket, "w/031/sub/2");
    let fs = rig.open().await;
    rig.hub.reset_counters();
    names(&fs, "w").await;
    for folder in 0..40 {
        let want: &[&str] = match folder {
            30 => &["0", "1", "2", "theirs"],
            31 => &["0", "1"],
            _ => &["0", "1", "2"],
        };
        assert_eq!(names(&fs, &format!("w/{folder:03}")).await, ["sub"]);
        assert_eq!(names(&fs, &format!("w/{folder:03}/sub")).await, want, "{folder}");
    }
    let calls = rig.hub.counters().calls("/tree");
    assert!(calls <= 12, "{calls} listings for 81 folders that were listed before");
}

/// Keys that a listing shows under marked names, among many that it shows as they are, in whatever order they come.
#[tokio::test(flavor = "multi_thread")]
async fn a_first_listing_shows_each_key_under_a_name_of_its_own() {
    let rig = Rig::new();
    let long = "l".repeat(300);
    let keys = ["d/a", "d/a/inner", "d/e\u{301}", "d/\u{e9}", "d/b", &format!("d/{long}"), "d/z"];
    for key in keys {
        rig.put(key, key.as_bytes());
    }
    let fs = rig.open().await;
    let shown = names(&fs, "d").await;
    assert_eq!(shown.len(), 7, "{shown:?}");
    let mut contents = Vec::new();
    for name in &shown {
        let path = format!("d/{name}");
        if is_folder(&fs, &path).await {
            contents.push(read_file(&fs, &format!("{path}/inner")).await);
        } else {
            contents.push(read_file(&fs, &path).await);
        }
    }
    contents.sort();
    let mut want: Vec<Vec<u8>> = keys.iter().map(|key| key.as_bytes().to_vec()).collect();
    want.sort();
    assert_eq!(contents, want);
    // A second listing finds each again and makes nothing new.
    rig.put("d/later", b"later");
    until(async || (names(&fs, "d").await.len() == 8).then_some(())).await;
    assert!(shown.iter().all(|name| name != "later"));
    let again = names(&fs, "d").await;
    assert!(shown.iter().all(|name| again.contains(name)), "{shown:?} {again:?}");
}

async fn is_folder(fs: &std::sync::Arc<bucketfs::BucketFs>, path: &str) -> bool {
    let id = find(fs, path).await.unwrap();
    fs.getattr(id).await.unwrap().kind == bucketfs::Kind::Directory
}
