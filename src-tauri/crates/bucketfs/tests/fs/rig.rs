//! A bucket on a local Hub, and a file system over it that can be ended in every way.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bucketfs::faults::Faults;
use bucketfs::{BucketFs, Config, Create, Event, Events, FileId, ROOT, SetAttr};
use bytes::Bytes;
use parking_lot::Mutex;
use testkit::LocalHub;

pub struct Rig {
    pub hub: LocalHub,
    pub bucket: String,
    pub state: tempfile::TempDir,
    pub events: Arc<Recorder>,
    /// How the local disk fails.
    pub faults: Faults,
}

#[derive(Default)]
pub struct Recorder(pub Mutex<Vec<Event>>);

impl Events for Recorder {
    fn tell(&self, event: Event) {
        self.0.lock().push(event);
    }
}

impl Recorder {
    pub fn any(&self, what: impl Fn(&Event) -> bool) -> bool {
        self.0.lock().iter().any(what)
    }
}

impl Rig {
    pub fn new() -> Self {
        let hub = LocalHub::start();
        let bucket = hub.create_bucket("b");
        Rig {
            hub,
            bucket,
            state: tempfile::tempdir().unwrap(),
            events: Arc::default(),
            faults: Faults::default(),
        }
    }

    pub fn config(&self) -> Config {
        let mut config = Config::new(self.state.path().join("state"));
        config.debounce = Duration::from_millis(300);
        config.poll = Duration::from_millis(500);
        config.reserve_bytes = 0;
        config.cache_bytes = 256 << 20;
        config.faults = self.faults.clone();
        config
    }

    pub fn client(&self) -> hub::Bucket {
        self.client_with(hub::Limits::default())
    }

    /// With other patience than a person at a desk has.
    pub fn client_with(&self, limits: hub::Limits) -> hub::Bucket {
        let config = hub::HubConfig {
            endpoint: hub::parse_endpoint(self.hub.endpoint()).unwrap(),
            token: Arc::new(hub::StaticToken::new(self.hub.token(), "the tests")),
            cache_root: self.state.path().join("xet"),
            user_agent: "bucketfs-tests".into(),
            limits,
        };
        hub::Hub::new(config).unwrap().bucket(self.bucket.parse::<hub::BucketName>().unwrap())
    }

    /// Opened, nothing is sent yet.
    pub async fn open_quiet(&self) -> Arc<BucketFs> {
        BucketFs::open(self.config(), self.client(), self.events.clone()).await.unwrap()
    }

    /// Opened with a client of one's own, everything runs.
    pub async fn open_with(&self, config: Config, client: hub::Bucket) -> Arc<BucketFs> {
        let fs = BucketFs::open(config, client, self.events.clone()).await.unwrap();
        fs.start_sync();
        fs
    }

    pub async fn open(&self) -> Arc<BucketFs> {
        let fs = self.open_quiet().await;
        fs.start_sync();
        fs
    }

    pub fn put(&self, path: &str, content: &[u8]) -> String {
        self.hub.client().put(&self.bucket, path, content)
    }

    /// A listing of the root that is later than this call has been taken in.
    pub async fn listed_anew(&self, fs: &BucketFs, sign: &str) {
        self.put(sign, b"sign");
        until(async || names(fs, "").await.contains(&sign.to_owned()).then_some(())).await;
    }

    /// What the Hub has, or `None`.
    pub fn on_hub(&self, path: &str) -> Option<Vec<u8>> {
        self.hub.client().read_if_there(&self.bucket, path)
    }

    /// Everything the Hub has: path and content. The date of a conflict's name is left out.
    pub fn everything(&self) -> std::collections::BTreeMap<String, String> {
        let text = |path: String| {
            let content = self.on_hub(&path).unwrap_or_default();
            (undated(&path), String::from_utf8_lossy(&content).into_owned())
        };
        self.paths().into_iter().map(text).collect()
    }

    pub fn paths(&self) -> Vec<String> {
        self.hub.client().paths(&self.bucket)
    }

    /// The state directory as a crash leaves it: a copy taken while the file system lives.
    pub fn crash_copy(&self) -> PathBuf {
        let copy = self.state.path().join("crashed");
        copy_folder(&self.config().state_dir, &copy);
        copy
    }
}

/// `a (conflict 2026-01-01 10.00.00).txt` is `a (conflict).txt`.
pub fn undated(path: &str) -> String {
    for mark in [" (conflict ", " (restored "] {
        if let Some((before, rest)) = path.split_once(mark)
            && let Some((_, after)) = rest.split_once(')')
        {
            return format!("{before}{}){after}", mark.trim_end());
        }
    }
    path.to_owned()
}

/// Waits for something that another task does.
pub async fn until<T>(mut look: impl AsyncFnMut() -> Option<T>) -> T {
    for _ in 0..400 {
        if let Some(found) = look().await {
            return found;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("it did not happen within 20 s");
}

pub fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// Walks a path from the root.
pub async fn find(fs: &BucketFs, path: &str) -> bucketfs::Result<FileId> {
    let mut at = ROOT;
    for part in path.split('/').filter(|part| !part.is_empty()) {
        at = fs.lookup(at, part.as_bytes()).await?.id;
    }
    Ok(at)
}

pub async fn parent_of<'p>(fs: &BucketFs, path: &'p str) -> (FileId, &'p [u8]) {
    match path.rsplit_once('/') {
        Some((folder, name)) => (find(fs, folder).await.unwrap(), name.as_bytes()),
        None => (ROOT, path.as_bytes()),
    }
}

/// RENAME by paths.
pub async fn rename(fs: &BucketFs, from: &str, to: &str) {
    let ((from_dir, from), (to_dir, to)) = (parent_of(fs, from).await, parent_of(fs, to).await);
    fs.rename(from_dir, from, to_dir, to, None).await.unwrap();
}

/// REMOVE by a path.
pub async fn remove(fs: &BucketFs, path: &str) {
    let (dir, name) = parent_of(fs, path).await;
    fs.remove(dir, name, None).await.unwrap();
}

/// Creates (or empties), writes UNSTABLE and commits: what closing a file does.
pub async fn write_file(fs: &BucketFs, path: &str, content: &[u8]) -> FileId {
    let (dir, name) = parent_of(fs, path).await;
    let empty = SetAttr { size: Some(0), ..SetAttr::default() };
    let id = fs.create(dir, name, Create::Unchecked(empty), None).await.unwrap().attr.id;
    for (index, chunk) in content.chunks(1 << 20).enumerate() {
        fs.write(id, (index as u64) << 20, Bytes::copy_from_slice(chunk), false).await.unwrap();
    }
    fs.commit(id, 0, 0).await.unwrap();
    id
}

pub async fn read_id(fs: &BucketFs, id: FileId) -> Vec<u8> {
    let size = fs.getattr(id).await.unwrap().size;
    let mut bytes = Vec::new();
    while (bytes.len() as u64) < size {
        let read = fs.read(id, bytes.len() as u64, 1 << 20).await.unwrap();
        assert!(read.eof || !read.data.is_empty(), "a read before the end gives bytes");
        for piece in read.data {
            bytes.extend_from_slice(&piece);
        }
    }
    bytes
}

pub async fn read_file(fs: &BucketFs, path: &str) -> Vec<u8> {
    read_id(fs, find(fs, path).await.unwrap()).await
}

pub async fn names(fs: &BucketFs, path: &str) -> Vec<String> {
    let dir = find(fs, path).await.unwrap();
    let (mut all, mut cookie) = (Vec::new(), 0);
    loop {
        let page = fs.readdir(dir, cookie, 3).await.unwrap();
        for entry in &page.entries {
            assert!(entry.cookie > cookie, "cookies rise");
            cookie = entry.cookie;
            let name = String::from_utf8_lossy(&entry.name).into_owned();
            if name != "." && name != ".." && name != ".metadata_never_index" {
                all.push(name);
            }
        }
        if page.end {
            break;
        }
    }
    all.sort();
    all
}

/// Everything is on the Hub.
pub async fn sync(fs: &Arc<BucketFs>) {
    let report = fs.sync(Some(Duration::from_secs(60))).await;
    assert!(report.complete, "left: {:?}", report.left);
}
