//! Fetching an update, and what of it lies on this disk.
//!
//! Kept are the manifest, its signature and the archive, each whole or not at all. They are checked again at each use:
//! a folder of the person's own is written to by all their programs.

use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use sha2::{Digest, Sha256};
use url::Url;

use super::Source;
use super::manifest::{LONGEST, Manifest};

const MANIFEST: &str = "latest.json";
const SIGNATURE: &str = "latest.json.sig";
const ARCHIVE: &str = "BucketBar.app.tar.gz";
const CONNECT: Duration = Duration::from_secs(20);
/// Between two pieces of an answer.
const STALL: Duration = Duration::from_secs(60);

/// An update that is whole on this disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    pub manifest: Manifest,
    pub archive: PathBuf,
}

/// What is offered now, with its signature found good; it is kept only with its archive ([`take`]).
///
/// # Errors
/// A sentence, without an advice: the next look is the cure.
pub async fn look(source: &Source) -> Result<(Manifest, Vec<u8>, String), String> {
    let client = client(&source.url)?;
    let text = small(&client, &source.url).await?;
    let mut beside = source.url.clone();
    beside.set_path(&format!("{}.sig", source.url.path()));
    let signature = String::from_utf8(small(&client, &beside).await?)
        .map_err(|_| "the update's signature is not text".to_owned())?;
    let manifest = Manifest::open(&text, &signature, &source.key).map_err(|fault| fault.to_string())?;
    Ok((manifest, text, signature))
}

/// Brings the archive; on return all of it is kept, in place of an earlier one.
///
/// # Errors
/// A sentence.
pub async fn take(source: &Source, offer: (Manifest, Vec<u8>, String)) -> Result<Fetched, String> {
    let (manifest, text, signature) = offer;
    let url = Url::parse(&manifest.archive.url).map_err(|error| error.to_string())?;
    let client = client(&url)?;
    let wrong = |error: io::Error| format!("the update could not be kept ({error})");
    private(&source.folder).map_err(wrong)?;
    let part = source.folder.join("part");
    let mut file = fs::File::create(&part).map_err(wrong)?;
    let mut answer = get(&client, &url).await?;
    let (mut count, mut hash) = (0, Sha256::new());
    while let Some(piece) = answer.chunk().await.map_err(|error| error.to_string())? {
        count += piece.len() as u64;
        if count > manifest.archive.bytes {
            return Err("the update's archive is longer than it was said to be".to_owned());
        }
        hash.update(&piece);
        file.write_all(&piece).map_err(wrong)?;
    }
    if count != manifest.archive.bytes || hex(&hash.finalize()) != manifest.archive.sha256 {
        return Err("the update's archive is not the one that was signed".to_owned());
    }
    file.sync_all().map_err(wrong)?;
    drop(file);
    // The manifest last: without it there is no update.
    forget(&source.folder);
    let archive = source.folder.join(ARCHIVE);
    fs::rename(&part, &archive).map_err(wrong)?;
    fs::write(source.folder.join(SIGNATURE), signature).map_err(wrong)?;
    fs::write(source.folder.join(MANIFEST), text).map_err(wrong)?;
    Ok(Fetched { manifest, archive })
}

/// What was kept, checked as if it had just come; `None` when there is nothing good.
pub fn kept(source: &Source) -> Option<Fetched> {
    let text = fs::read(source.folder.join(MANIFEST)).ok()?;
    let signature = fs::read_to_string(source.folder.join(SIGNATURE)).ok()?;
    let manifest = Manifest::open(&text, &signature, &source.key).ok()?;
    let archive = source.folder.join(ARCHIVE);
    let (bytes, sha256) = measure(&archive).ok()?;
    (bytes == manifest.archive.bytes && sha256 == manifest.archive.sha256)
        .then_some(Fetched { manifest, archive })
}

/// Whatever was kept is gone.
pub fn forget(folder: &Path) {
    for name in [MANIFEST, SIGNATURE, ARCHIVE] {
        // Missing is as good; what cannot be removed is no update without the others.
        let _ = fs::remove_file(folder.join(name));
    }
}

fn measure(file: &Path) -> io::Result<(u64, String)> {
    let mut file = fs::File::open(file)?;
    let (mut count, mut hash, mut piece) = (0, Sha256::new(), vec![0; 1 << 20]);
    loop {
        match file.read(&mut piece)? {
            0 => return Ok((count, hex(&hash.finalize()))),
            read => {
                count += read as u64;
                hash.update(&piece[..read]);
            }
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn private(folder: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

/// Without any token or cookie. Redirects stay encrypted; plain HTTP only to this machine, for tests.
fn client(url: &Url) -> Result<reqwest::Client, String> {
    let here = matches!(url.host_str(), Some("127.0.0.1" | "localhost"));
    reqwest::Client::builder()
        .https_only(!here)
        .redirect(reqwest::redirect::Policy::limited(5))
        .connect_timeout(CONNECT)
        .read_timeout(STALL)
        .user_agent(concat!("BucketBar/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(|error| error.to_string())
}

async fn get(client: &reqwest::Client, url: &Url) -> Result<reqwest::Response, String> {
    let answer = client.get(url.clone()).send().await.map_err(|error| error.to_string())?;
    answer.error_for_status().map_err(|error| error.to_string())
}

async fn small(client: &reqwest::Client, url: &Url) -> Result<Vec<u8>, String> {
    let mut answer = get(client, url).await?;
    let mut bytes = Vec::new();
    while let Some(piece) = answer.chunk().await.map_err(|error| error.to_string())? {
        bytes.extend_from_slice(&piece);
        if bytes.len() as u64 > LONGEST {
            return Err("the update's description is too long".to_owned());
        }
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::super::manifest::{HEAD, Key};
    use super::*;

    /// A web server with these files, and what it was asked for.
    async fn serve(files: Vec<(&'static str, Vec<u8>)>) -> Url {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/latest.json", listener.local_addr().unwrap());
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut asked = vec![0; 4096];
                let count = stream.read(&mut asked).await.unwrap();
                let line = String::from_utf8_lossy(&asked[..count]).into_owned();
                let path = line.split(' ').nth(1).unwrap_or_default().trim_start_matches('/').to_owned();
                let (status, body) = match files.iter().find(|(name, _)| *name == path) {
                    Some((_, body)) => ("200 OK", body.as_slice()),
                    None => ("404 Not Found", &b""[..]),
                };
                let head = format!(
                    "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                    body.len()
                );
                stream.write_all(head.as_bytes()).await.unwrap();
                stream.write_all(body).await.unwrap();
            }
        });
        url.parse().unwrap()
    }

    /// A site that offers `said`, signed, and gives `archive`.
    async fn site(said: &[u8], archive: &[u8]) -> (tempfile::TempDir, Source) {
        let pair = Ed25519KeyPair::from_seed_unchecked(&[3; 32]).unwrap();
        let key = Key::parse(&STANDARD.encode(pair.public_key().as_ref())).unwrap();
        let files = serve(vec![("a.app.tar.gz", archive.to_vec())]).await;
        let manifest = serde_json::json!({
            "version": "0.2.0", "minimum_macos": "13.0",
            "archive": {
                "url": files.join("a.app.tar.gz").unwrap().as_str(),
                "bytes": said.len(), "sha256": hex(&Sha256::digest(said)),
            },
        });
        let text = serde_json::to_vec(&manifest).unwrap();
        let signature = STANDARD.encode(pair.sign(&[HEAD, &text].concat()).as_ref());
        let url = serve(vec![("latest.json", text), ("latest.json.sig", signature.into_bytes())]).await;
        let folder = tempfile::tempdir().unwrap();
        let source = Source { url, key, folder: folder.path().join("updates") };
        (folder, source)
    }

    #[tokio::test]
    async fn what_was_signed_is_fetched_kept_and_found_again_until_somebody_touches_it() {
        let (_folder, source) = site(b"an app", b"an app").await;
        assert_eq!(kept(&source), None);
        let offer = look(&source).await.unwrap();
        let fetched = take(&source, offer).await.unwrap();
        assert_eq!(fs::read(&fetched.archive).unwrap(), b"an app");
        assert_eq!(kept(&source), Some(fetched.clone()));
        fs::write(&fetched.archive, b"an ape").unwrap();
        assert_eq!(kept(&source), None, "another archive of the same length");
        fs::write(&fetched.archive, b"an app").unwrap();
        let manifest = source.folder.join(MANIFEST);
        let text = fs::read_to_string(&manifest).unwrap();
        fs::write(&manifest, text.replace("0.2.0", "9.2.0")).unwrap();
        assert_eq!(kept(&source), None, "another manifest");
        forget(&source.folder);
        assert!(!fetched.archive.exists());
    }

    #[tokio::test]
    async fn an_archive_that_is_not_the_signed_one_is_not_kept() {
        for given in [&b"an ape"[..], b"an app and more", b"an a", b""] {
            let (_folder, source) = site(b"an app", given).await;
            let offer = look(&source).await.unwrap();
            assert!(take(&source, offer).await.is_err(), "{given:?}");
            assert_eq!(kept(&source), None);
        }
    }

    #[tokio::test]
    async fn nothing_is_believed_without_a_good_signature() {
        let (_folder, mut source) = site(b"an app", b"an app").await;
        source.key = Key::parse(&STANDARD.encode([1; 32])).unwrap();
        assert!(look(&source).await.unwrap_err().contains("signature"));
        source.url = source.url.join("nothing.json").unwrap();
        assert!(look(&source).await.is_err());
    }
}
