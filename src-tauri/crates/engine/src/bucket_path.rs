//! `OWNER/BUCKET[/PREFIX]`: what a person names to list, mount or serve.

use std::fmt;
use std::str::FromStr;

use hub::BucketName;

use crate::error::EngineError;

/// A bucket, or a folder in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BucketPath {
    pub bucket: BucketName,
    /// `""` or `a/b`: no slash at either end, no empty, `.` or `..` part.
    pub prefix: String,
}

impl BucketPath {
    /// What a file browser shows as the volume's name: the folder's name, else the bucket's.
    pub fn volume(&self) -> &str {
        match self.prefix.rsplit('/').next() {
            Some(last) if !last.is_empty() => last,
            _ => &self.bucket.name,
        }
    }
}

impl FromStr for BucketPath {
    type Err = EngineError;

    /// Takes `hf://buckets/OWNER/BUCKET/PREFIX` and the page's `buckets/…` too.
    fn from_str(text: &str) -> Result<Self, EngineError> {
        let bare = text.trim().trim_start_matches("hf://").trim_start_matches("buckets/");
        let bare = bare.trim_end_matches('/');
        let mut parts = bare.splitn(3, '/');
        let owner = parts.next().unwrap_or_default();
        let name = parts.next().unwrap_or_default();
        let prefix = parts.next().unwrap_or_default();
        let bucket = format!("{owner}/{name}").parse().map_err(|_| {
            EngineError::new(
                format!("“{text}” is not a bucket's name."),
                "Write it as OWNER/BUCKET or OWNER/BUCKET/FOLDER, for example alice/photos.",
            )
        })?;
        if !prefix.is_empty() && prefix.split('/').any(|part| matches!(part, "" | "." | "..")) {
            return Err(EngineError::new(
                format!("“{prefix}” cannot be a folder of a bucket."),
                "Write it without empty parts, “.” and “..”.",
            ));
        }
        Ok(BucketPath { bucket, prefix: prefix.to_owned() })
    }
}

impl fmt::Display for BucketPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.bucket)?;
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
    fn what_is_no_path_is_refused_with_a_sentence() {
        for text in ["", "alice", "/photos", "alice/", "alice/photos/../x", "alice/p/a//b", "alice/p/."] {
            let error = text.parse::<BucketPath>().unwrap_err();
            assert!(error.advice.starts_with("Write it"), "{text}: {error}");
        }
    }
}
