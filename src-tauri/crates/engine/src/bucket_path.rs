//! `OWNER/BUCKET[/PREFIX]`, or `models/OWNER/NAME[@REVISION][/PREFIX]`: what a person names to list, mount or serve.

use std::fmt;
use std::str::FromStr;

use hub::{RepoName, StoreName};

use crate::error::EngineError;

/// A bucket or a repo at a revision, or a folder in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BucketPath {
    pub bucket: StoreName,
    /// `""` or `a/b`: no slash at either end, no empty, `.` or `..` part.
    pub prefix: String,
}

impl BucketPath {
    /// What a file browser shows as the volume's name: the folder's name, else the bucket's.
    pub fn volume(&self) -> &str {
        match self.prefix.rsplit('/').next() {
            Some(last) if !last.is_empty() => last,
            _ => self.bucket.name(),
        }
    }
}

impl FromStr for BucketPath {
    type Err = EngineError;

    /// Takes `hf://buckets/OWNER/BUCKET/PREFIX`, the page's `buckets/…` and a repo's page on the Hub too.
    fn from_str(text: &str) -> Result<Self, EngineError> {
        let text = &from_page(text.trim());
        let text = text.trim_start_matches("hf://");
        if RepoName::is_meant_by(text) {
            let (repo, prefix) = RepoName::split(text)?;
            must_be_folder(&prefix)?;
            return Ok(BucketPath { bucket: repo.into(), prefix });
        }
        let bare = text.trim_start_matches("buckets/").trim_end_matches('/');
        let mut parts = bare.splitn(3, '/');
        let owner = parts.next().unwrap_or_default();
        let name = parts.next().unwrap_or_default();
        let prefix = parts.next().unwrap_or_default();
        let bucket = format!("{owner}/{name}").parse::<hub::BucketName>().map_err(|_| {
            EngineError::new(
                format!("“{text}” is not a bucket's name."),
                "Write it as OWNER/BUCKET or OWNER/BUCKET/FOLDER, for example alice/photos; a repo as models/OWNER/NAME.",
            )
        })?;
        must_be_folder(prefix)?;
        Ok(BucketPath { bucket: bucket.into(), prefix: prefix.to_owned() })
    }
}

fn must_be_folder(prefix: &str) -> Result<(), EngineError> {
    if prefix.is_empty() || !prefix.split('/').any(|part| matches!(part, "" | "." | "..")) {
        return Ok(());
    }
    Err(EngineError::new(
        format!("“{prefix}” cannot be a folder of a bucket."),
        "Write it without empty parts, “.” and “..”.",
    ))
}

/// What a browser's address bar shows of a repo or a bucket, as we write it; anything else as it is.
fn from_page(text: &str) -> String {
    let page =
        ["https://huggingface.co/", "https://hf.co/"].into_iter().find_map(|site| text.strip_prefix(site));
    let Some(page) = page else { return text.to_owned() };
    let page = page.split(['?', '#']).next().unwrap_or_default().trim_end_matches('/');
    if page.starts_with("buckets/") {
        return page.to_owned();
    }
    let (kind, rest) = match page.split_once('/') {
        Some((kind @ ("datasets" | "spaces" | "models"), rest)) => (kind, rest),
        _ => ("models", page),
    };
    let parts: Vec<&str> = rest.split('/').collect();
    let Some(at) = parts.iter().position(|part| matches!(*part, "tree" | "blob" | "resolve")) else {
        return format!("{kind}/{rest}");
    };
    let revision = parts.get(at + 1).map_or(String::new(), |revision| format!("@{revision}"));
    let below = parts.get(at + 2..).unwrap_or_default().join("/");
    format!("{kind}/{}{revision}/{below}", parts[..at].join("/"))
}

impl fmt::Display for BucketPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.bucket)?;
        // Without the @, a folder below a repo without an owner would be its name.
        if let StoreName::Repo(repo) = &self.bucket
            && !self.prefix.is_empty()
            && repo.owner.is_none()
            && repo.revision == "main"
        {
            f.write_str("@main")?;
        }
        if !self.prefix.is_empty() {
            write!(f, "/{}", self.prefix)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bucket_and_prefix() {
        for text in ["alice/photos/2024/summer", "hf://buckets/alice/photos/2024/summer/"] {
            let path: BucketPath = text.parse().unwrap();
            assert_eq!(path.to_string(), "alice/photos/2024/summer");
            assert_eq!((path.prefix.as_str(), path.volume()), ("2024/summer", "summer"));
        }
        let whole: BucketPath = "alice/photos".parse().unwrap();
        assert_eq!((whole.prefix.as_str(), whole.volume()), ("", "photos"));
    }

    #[test]
    fn repos_and_their_pages() {
        for (text, want) in [
            ("models/alice/bert", "models/alice/bert"),
            ("models/alice/bert@main", "models/alice/bert"),
            ("hf://datasets/alice/squad@v1/data", "datasets/alice/squad@v1/data"),
            ("https://huggingface.co/datasets/alice/squad/tree/v1/data", "datasets/alice/squad@v1/data"),
            ("https://huggingface.co/alice/bert", "models/alice/bert"),
            ("https://huggingface.co/alice/bert/tree/main?x=1", "models/alice/bert"),
            ("https://huggingface.co/buckets/alice/photos", "alice/photos"),
            ("models/gpt2", "models/gpt2"),
        ] {
            let path: BucketPath = text.parse().unwrap();
            assert_eq!(path.to_string(), want, "{text}");
            assert_eq!(path.to_string().parse::<BucketPath>().unwrap(), path, "{text}");
        }
        assert!("models/alice/bert/../x".parse::<BucketPath>().is_err());
    }

    #[test]
    fn what_is_no_path_is_refused_with_a_sentence() {
        for text in ["", "alice", "/photos", "alice/", "alice/photos/../x", "alice/p/a//b", "alice/p/."] {
            let error = text.parse::<BucketPath>().unwrap_err();
            assert!(error.advice.starts_with("Write it"), "{text}: {error}");
        }
    }
}
