//! Repos: models, datasets and Spaces, with commits, branches and tags. A commit names every file of its tree; there is no
//! git behind it, but names and identities are what git and LFS would give.

use rusqlite::{Connection, OptionalExtension, Row, params};
use sha2::{Digest, Sha256};

use super::Store;
use crate::clock::now_ms;

pub const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS repos (
    key INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL, id TEXT NOT NULL, private INTEGER NOT NULL, gated INTEGER NOT NULL,
    accepted TEXT NOT NULL, created_at INTEGER NOT NULL,
    UNIQUE (kind, id));
CREATE TABLE IF NOT EXISTS refs (
    repo INTEGER NOT NULL, name TEXT NOT NULL, tag INTEGER NOT NULL, sha TEXT NOT NULL,
    PRIMARY KEY (repo, name)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS commits (
    repo INTEGER NOT NULL, sha TEXT NOT NULL, title TEXT NOT NULL, at INTEGER NOT NULL,
    PRIMARY KEY (repo, sha)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS repo_files (
    repo INTEGER NOT NULL, sha TEXT NOT NULL, path TEXT NOT NULL, size INTEGER NOT NULL, storage TEXT NOT NULL,
    oid TEXT NOT NULL, sha256 TEXT NOT NULL, hash TEXT NOT NULL,
    PRIMARY KEY (repo, sha, path)) WITHOUT ROWID;
";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RepoKind {
    Model,
    Dataset,
    Space,
}

impl RepoKind {
    pub const ALL: [RepoKind; 3] = [RepoKind::Model, RepoKind::Dataset, RepoKind::Space];

    pub fn plural(self) -> &'static str {
        match self {
            RepoKind::Model => "models",
            RepoKind::Dataset => "datasets",
            RepoKind::Space => "spaces",
        }
    }

    pub fn of_plural(text: &str) -> Option<RepoKind> {
        RepoKind::ALL.into_iter().find(|kind| kind.plural() == text)
    }
}

#[derive(Clone, Debug)]
pub struct Repo {
    pub key: i64,
    pub kind: RepoKind,
    /// `namespace/name`, or the bare name of an old model.
    pub id: String,
    pub private: bool,
    pub gated: bool,
    /// Users who may read it although it is gated.
    pub accepted: Vec<String>,
    pub created_at: i64,
}

impl Repo {
    pub fn namespace(&self) -> &str {
        self.id.split_once('/').map_or("", |(namespace, _)| namespace)
    }
}

#[derive(Clone, Debug)]
pub struct Commit {
    pub sha: String,
    pub at: i64,
}

/// How a repo keeps a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Storage {
    /// In git itself.
    Git,
    /// As LFS did before there was Xet.
    Lfs,
    Xet,
}

impl Storage {
    pub fn parse(text: &str) -> Option<Storage> {
        match text {
            "git" => Some(Storage::Git),
            "lfs" => Some(Storage::Lfs),
            "xet" => Some(Storage::Xet),
            _ => None,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Storage::Git => "git",
            Storage::Lfs => "lfs",
            Storage::Xet => "xet",
        }
    }
}

/// A file of a commit.
#[derive(Clone, Debug)]
pub struct RepoFile {
    pub path: String,
    pub size: u64,
    pub storage: Storage,
    /// Git's identity of the file, or of its pointer.
    pub oid: String,
    pub sha256: String,
    /// Its content in the CAS, however the repo keeps it.
    pub hash: String,
}

impl RepoFile {
    /// What the Hub calls the content.
    pub fn etag(&self) -> &str {
        if self.storage == Storage::Git { &self.oid } else { &self.sha256 }
    }
}

/// What a commit changes.
pub enum RepoChange {
    Put(RepoFile),
    Delete(String),
}

impl Store {
    /// Makes a repo with an empty first commit on `main`; `None` when there is one of that name.
    pub fn create_repo(
        &self,
        kind: RepoKind,
        id: &str,
        private: bool,
        gated: bool,
        accepted: &str,
    ) -> rusqlite::Result<Option<Repo>> {
        let connection = self.connection.lock();
        let made = connection.execute(
            "INSERT OR IGNORE INTO repos (kind, id, private, gated, accepted, created_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            params![kind.plural(), id, private, gated, accepted, now_ms()],
        )?;
        let Some(repo) = find(&connection, kind, id)?.filter(|_| made > 0) else { return Ok(None) };
        drop(connection);
        self.commit_repo(&repo, "main", "initial commit", Vec::new())?;
        Ok(Some(repo))
    }

    pub fn repo(&self, kind: RepoKind, id: &str) -> rusqlite::Result<Option<Repo>> {
        find(&self.connection.lock(), kind, id)
    }

    /// The repos of a kind, by id.
    pub fn repos(&self, kind: RepoKind) -> rusqlite::Result<Vec<Repo>> {
        let connection = self.connection.lock();
        let mut query = connection.prepare_cached("SELECT * FROM repos WHERE kind = ?1 ORDER BY id")?;
        query.query_map([kind.plural()], repo_row)?.collect()
    }

    /// Puts a commit on top of a branch, which is made where missing: from `main`, or empty.
    pub fn commit_repo(
        &self,
        repo: &Repo,
        branch: &str,
        title: &str,
        changes: Vec<RepoChange>,
    ) -> rusqlite::Result<Commit> {
        let mut connection = self.connection.lock();
        let transaction = connection.transaction()?;
        let tip = |name: &str| {
            transaction
                .query_row(
                    "SELECT sha FROM refs WHERE repo = ?1 AND name = ?2",
                    params![repo.key, name],
                    |row| row.get::<_, String>(0),
                )
                .optional()
        };
        let parent = match tip(branch)? {
            Some(parent) => Some(parent),
            None => tip("main")?,
        };
        let commit = Commit { sha: new_sha(), at: now_ms() };
        transaction.execute(
            "INSERT INTO commits VALUES (?1, ?2, ?3, ?4)",
            params![repo.key, commit.sha, title, commit.at],
        )?;
        if let Some(parent) = parent {
            transaction.execute(
                "INSERT INTO repo_files SELECT repo, ?3, path, size, storage, oid, sha256, hash FROM repo_files
                 WHERE repo = ?1 AND sha = ?2",
                params![repo.key, parent, commit.sha],
            )?;
        }
        for change in changes {
            match change {
                RepoChange::Delete(path) => transaction.execute(
                    "DELETE FROM repo_files WHERE repo = ?1 AND sha = ?2 AND path = ?3",
                    params![repo.key, commit.sha, path],
                )?,
                RepoChange::Put(file) => transaction.execute(
                    "INSERT OR REPLACE INTO repo_files VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
                    params![
                        repo.key,
                        commit.sha,
                        file.path,
                        file.size.cast_signed(),
                        file.storage.name(),
                        file.oid,
                        file.sha256,
                        file.hash
                    ],
                )?,
            };
        }
        transaction.execute(
            "INSERT OR REPLACE INTO refs VALUES (?1, ?2, 0, ?3)",
            params![repo.key, branch, commit.sha],
        )?;
        transaction.commit()?;
        Ok(commit)
    }

    /// Points a branch or a tag at a commit.
    pub fn set_ref(&self, repo: &Repo, name: &str, tag: bool, commit: &Commit) -> rusqlite::Result<()> {
        let connection = self.connection.lock();
        connection.execute(
            "INSERT OR REPLACE INTO refs VALUES (?1, ?2, ?3, ?4)",
            params![repo.key, name, tag, commit.sha],
        )?;
        Ok(())
    }

    /// The names of the branches or of the tags, with their commits.
    pub fn refs(&self, repo: &Repo, tags: bool) -> rusqlite::Result<Vec<(String, String)>> {
        let connection = self.connection.lock();
        let mut query = connection
            .prepare_cached("SELECT name, sha FROM refs WHERE repo = ?1 AND tag = ?2 ORDER BY name")?;
        query.query_map(params![repo.key, tags], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
    }

    /// The commit that a branch, a tag or a commit's name means.
    pub fn revision(&self, repo: &Repo, name: &str) -> rusqlite::Result<Option<Commit>> {
        let connection = self.connection.lock();
        let mut query = connection.prepare_cached(
            "SELECT sha, at FROM commits WHERE repo = ?1 AND sha =
             coalesce((SELECT sha FROM refs WHERE repo = ?1 AND name = ?2), ?2)",
        )?;
        query
            .query_row(params![repo.key, name], |row| Ok(Commit { sha: row.get(0)?, at: row.get(1)? }))
            .optional()
    }

    /// Every file of a commit, by path.
    pub fn repo_files(&self, repo: &Repo, commit: &Commit) -> rusqlite::Result<Vec<RepoFile>> {
        let connection = self.connection.lock();
        let mut query = connection
            .prepare_cached("SELECT * FROM repo_files WHERE repo = ?1 AND sha = ?2 ORDER BY path")?;
        query.query_map(params![repo.key, commit.sha], file_row)?.collect()
    }

    pub fn repo_file(&self, repo: &Repo, commit: &Commit, path: &str) -> rusqlite::Result<Option<RepoFile>> {
        let connection = self.connection.lock();
        let mut query = connection
            .prepare_cached("SELECT * FROM repo_files WHERE repo = ?1 AND sha = ?2 AND path = ?3")?;
        query.query_row(params![repo.key, commit.sha, path], file_row).optional()
    }
}

fn find(connection: &Connection, kind: RepoKind, id: &str) -> rusqlite::Result<Option<Repo>> {
    let mut query = connection.prepare_cached("SELECT * FROM repos WHERE kind = ?1 AND id = ?2")?;
    query.query_row([kind.plural(), id], repo_row).optional()
}

fn repo_row(row: &Row<'_>) -> rusqlite::Result<Repo> {
    let accepted: String = row.get("accepted")?;
    Ok(Repo {
        key: row.get("key")?,
        kind: RepoKind::of_plural(&row.get::<_, String>("kind")?).unwrap_or(RepoKind::Model),
        id: row.get("id")?,
        private: row.get("private")?,
        gated: row.get("gated")?,
        accepted: accepted.split(',').filter(|user| !user.is_empty()).map(str::to_owned).collect(),
        created_at: row.get("created_at")?,
    })
}

fn file_row(row: &Row<'_>) -> rusqlite::Result<RepoFile> {
    Ok(RepoFile {
        path: row.get("path")?,
        size: row.get::<_, i64>("size")?.unsigned_abs(),
        storage: Storage::parse(&row.get::<_, String>("storage")?).unwrap_or(Storage::Xet),
        oid: row.get("oid")?,
        sha256: row.get("sha256")?,
        hash: row.get("hash")?,
    })
}

/// A name no other commit has.
fn new_sha() -> String {
    hex(&rand::random::<[u8; 20]>())
}

/// Git's identity of a file of its own: `git hash-object`.
pub fn git_oid(content: &[u8]) -> String {
    let mut digest = aws_lc_rs::digest::Context::new(&aws_lc_rs::digest::SHA1_FOR_LEGACY_USE_ONLY);
    digest.update(format!("blob {}\0", content.len()).as_bytes());
    digest.update(content);
    hex(digest.finish().as_ref())
}

/// SHA-256 of a content, and git's identity of the pointer that LFS leaves in its place.
pub fn lfs_oids(content: &[u8]) -> (String, String) {
    let sha256 = hex(&Sha256::digest(content));
    let pointer =
        format!("version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {}\n", content.len());
    let oid = git_oid(pointer.as_bytes());
    (sha256, oid)
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::temporary;

    #[test]
    fn identities_are_gits() {
        assert_eq!(git_oid(b"hello\n"), "ce013625030ba8dba906f756967f9e9ca394464a");
        assert_eq!(git_oid(b""), "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391");
    }

    #[test]
    fn a_branch_grows_and_a_tag_stays() {
        let (_directory, store) = temporary();
        let repo = store.create_repo(RepoKind::Model, "alice/m", false, false, "").unwrap().unwrap();
        assert!(store.create_repo(RepoKind::Model, "alice/m", false, false, "").unwrap().is_none());
        let put = |path: &str| {
            RepoChange::Put(RepoFile {
                path: path.into(),
                size: 1,
                storage: Storage::Git,
                oid: "a".into(),
                sha256: "b".into(),
                hash: "c".into(),
            })
        };
        let first = store.commit_repo(&repo, "main", "one", vec![put("a"), put("b")]).unwrap();
        store.set_ref(&repo, "v1", true, &first).unwrap();
        store.commit_repo(&repo, "main", "two", vec![put("c"), RepoChange::Delete("a".into())]).unwrap();
        store.commit_repo(&repo, "dev", "three", vec![put("d")]).unwrap();
        let names = |revision: &str| {
            let commit = store.revision(&repo, revision).unwrap().unwrap();
            let files = store.repo_files(&repo, &commit).unwrap();
            files.into_iter().map(|file| file.path).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(names("main"), "b c");
        assert_eq!((names("v1"), names(&first.sha)), ("a b".into(), "a b".into()));
        assert_eq!(names("dev"), "b c d");
        assert!(store.revision(&repo, "nothing").unwrap().is_none());
        assert_eq!(store.refs(&repo, true).unwrap(), [("v1".to_owned(), first.sha)]);
    }
}
