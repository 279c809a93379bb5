//! The demo bucket and a few repos: realistic content, the same on every machine, stored once.

use crate::hub::Hub;
use crate::hub_error::HubError;
use crate::routes::RepoContent;
use crate::store::repos::{RepoKind, Storage};

/// The bucket's name; its namespace is the first user's.
const NAME: &str = "models";
const BINARY: usize = 200_000_000;
const SMALL_FILES: u64 = 2000;

/// Fills the demo bucket unless it is filled; its id.
pub async fn fill(hub: &Hub) -> anyhow::Result<String> {
    let user = &hub.accounts.first().user;
    let bucket = match hub.store.bucket(user, NAME)? {
        Some(bucket) => bucket,
        None => hub
            .store
            .create_bucket(user, NAME, true, None)?
            .ok_or_else(|| anyhow::anyhow!("the demo bucket can't be made"))?,
    };
    // The content is committed as one batch: there is all of it or none.
    if hub.store.totals(bucket.key)?.files == 0 {
        let failed = |error: HubError| anyhow::anyhow!("the demo bucket can't be filled: {error:?}");
        hub.put_files(&bucket, files(), Some(1_767_225_600_000)).await.map_err(failed)?;
    }
    Ok(bucket.id())
}

/// Makes the demo repos unless they are there: a model with a tag and a second branch, one without an owner, a gated one,
/// a dataset with an old LFS file, a Space.
pub async fn fill_repos(hub: &Hub) -> anyhow::Result<()> {
    let user = hub.accounts.first().user.clone();
    let readme = |title: &str| {
        file("README.md", format!("# {title}\n\nMade by `local-hub --demo`.\n").into_bytes(), None)
    };
    let model = vec![
        readme("tiny-bert"),
        file(".gitattributes", b"*.safetensors filter=lfs diff=lfs merge=lfs -text\n".to_vec(), None),
        file("config.json", b"{\n  \"model_type\": \"bert\"\n}\n".to_vec(), None),
        file("model.safetensors", noise(11, 12_000_000), None),
        file("onnx/model.onnx", noise(12, 3_000_000), None),
    ];
    let data = (0..200)
        .map(|n| file(&format!("data/part-{n:03}.json"), format!("{{\"n\": {n}}}\n").into_bytes(), None));
    let data = data
        .chain([readme("squad"), file("old/train.bin", noise(13, 2_000_000), Some(Storage::Lfs))])
        .collect();
    let space = vec![readme("hello"), file("app.py", b"print('hello')\n".to_vec(), None)];
    let repos = [
        (RepoKind::Model, format!("{user}/tiny-bert"), false, model),
        (RepoKind::Model, "gpt-tiny".to_owned(), false, vec![readme("gpt-tiny")]),
        (RepoKind::Model, "acme/gated".to_owned(), true, vec![readme("gated")]),
        (RepoKind::Dataset, format!("{user}/squad"), false, data),
        (RepoKind::Space, format!("{user}/hello"), false, space),
    ];
    for (kind, id, gated, files) in repos {
        let Some(repo) = hub.store.create_repo(kind, &id, false, gated, "")? else { continue };
        let failed = |error: HubError| anyhow::anyhow!("the demo repo {id} can't be filled: {error:?}");
        let commit = hub.commit_files(&repo, "main", files, Vec::new()).await.map_err(failed)?;
        hub.store.set_ref(&repo, "v1.0", true, &commit)?;
        let next = vec![file("CHANGES.md", b"Not released yet.\n".to_vec(), None)];
        hub.commit_files(&repo, "dev", next, Vec::new()).await.map_err(failed)?;
    }
    Ok(())
}

fn file(path: &str, content: Vec<u8>, storage: Option<Storage>) -> RepoContent {
    RepoContent { path: path.to_owned(), content, storage }
}

fn files() -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<(String, Vec<u8>)> = texts().map(|(path, text)| (path.into(), text.into())).into();
    files.extend(odd_names().map(|path| (path.to_string(), format!("The file {path}\n").into_bytes())));
    files.extend((0..SMALL_FILES).map(small_file));
    files.push(("weights/model-00001-of-00001.safetensors".into(), noise(1, BINARY)));
    files.push(("weights/adapter/delta.bin".into(), noise(2, 3_000_000)));
    files.push(("empty".into(), Vec::new()));
    files
}

fn texts() -> [(&'static str, &'static str); 5] {
    [
        ("README.md", "# A model\n\nThis bucket was made by `local-hub --demo`. Change it as you like.\n"),
        ("config.json", "{\n  \"model_type\": \"demo\",\n  \"hidden_size\": 4096\n}\n"),
        ("docs/guide.txt", "Read me in the mount.\n"),
        ("docs/deep/deeper/deepest/note.txt", "Far down.\n"),
        ("logs/2026/01/01/run.log", "step 1\nstep 2\nstep 3\n"),
    ]
}

/// Names that are hard to encode, or to tell from one another.
fn odd_names() -> [&'static str; 9] {
    [
        "odd names/with spaces in it.txt",
        "odd names/number # sign.txt",
        "odd names/100 % sure.txt",
        "odd names/a%20b is not a space.txt",
        "odd names/question?.txt",
        "odd names/rocket 🚀 emoji.txt",
        // é as one letter (NFC), and as e with a combining accent (NFD): two keys.
        "odd names/caf\u{e9} nfc.txt",
        "odd names/cafe\u{301} nfd.txt",
        "odd names/+plus & ampersand=equal;semicolon.txt",
    ]
}

fn small_file(number: u64) -> (String, Vec<u8>) {
    let length = usize::try_from(200 + number * 37 % 4000).unwrap_or(200);
    (format!("dataset/shard-{:02}/sample-{number:05}.bin", number / 100), noise(1000 + number, length))
}

/// Bytes that neither compress nor repeat, the same for the same seed everywhere.
fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}
