//! Keys of the Hub that meet a name which is taken here: by a symlink, or by a folder.

use bucketfs::{Create, ErrorKind, Kind, ROOT, SetAttr};

use crate::rig::{Rig, names, read_file, remove, sync, until, write_file};

fn apart_from_signs(names: Vec<String>) -> Vec<String> {
    names.into_iter().filter(|name| !name.starts_with("sign ")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_others_at_the_name_of_a_symlink_of_ours_shows_beside_it() {
    let rig = Rig::new();
    let fs = rig.open().await;
    names(&fs, "").await;
    fs.symlink(ROOT, b"x", b"elsewhere".to_vec(), SetAttr::default(), None).await.unwrap();
    rig.put("x", b"theirs");
    for round in 0..3 {
        rig.listed_anew(&fs, &format!("sign {round}")).await;
        let shown = apart_from_signs(names(&fs, "").await);
        assert_eq!(shown.len(), 2, "{shown:?}");
        assert!(shown.iter().any(|name| name == "x"), "{shown:?}");
        let theirs = shown.iter().find(|name| *name != "x").unwrap();
        assert!(theirs.starts_with("x~"), "{theirs}");
        assert_eq!(read_file(&fs, theirs).await, b"theirs");
        write_file(&fs, theirs, format!("changed {round}").as_bytes()).await;
        sync(&fs).await;
        assert_eq!(rig.on_hub("x").unwrap(), format!("changed {round}").into_bytes());
        rig.put("x", b"theirs");
        until(async || (read_file(&fs, theirs).await == b"theirs").then_some(())).await;
    }
    // When the symlink goes, theirs answers to its own name, and nothing new can get it.
    remove(&fs, "x").await;
    assert_eq!(read_file(&fs, "x").await, b"theirs");
    let anew = fs.create(ROOT, b"x", Create::Guarded(SetAttr::default()), None).await;
    assert_eq!(anew.unwrap_err().kind, ErrorKind::Exists);
    write_file(&fs, "fresh", b"fresh").await;
    fs.rename(ROOT, b"fresh", ROOT, b"x", None).await.unwrap();
    sync(&fs).await;
    assert_eq!(apart_from_signs(names(&fs, "").await), ["x"]);
    assert_eq!(apart_from_signs(rig.paths()), ["x"]);
    assert_eq!(rig.on_hub("x").unwrap(), b"fresh");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_and_a_folder_of_one_key_are_two_names_however_often_they_are_listed() {
    let rig = Rig::new();
    rig.put("x", b"file");
    rig.put("x/inner", b"inner");
    let fs = rig.open().await;
    for round in 0..3 {
        rig.listed_anew(&fs, &format!("sign {round}")).await;
        let shown = apart_from_signs(names(&fs, "").await);
        assert_eq!(shown.len(), 2, "{shown:?}");
    }
    let marked = apart_from_signs(names(&fs, "").await).into_iter().find(|name| name != "x").unwrap();
    assert!(marked.starts_with("x~"), "{marked}");
    // Each can be edited under its own name and keeps its key.
    let folder_has_the_name = fs.lookup(ROOT, b"x").await.unwrap().kind == Kind::Directory;
    let (file, folder) = if folder_has_the_name { (marked.as_str(), "x") } else { ("x", marked.as_str()) };
    let inner = format!("{folder}/inner");
    write_file(&fs, file, b"file changed").await;
    write_file(&fs, &inner, b"inner changed").await;
    sync(&fs).await;
    assert_eq!(rig.on_hub("x").unwrap(), b"file changed");
    assert_eq!(rig.on_hub("x/inner").unwrap(), b"inner changed");
    // And each can go alone, there and here.
    rig.hub.client().delete(&rig.bucket, "x");
    until(async || (apart_from_signs(names(&fs, "").await).len() == 1).then_some(())).await;
    assert_eq!(read_file(&fs, &inner).await, b"inner changed");
    rig.put("x", b"again");
    until(async || (apart_from_signs(names(&fs, "").await).len() == 2).then_some(())).await;
    let shown = apart_from_signs(names(&fs, "").await);
    let file = shown.iter().find(|name| *name != folder).unwrap();
    remove(&fs, file).await;
    sync(&fs).await;
    assert_eq!(rig.on_hub("x"), None);
    assert_eq!(rig.on_hub("x/inner").unwrap(), b"inner changed");
}
