//! Listings. A prefix is a raw key prefix (`logs` also brings `logs.json`, hub-api.md 2.3); a
//! directory is what keys have in common up to a `/`.

use rusqlite::params;

use super::{File, Store, file_row};

/// A line of a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TreeEntry {
    File(File),
    /// With the instant of the first file in it, ms.
    Directory {
        path: String,
        uploaded_at: i64,
    },
}

/// A page of a listing, ordered by key.
#[derive(Debug, PartialEq, Eq)]
pub struct TreePage {
    pub entries: Vec<TreeEntry>,
    /// Where the next page starts; `None` at the end.
    pub next: Option<String>,
}

impl Store {
    /// At most `limit` entries below `prefix`, from `cursor` (a former page's `next`) on.
    ///
    /// Recursive: every file, no directories. Otherwise one level: a prefix that ends in a directory's
    /// name lists what is in it. A page continues by key, so changes between pages neither repeat nor
    /// skip what stayed.
    pub fn tree(
        &self,
        bucket: i64,
        prefix: &str,
        recursive: bool,
        cursor: Option<&str>,
        limit: usize,
    ) -> rusqlite::Result<TreePage> {
        let connection = self.connection.lock();
        let mut query = connection
            .prepare_cached("SELECT * FROM files WHERE bucket = ?1 AND path >= ?2 ORDER BY path")?;
        let mut entries = Vec::new();
        let mut start = cursor.unwrap_or(prefix).to_string();
        'seek: loop {
            let mut rows = query.query(params![bucket, start])?;
            while let Some(row) = rows.next()? {
                let file = file_row(row)?;
                if !file.path.starts_with(prefix) {
                    break;
                }
                if entries.len() == limit {
                    return Ok(TreePage { entries, next: Some(file.path) });
                }
                if let Some(directory) = directory_below(&file.path, prefix).filter(|_| !recursive) {
                    let path = directory.to_string();
                    // The next key that is not in it: `0` follows `/`.
                    start = format!("{path}0");
                    entries.push(TreeEntry::Directory { path, uploaded_at: file.uploaded_at });
                    continue 'seek;
                }
                entries.push(TreeEntry::File(file));
            }
            return Ok(TreePage { entries, next: None });
        }
    }
}

/// The directory one level below `prefix` that `path` is in; `None` when it lies on that level itself.
fn directory_below<'a>(path: &'a str, prefix: &str) -> Option<&'a str> {
    let rest = &path[prefix.len()..];
    let skipped = usize::from(!prefix.is_empty() && rest.starts_with('/'));
    let slash = rest[skipped..].find('/')?;
    Some(&path[..prefix.len() + skipped + slash])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Change, FileFacts, temporary};

    const KEYS: [&str; 8] =
        ["a.txt", "dir-2/x", "dir.json", "dir/b", "dir/sub/c", "dir/sub/d", "dir2/x", "z"];

    fn filled() -> (tempfile::TempDir, Store, i64) {
        let (directory, store) = temporary();
        let bucket = store.create_bucket("alice", "one", true, None).unwrap().unwrap().key;
        let facts = FileFacts { size: 1, hash: "ab".into(), mtime: None, content_type: None };
        let changes = KEYS.map(|path| Change::Put { path: path.into(), facts: facts.clone() });
        store.apply(bucket, &changes).unwrap();
        (directory, store, bucket)
    }

    fn listed(store: &Store, bucket: i64, prefix: &str, recursive: bool, limit: usize) -> Vec<String> {
        let (mut all, mut cursor) = (Vec::new(), None::<String>);
        loop {
            let page = store.tree(bucket, prefix, recursive, cursor.as_deref(), limit).unwrap();
            assert!(page.entries.len() <= limit);
            all.extend(page.entries.into_iter().map(|entry| match entry {
                TreeEntry::File(file) => file.path,
                TreeEntry::Directory { path, .. } => format!("{path}/"),
            }));
            match page.next {
                Some(next) => cursor = Some(next),
                None => return all,
            }
        }
    }

    #[test]
    fn listings_are_the_same_in_pages_of_any_size() {
        let (_directory, store, bucket) = filled();
        for limit in [1, 2, 3, 100] {
            let check = |prefix: &str, recursive: bool, want: &[&str]| {
                assert_eq!(
                    listed(&store, bucket, prefix, recursive, limit),
                    want,
                    "{prefix:?} {recursive} {limit}"
                );
            };
            check("", true, &KEYS);
            check("", false, &["a.txt", "dir-2/", "dir.json", "dir/", "dir2/", "z"]);
            check("dir", true, &KEYS[1..7]);
            check("dir", false, &["dir-2/", "dir.json", "dir/b", "dir/sub/", "dir2/"]);
            check("dir/", false, &["dir/b", "dir/sub/"]);
            check("dir/sub", false, &["dir/sub/c", "dir/sub/d"]);
            check("dir/b", false, &["dir/b"]);
            check("nothing", false, &[]);
        }
    }
}
