//! READDIR, READDIRPLUS.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use nfs3_types::nfs3::NFS_PROGRAM::{NFSPROC3_READDIR, NFSPROC3_READDIRPLUS};
use nfs3_types::nfs3::nfsstat3::*;
use nfs3_types::nfs3::*;

use crate::harness::{Client, Harness, failure, handle_of, status, times, truth};
use crate::memory_fs::{MemoryFs, ROOT};
use crate::raw::Raw;

fn plus(dir: &nfs_fh3, cookie: u64, dircount: u32, maxcount: u32) -> READDIRPLUS3args {
    READDIRPLUS3args { dir: dir.clone(), cookie, cookieverf: cookieverf3::default(), dircount, maxcount }
}

fn names(dir: &nfs_fh3, cookie: u64, count: u32) -> READDIR3args {
    READDIR3args { dir: dir.clone(), cookie, cookieverf: cookieverf3::default(), count }
}

fn text(name: &filename3<'_>) -> String {
    String::from_utf8(name.as_ref().to_vec()).unwrap()
}

/// Lists the whole directory as a kernel does, calling `between` before each further call.
async fn list_plus(
    client: &mut Client,
    dir: &nfs_fh3,
    counts: (u32, u32),
    mut between: impl FnMut(),
) -> Vec<entryplus3<'static>> {
    let (mut all, mut cookie) = (Vec::new(), 0);
    loop {
        let page = client.readdirplus(&plus(dir, cookie, counts.0, counts.1)).await.unwrap().unwrap();
        assert_eq!(page.cookieverf, cookieverf3::default(), "constant");
        all.extend(page.reply.entries.into_inner());
        if page.reply.eof {
            return all;
        }
        let last = all.last().expect("a page without the end has entries").cookie;
        assert_ne!(last, cookie, "each page goes on");
        cookie = last;
        between();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_entry_has_attributes_and_a_handle_that_works() {
    let server = Harness::start().await;
    let dir_id = server.fs.put_dir(ROOT, "d");
    for n in 0..50 {
        server.fs.put(dir_id, &format!("file {n}"), &vec![0; n]);
    }
    server.fs.put_dir(dir_id, "sub");
    let (mut client, root) = server.client_and_root().await;
    let dir = handle_of(&mut client, &root, "d").await;
    let entries = list_plus(&mut client, &dir, (65_536, 65_536), || ()).await;
    assert_eq!(entries.len(), 53);
    assert_eq!(
        (text(&entries[0].name).as_str(), entries[0].name_handle.clone().unwrap()),
        (".", dir.clone())
    );
    assert_eq!((text(&entries[1].name).as_str(), entries[1].name_handle.clone().unwrap()), ("..", root));
    for entry in &entries {
        let attr = entry.name_attributes.clone().unwrap();
        assert_eq!(attr.fileid, entry.fileid);
        let object = entry.name_handle.clone().unwrap();
        let again = client.getattr(&GETATTR3args { object }).await.unwrap().unwrap();
        assert_eq!(again.obj_attributes.fileid, entry.fileid);
    }
    let page = client.readdir(&names(&dir, 0, 8192)).await.unwrap().unwrap();
    assert_eq!(times(&page.dir_attributes), truth(&server.fs, dir_id));
    let plain: Vec<(u64, u64, String)> =
        page.reply.entries.into_inner().iter().map(|e| (e.fileid, e.cookie, text(&e.name))).collect();
    let full: Vec<(u64, u64, String)> = entries.iter().map(|e| (e.fileid, e.cookie, text(&e.name))).collect();
    assert_eq!(plain, full, "READDIR tells the same");
}

/// Bytes of an entry by RFC 1813: the mark before it included.
fn name_bytes(name: &filename3<'_>) -> usize {
    4 + 8 + 4 + name.len().next_multiple_of(4) + 8
}

#[tokio::test(flavor = "multi_thread")]
async fn both_byte_limits_are_kept_to_the_byte() {
    let server = Harness::start().await;
    for n in 0..100 {
        server.fs.put(ROOT, &"n".repeat(1 + n % 40).replacen('n', &format!("{n}."), 1), b"");
    }
    let (mut client, root) = server.client_and_root().await;
    let all = list_plus(&mut client, &root, (1 << 20, 1 << 20), || ()).await;
    let handle = all[2].name_handle.clone().unwrap().data.len().next_multiple_of(4);
    let full_bytes = |entry: &entryplus3<'_>| name_bytes(&entry.name) + 4 + 84 + 4 + 4 + handle;
    let (head, tail) = (4 + 84 + 8, 8);
    let mut raw = Raw::connect(server.address).await;
    for maxcount in (200..4000).step_by(61) {
        let reply = raw.call(maxcount, NFSPROC3_READDIRPLUS, &plus(&root, 0, 1 << 20, maxcount)).await;
        let size = reply.results().len() - 4;
        let fits = count_fitting(all.iter().map(full_bytes), maxcount as usize - head - tail);
        check_count(&reply.decode::<READDIRPLUS3res>(), fits, maxcount);
        assert!(size <= maxcount as usize || fits == 0);
    }
    for dircount in (20..3000).step_by(47) {
        let reply = raw.call(dircount, NFSPROC3_READDIRPLUS, &plus(&root, 0, dircount, 1 << 20)).await;
        let fits = count_fitting(all.iter().map(|entry| name_bytes(&entry.name)), dircount as usize);
        check_count(&reply.decode::<READDIRPLUS3res>(), fits, dircount);
    }
    for count in (132..3000).step_by(53) {
        let reply = raw.call(count, NFSPROC3_READDIR, &names(&root, 0, count)).await;
        let fits =
            count_fitting(all.iter().map(|entry| name_bytes(&entry.name)), count as usize - head - tail);
        assert!(reply.results().len() - 4 <= count as usize);
        let page = reply.decode::<READDIR3res>().unwrap().reply;
        assert_eq!(page.entries.into_inner().len(), fits, "count {count}");
    }
}

fn count_fitting(sizes: impl Iterator<Item = usize>, room: usize) -> usize {
    let mut used = 0;
    sizes
        .take_while(|size| {
            used += size;
            used <= room
        })
        .count()
}

fn check_count(result: &READDIRPLUS3res<'_>, fits: usize, limit: u32) {
    match result {
        Nfs3Result::Ok(page) => assert_eq!(page.reply.entries.0.len(), fits, "limit {limit}"),
        Nfs3Result::Err((status, fail)) => {
            assert_eq!((*status, fits), (NFS3ERR_TOOSMALL, 0), "limit {limit}");
            assert!(fail.dir_attributes.is_some());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_room_for_one_entry_is_toosmall_and_a_file_is_no_directory() {
    let server = Harness::start().await;
    server.fs.put(ROOT, "a", b"");
    let (mut client, root) = server.client_and_root().await;
    for counts in [(0, 65_536), (65_536, 0), (20, 65_536), (65_536, 150)] {
        let args = plus(&root, 0, counts.0, counts.1);
        assert_eq!(status(&client.readdirplus(&args).await.unwrap()), NFS3ERR_TOOSMALL, "{counts:?}");
    }
    assert_eq!(status(&client.readdir(&names(&root, 0, 100)).await.unwrap()), NFS3ERR_TOOSMALL);
    let file = handle_of(&mut client, &root, "a").await;
    let (no, fail) = failure(client.readdirplus(&plus(&file, 0, 4096, 4096)).await.unwrap());
    assert_eq!(no, NFS3ERR_NOTDIR);
    assert!(fail.dir_attributes.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cookie_never_given_and_any_verifier_are_no_error() {
    let server = Harness::start().await;
    server.fs.put(ROOT, "a", b"");
    let (mut client, root) = server.client_and_root().await;
    let mut args = plus(&root, 1 << 60, 4096, 4096);
    args.cookieverf = cookieverf3([9; 8]);
    let page = client.readdirplus(&args).await.unwrap().unwrap();
    assert!(page.reply.eof && page.reply.entries.into_inner().is_empty());
}

/// Changes a directory of names `keep-*` and `drop-*`: makes, removes and renames others than `keep-*`.
struct Changer {
    fs: Arc<MemoryFs>,
    dir: u64,
    round: usize,
}

impl Changer {
    fn change(&mut self) {
        for n in 0..20 {
            let drop = self.round * 20 + n;
            if drop < 2000 {
                self.fs.take_away(self.dir, &format!("drop-{drop}"));
            }
            self.fs.put(self.dir, &format!("new-{}-{n}", self.round), b"");
        }
        self.round += 1;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_names_under_change_none_that_stayed_missed_none_doubled() {
    let server = Harness::start().await;
    let dir_id = server.fs.put_dir(ROOT, "d");
    let mut stayed = HashSet::new();
    for n in 0..10_000 {
        let name = if n % 5 == 4 { format!("drop-{}", n / 5) } else { format!("keep-{n}") };
        server.fs.put(dir_id, &name, b"");
        if n % 5 != 4 {
            stayed.insert(name);
        }
    }
    let (mut client, root) = server.client_and_root().await;
    let dir = handle_of(&mut client, &root, "d").await;
    // macOS' and Linux' sizes.
    for counts in [(65_536, 1 << 20), (4096, 32_768)] {
        let mut changer = Changer { fs: Arc::clone(&server.fs), dir: dir_id, round: 0 };
        let entries = list_plus(&mut client, &dir, counts, || changer.change()).await;
        assert!(changer.round > 3, "it did change in between");
        let mut seen: HashMap<String, usize> = HashMap::new();
        for entry in &entries {
            *seen.entry(text(&entry.name)).or_default() += 1;
        }
        assert!(seen.values().all(|times| *times == 1), "doubled");
        let missed: Vec<_> = stayed.iter().filter(|name| !seen.contains_key(*name)).collect();
        assert!(missed.is_empty(), "missed {missed:?}");
        for round in 0..changer.round {
            for n in 0..20 {
                server.fs.take_away(dir_id, &format!("new-{round}-{n}"));
                let drop = round * 20 + n;
                if drop < 2000 {
                    server.fs.put(dir_id, &format!("drop-{drop}"), b"");
                }
            }
        }
    }
}
