//! `models/OWNER/NAME@REVISION`: a repo of the Hub as it is at a branch, a tag or a commit. A repo is only read here.

use std::fmt;
use std::str::FromStr;

use percent_encoding::percent_decode_str;

use crate::address;
use crate::bucket_name::is_word;
use crate::error::{ErrorClass, HubError};

/// What is read when nobody names a revision; every repo of the Hub has it.
const MAIN: &str = "main";

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RepoKind {
    Model,
    Dataset,
    Space,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RepoName {
    pub kind: RepoKind,
    /// The oldest models have none: `models/gpt2`.
    pub owner: Option<String>,
    pub name: String,
    /// A branch, a tag, a commit, or a reference like `refs/pr/1`.
    pub revision: String,
}

impl RepoKind {
    pub const ALL: [RepoKind; 3] = [RepoKind::Model, RepoKind::Dataset, RepoKind::Space];

    /// `models`: in the API's addresses and in ours.
    pub fn plural(self) -> &'static str {
        match self {
            RepoKind::Model => "models",
            RepoKind::Dataset => "datasets",
            RepoKind::Space => "spaces",
        }
    }

    /// `model`: in a sentence and in the API's bodies.
    pub fn singular(self) -> &'static str {
        match self {
            RepoKind::Model => "model",
            RepoKind::Dataset => "dataset",
            RepoKind::Space => "space",
        }
    }

    fn of_plural(text: &str) -> Option<RepoKind> {
        RepoKind::ALL.into_iter().find(|kind| kind.plural() == text)
    }
}

impl RepoName {
    /// `owner/name`, or the bare name of a repo without an owner.
    pub fn id(&self) -> String {
        match &self.owner {
            Some(owner) => format!("{owner}/{}", self.name),
            None => self.name.clone(),
        }
    }

    /// The same repo at another revision.
    pub fn at(&self, revision: impl Into<String>) -> RepoName {
        RepoName { revision: revision.into(), ..self.clone() }
    }

    /// `models/alice/bert`: without the revision.
    pub fn bare(&self) -> String {
        format!("{}/{}", self.kind.plural(), self.id())
    }

    /// Whether `text` means a repo, well written or not.
    pub fn is_meant_by(text: &str) -> bool {
        text.split_once('/').is_some_and(|(first, _)| RepoKind::of_plural(first).is_some())
    }

    /// Takes a repo's name off the beginning of `text`; gives what follows it, without a slash at either end.
    ///
    /// `models/alice/bert@v1/onnx` is the folder `onnx`. A revision ends at the next slash (write one of its own as
    /// `%2F`), but for `refs/pr/1` and `refs/convert/parquet`.
    ///
    /// # Errors
    /// `Rejected` when it is no repo's name, with how to write one.
    pub fn split(text: &str) -> Result<(RepoName, String), HubError> {
        let refused = || {
            HubError::new(ErrorClass::Rejected, format!("“{text}” is not a repo's name."))
                .with_advice("Write it as models/OWNER/NAME, datasets/OWNER/NAME or spaces/OWNER/NAME, with @REVISION behind it for another one than main.")
        };
        let (kind, rest) = text.trim().trim_end_matches('/').split_once('/').ok_or_else(refused)?;
        let kind = RepoKind::of_plural(kind).ok_or_else(refused)?;
        let (id, revision, below) = match at_sign(rest) {
            Some((id, tail)) => {
                let (revision, below) = split_revision(tail);
                (id, revision, below)
            }
            None => {
                let second = rest.find('/').map(|first| first + 1);
                let end = second.and_then(|second| Some(second + rest[second..].find('/')?));
                let (id, below) = end.map_or((rest, ""), |end| (&rest[..end], &rest[end + 1..]));
                (id, MAIN.to_owned(), below)
            }
        };
        let (owner, name) = match id.split_once('/') {
            Some((owner, name)) => (Some(owner), name),
            None => (None, id),
        };
        if !owner.is_none_or(is_word) || !is_word(name) {
            return Err(refused());
        }
        if !is_revision(&revision) {
            return Err(HubError::new(
                ErrorClass::Rejected,
                format!("“{revision}” cannot be a branch, a tag or a commit."),
            )
            .with_advice("Write it as the Hub shows it, behind an @; main is taken when there is none."));
        }
        let repo = RepoName { kind, owner: owner.map(str::to_owned), name: name.to_owned(), revision };
        Ok((repo, below.trim_matches('/').to_owned()))
    }

    /// `/api/models/alice/bert` + `tail`.
    pub(crate) fn api(&self, tail: &str) -> String {
        format!("/api/{}{tail}", self.bare())
    }

    /// Where `path` is read as it was at `commit`; `None` for what no path can be.
    pub(crate) fn resolve(&self, commit: &str, path: &str) -> Option<String> {
        let kind = match self.kind {
            RepoKind::Model => String::new(),
            other => format!("/{}", other.plural()),
        };
        Some(format!("{kind}/{}/resolve/{}/{}", self.id(), address::segment(commit), address::path(path)?))
    }

    /// Whether the revision is a commit's full name, which never means anything else.
    pub(crate) fn is_commit(&self) -> bool {
        self.revision.len() == 40 && self.revision.bytes().all(|b| b.is_ascii_hexdigit())
    }
}

/// The `@` behind the id, which is within its first two parts: folders have `@` in their names, too.
fn at_sign(rest: &str) -> Option<(&str, &str)> {
    let (id, tail) = rest.split_once('@')?;
    (id.matches('/').count() <= 1).then_some((id, tail))
}

fn split_revision(tail: &str) -> (String, &str) {
    let special = ["refs/pr/", "refs/convert/"].into_iter().find(|special| tail.starts_with(special));
    let from = special.map_or(0, str::len);
    let end = tail[from..].find('/').map_or(tail.len(), |slash| from + slash);
    let revision = percent_decode_str(&tail[..end]).decode_utf8_lossy().into_owned();
    (revision, tail[end..].trim_start_matches('/'))
}

/// What git takes as a reference's name; keeps `..` and `?` out of addresses.
fn is_revision(text: &str) -> bool {
    let odd = |c: char| c.is_control() || c.is_whitespace() || "~^:?*[\\".contains(c);
    !text.is_empty()
        && text.len() <= 250
        && !text.contains("..")
        && !text.contains(odd)
        && text.split('/').all(|part| !part.is_empty() && !part.starts_with('.'))
}

impl FromStr for RepoName {
    type Err = HubError;

    fn from_str(text: &str) -> Result<RepoName, HubError> {
        let (repo, below) = RepoName::split(text)?;
        if below.is_empty() {
            return Ok(repo);
        }
        Err(HubError::new(ErrorClass::Rejected, format!("“{text}” is a folder of a repo, not a repo.")))
    }
}

impl fmt::Display for RepoName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.bare())?;
        let special = self.revision.starts_with("refs/pr/") || self.revision.starts_with("refs/convert/");
        match self.revision.as_str() {
            MAIN => Ok(()),
            revision if special => write!(f, "@{revision}"),
            revision => write!(f, "@{}", revision.replace('%', "%25").replace('/', "%2F")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repo_its_revision_and_a_folder_come_apart_and_together_again() {
        for (text, id, revision, below) in [
            ("models/alice/bert", "alice/bert", "main", ""),
            ("models/alice/bert/onnx/fp16", "alice/bert", "main", "onnx/fp16"),
            ("datasets/alice/sq@v1.0", "alice/sq", "v1.0", ""),
            ("datasets/alice/sq@v1.0/data/", "alice/sq", "v1.0", "data"),
            ("spaces/alice/app@feature%2Fnew/src", "alice/app", "feature/new", "src"),
            ("models/alice/bert@refs/pr/12/onnx", "alice/bert", "refs/pr/12", "onnx"),
            ("datasets/alice/sq@refs/convert/parquet", "alice/sq", "refs/convert/parquet", ""),
            ("models/gpt2", "gpt2", "main", ""),
            ("models/gpt2@main/onnx", "gpt2", "main", "onnx"),
            ("models/alice/bert/a@b/c", "alice/bert", "main", "a@b/c"),
        ] {
            let (repo, rest) = RepoName::split(text).unwrap();
            assert_eq!(
                (repo.id().as_str(), repo.revision.as_str(), rest.as_str()),
                (id, revision, below),
                "{text}"
            );
            assert_eq!(repo.to_string().parse::<RepoName>().unwrap(), repo, "{text}");
        }
    }

    #[test]
    fn what_would_change_an_address_is_refused() {
        for text in [
            "models",
            "models/",
            "models//x",
            "models/../x",
            "models/a/..",
            "models/a/b@",
            "models/a/b@..",
            "models/a/b@a b",
            "models/a/b@x?y",
            "buckets/a/b",
            "models/a%2Fb",
            "models/a/b@%00",
        ] {
            assert!(RepoName::split(text).is_err(), "{text}");
        }
    }

    #[test]
    fn files_are_read_where_each_kind_keeps_them() {
        let path = |text: &str| RepoName::split(text).unwrap().0.resolve("abc", "a b/c#").unwrap();
        assert_eq!(path("models/alice/bert"), "/alice/bert/resolve/abc/a%20b/c%23");
        assert_eq!(path("models/gpt2"), "/gpt2/resolve/abc/a%20b/c%23");
        assert_eq!(path("datasets/alice/sq"), "/datasets/alice/sq/resolve/abc/a%20b/c%23");
    }
}
