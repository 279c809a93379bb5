//! Rows of the state database that say what they never should: one cell at a time, every column, values of every
//! kind. The file system may refuse a name or a start with a clear error. It may not panic, hang, or lose a byte that
//! is not on the Hub.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bucketfs::{BucketFs, Create, FileId, Kind, ROOT, SetAttr};
use bytes::Bytes;
use rusqlite::Connection;
use rusqlite::types::Value;

use crate::rig::{Rig, names, remove, rename, sync, write_file};

const UNSENT: [&[u8]; 2] = [b"unsent and new: 8c1f5c0e", b"unsent edit: 5d2b7a19 of what the Hub has"];
const PATIENCE: Duration = Duration::from_secs(20);
/// Of all variants this many in the short form, spread over the columns.
const SHORT: usize = 70;

/// Rows in every table, two files with unsent bytes.
async fn populated(rig: &Rig) -> PathBuf {
    base(rig);
    let fs = rig.open().await;
    names(&fs, "").await;
    names(&fs, "d").await;
    write_file(&fs, "over", b"mine").await;
    rig.put("over", b"theirs");
    sync(&fs).await;
    remove(&fs, "gone").await;
    sync(&fs).await;
    fs.pause();
    remove(&fs, "d/to go").await;
    write_file(&fs, "new", UNSENT[0]).await;
    rename(&fs, "new", "d/new").await;
    write_file(&fs, "edited", UNSENT[1]).await;
    rename(&fs, "moved", "elsewhere").await;
    rename(&fs, "e", "f").await;
    fs.symlink(ROOT, b"link", b"edited".to_vec(), SetAttr::default(), None).await.unwrap();
    fs.mkdir(ROOT, b"empty", SetAttr::default(), None).await.unwrap();
    write_file(&fs, ".DS_Store", b"litter").await;
    fs.create(ROOT, b"exclusive", Create::Exclusive(7u64.to_be_bytes()), None).await.unwrap();
    fs.shutdown(PATIENCE).await;
    rig.config().state_dir
}

/// What the Hub has at the start of each variant.
fn base(rig: &Rig) {
    let files = ["d/a", "d/to go", "e/a", "edited", "gone", "moved", "over"];
    for path in rig.paths() {
        rig.hub.client().delete(&rig.bucket, &path);
    }
    rig.hub.client().put_many(&rig.bucket, files.map(|path| (path, path.as_bytes())));
}

/// Every cell worth a lie: (table, column, which of its rows, value).
fn variants(database: &Path) -> Vec<(String, String, i64, Value)> {
    let db = Connection::open(database).unwrap();
    let strings = |sql: &str| -> Vec<String> {
        let mut statement = db.prepare(sql).unwrap();
        statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    };
    let values = [
        Value::Null,
        Value::Integer(-1),
        Value::Integer(1),
        Value::Integer(i64::MAX),
        Value::Text(String::new()),
        Value::Text("../\u{0}/x//".into()),
        Value::Blob(vec![0xff, 0x2f, 0x00, 0xc3]),
        Value::Text("9".repeat(5000)),
    ];
    let mut all = Vec::new();
    for table in strings("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'") {
        let rows: i64 = db.query_row(&format!("SELECT COUNT(*) FROM {table}"), [], |row| row.get(0)).unwrap();
        for column in strings(&format!("SELECT name FROM pragma_table_info('{table}')")) {
            for (at, value) in values.iter().enumerate().filter(|_| rows > 0) {
                // Another row for each, so that files, folders, links and litter all have their turn.
                all.push((table.clone(), column.clone(), (all.len() + at) as i64 % rows, value.clone()));
            }
        }
    }
    all
}

/// Whether the lie could be told: a constraint may forbid it. That of types is taken away for it, as damage does not ask.
fn lie(database: &Path, (table, column, row, value): &(String, String, i64, Value)) -> bool {
    let keys = match table.as_str() {
        "commits" => "path, hash",
        "troubles" => "kind, what",
        "settings" => "name",
        _ => "rowid",
    };
    let sql = format!(
        "UPDATE {table} SET {column} = ?1 WHERE ({keys}) = (SELECT {keys} FROM {table} ORDER BY {keys} LIMIT 1 OFFSET {row})"
    );
    rewrite_schema(database, "sql = replace(replace(sql, ') STRICT, ', ') '), ') STRICT', ') /*strict*/')");
    let told = Connection::open(database).unwrap().execute(&sql, [value]).is_ok_and(|changed| changed > 0);
    rewrite_schema(
        database,
        "sql = replace(replace(sql, ') WITHOUT', ') STRICT, WITHOUT'), ') /*strict*/', ') STRICT')",
    );
    told
}

fn rewrite_schema(database: &Path, set: &str) {
    let db = Connection::open(database).unwrap();
    db.pragma_update(None, "writable_schema", true).unwrap();
    db.execute(
        &format!("UPDATE sqlite_schema SET {set} WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"),
        [],
    )
    .unwrap();
}

/// All that somebody might do with it.
async fn used(fs: &Arc<BucketFs>) {
    let mut folders = vec![ROOT];
    let mut seen = 0;
    while let Some(folder) = folders.pop().filter(|_| seen < 200) {
        for (id, kind) in listed(fs, folder).await {
            seen += 1;
            match kind {
                Kind::Directory => folders.push(id),
                Kind::Symlink => drop(fs.readlink(id).await),
                _ => drop(fs.read(id, 0, 4096).await),
            }
            let _ = fs.write(id, 1, Bytes::from_static(b""), true).await;
        }
    }
    if let Ok(made) = fs.create(ROOT, b"later", Create::Guarded(SetAttr::default()), None).await {
        let _ = fs.write(made.attr.id, 0, Bytes::from_static(b"later"), false).await;
        let _ = fs.commit(made.attr.id, 0, 0).await;
    }
    let _ = fs.rename(ROOT, b"d", ROOT, b"D", None).await;
    let _ = fs.rename(ROOT, b"elsewhere", ROOT, b"moved", None).await;
    let _ = fs.remove(ROOT, b"link", None).await;
    let _ = fs.rmdir(ROOT, b"empty", None).await;
    let _ = (fs.status(), fs.conflicts(), fs.recent_deletes(), fs.held_deletes(), fs.stored_replies());
    let _ = fs.restore("gone", None).await;
    fs.resume();
    fs.sync(Some(Duration::from_millis(400))).await;
}

async fn listed(fs: &BucketFs, folder: FileId) -> Vec<(FileId, Kind)> {
    let (mut all, mut cookie) = (Vec::new(), 0);
    while let Ok(page) = fs.readdir(folder, cookie, 50).await {
        for entry in &page.entries {
            assert!(entry.cookie > cookie, "a listing that does not get on never ends");
            cookie = entry.cookie;
            if entry.name != b"." && entry.name != b".." {
                all.push((entry.attr.id, entry.attr.kind));
            }
        }
        if page.end || page.entries.is_empty() {
            break;
        }
    }
    all
}

/// Whether `bytes` are in a file below `folder`.
fn anywhere(folder: &Path, bytes: &[u8]) -> bool {
    std::fs::read_dir(folder).unwrap().flatten().any(|entry| match entry.file_type().unwrap().is_dir() {
        true => anywhere(&entry.path(), bytes),
        false => std::fs::read(entry.path())
            .is_ok_and(|content| content.windows(bytes.len()).any(|window| window == bytes)),
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn no_lie_of_a_state_row_panics_hangs_or_loses_an_unsent_byte() {
    let mut rig = Rig::new();
    let truth = populated(&rig).await;
    let truth = {
        let kept = rig.state.path().join("truth");
        std::fs::rename(truth, &kept).unwrap();
        kept
    };
    static PANICS: AtomicUsize = AtomicUsize::new(0);
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        PANICS.fetch_add(1, Ordering::SeqCst);
        before(panic);
    }));
    let all = variants(&truth.join("names.db"));
    let full = std::env::var_os("BUCKETBAR_FULL").is_some();
    let step = if full { 1 } else { all.len().div_ceil(SHORT) };
    let (mut told, mut refused) = (0, 0);
    for variant in all.iter().step_by(step) {
        base(&rig);
        rig.events = Arc::default();
        let state = rig.config().state_dir;
        let _ = std::fs::remove_dir_all(&state);
        crate::rig::copy_folder(&truth, &state);
        if !lie(&state.join("names.db"), variant) {
            continue;
        }
        told += 1;
        let opened = BucketFs::open(rig.config(), rig.client(), rig.events.clone());
        match tokio::time::timeout(PATIENCE, opened)
            .await
            .unwrap_or_else(|_| panic!("{variant:?}: the start hangs"))
        {
            Ok(fs) => {
                fs.start_sync();
                let over = tokio::time::timeout(PATIENCE, used(&fs)).await;
                assert!(over.is_ok(), "{variant:?}: a call hangs");
                let over = tokio::time::timeout(PATIENCE, fs.shutdown(Duration::from_secs(2))).await;
                assert!(over.is_ok(), "{variant:?}: the end hangs");
            }
            Err(error) => {
                refused += 1;
                assert!(!error.what.is_empty() && !error.advice.is_empty(), "{variant:?}: {error:?}");
            }
        }
        assert_eq!(PANICS.load(Ordering::SeqCst), 0, "{variant:?}: somebody panicked");
        let there: Vec<Vec<u8>> = rig.paths().iter().filter_map(|path| rig.on_hub(path)).collect();
        for bytes in UNSENT {
            let safe = there.iter().any(|content| content == bytes) || anywhere(&state, bytes);
            assert!(safe, "{variant:?}: {} is nowhere", String::from_utf8_lossy(bytes));
        }
    }
    println!("{told} lies told, {refused} starts refused");
    // A value of the wrong type is found by the check at the start, and the database is made anew.
    assert!(refused * 10 <= told, "{refused} of {told} starts were refused");
    assert!(told > if full { 200 } else { SHORT / 2 }, "{told} lies were told");
}
