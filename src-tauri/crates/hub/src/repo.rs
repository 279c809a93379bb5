//! Repos: which there are, which branches and tags one has, and which commit of one is shown.
//!
//! A branch is followed: whoever asks [`Bucket::info`] moves it on to the commit the branch means now. A tag and a
//! commit stay what they were when they were first asked about. Commits shown before are kept in mind, because files
//! outside Xet can be read by commit and path only (`blob`).

use std::collections::VecDeque;

use parking_lot::Mutex;
use serde::Deserialize;

use crate::address::segment;
use crate::bucket::Bucket;
use crate::error::{ErrorClass, HubError};
use crate::http::Call;
use crate::hub::{BucketInfo, Hub};
use crate::repo_name::{RepoKind, RepoName};
use crate::trail::Trail;
use crate::tree::milliseconds;

/// Commits that were shown before the one that is.
const FORMER: usize = 32;

/// The commit of a repo that is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit {
    pub sha: String,
    /// When the repo last changed; stands for its files' times, which the Hub does not tell in a listing.
    pub at_ms: Option<i64>,
    /// A tag's or a commit's: no other will take its place.
    pub frozen: bool,
}

/// The names of a repo's revisions, in the Hub's order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Refs {
    pub branches: Vec<String>,
    pub tags: Vec<String>,
}

/// A repo in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RepoRow {
    pub name: RepoName,
    pub private: bool,
    /// Only who has accepted its terms may read it.
    pub gated: bool,
}

#[derive(Default)]
pub(crate) struct Following(Mutex<Known>);

#[derive(Default)]
struct Known {
    now: Option<Commit>,
    /// The latest first.
    former: VecDeque<String>,
}

impl Following {
    fn show(&self, commit: Commit) {
        let mut known = self.0.lock();
        known.former.retain(|sha| *sha != commit.sha);
        if let Some(before) = known.now.replace(commit.clone()).filter(|before| before.sha != commit.sha) {
            known.former.push_front(before.sha);
            known.former.truncate(FORMER);
        }
    }

    fn remember(&self, sha: String) {
        let mut known = self.0.lock();
        if !known.former.contains(&sha) && known.now.as_ref().is_none_or(|now| now.sha != sha) {
            known.former.push_back(sha);
            known.former.truncate(FORMER);
        }
    }
}

impl Bucket {
    /// Of a repo, the commit that is shown; `None` of a bucket, and before the Hub was first asked.
    pub fn commit(&self) -> Option<Commit> {
        self.state.following.0.lock().now.clone()
    }

    /// A commit that an earlier life showed: what was listed then can be read although nobody has asked the Hub yet.
    pub fn remember_commit(&self, sha: &str) {
        self.state.following.remember(sha.to_owned());
    }

    /// Of a repo, the commit that is shown; asks the Hub when none is yet.
    pub(crate) async fn shown_commit(&self) -> Result<Commit, HubError> {
        if let Some(commit) = self.commit() {
            return Ok(commit);
        }
        self.info().await?;
        self.commit().ok_or_else(|| HubError::broken(format!("{} has no commit", self.name())))
    }

    /// Commits in which a file may be found: the one shown, then the ones before it.
    pub(crate) async fn commits(&self) -> Result<Vec<String>, HubError> {
        let shown = self.shown_commit().await?;
        let known = self.state.following.0.lock();
        Ok([shown.sha].into_iter().chain(known.former.iter().cloned()).collect())
    }

    pub(crate) async fn repo_info(&self, repo: &RepoName) -> Result<BucketInfo, HubError> {
        let known = self.commit();
        let revision = match &known {
            Some(commit) if commit.frozen => &commit.sha,
            _ => &repo.revision,
        };
        let wire = self.look_up(repo, revision).await?;
        let sha = wire.sha.ok_or_else(|| {
            HubError::new(ErrorClass::NotFound, format!("{} has no commit yet", repo.bare()))
                .with_advice("Mount it when something has been put into it.")
        })?;
        let at_ms = wire.last_modified.as_deref().and_then(milliseconds);
        let frozen = match &known {
            Some(commit) => commit.frozen,
            None => {
                if is_gated(&wire.gated) {
                    self.check_gate(repo).await?;
                }
                self.cannot_move(repo, &sha).await
            }
        };
        self.state.following.show(Commit { sha: sha.clone(), at_ms, frozen });
        Ok(BucketInfo {
            id: repo.to_string(),
            private: wire.private,
            created_at: None,
            updated_at: Some(sha),
            size: wire.used_storage.unwrap_or(0),
            total_files: 0,
        })
    }

    /// Only what is needed: the whole answer names every file of the repo.
    async fn look_up(&self, repo: &RepoName, revision: &str) -> Result<WireRepo, HubError> {
        let failure = format!("Looking up {} failed", self.name());
        let address = repo.api(&format!("/revision/{}", segment(revision)));
        // A Space has no gate to ask about, and the Hub refuses the question.
        let gated = if repo.kind == RepoKind::Space { "" } else { "&expand=gated" };
        let brief =
            format!("{address}?expand=sha&expand=lastModified&expand=private&expand=usedStorage{gated}");
        let http = &self.state.http;
        match http.send(Call::get(http.url(&brief)?, failure.clone())).await {
            Err(error) if error.status == Some(400) => {
                http.send(Call::get(http.url(&address)?, failure)).await?.json()
            }
            answer => answer?.json(),
        }
    }

    /// Names and listings of a gated repo are for all, its contents are not: said now rather than at the first read.
    async fn check_gate(&self, repo: &RepoName) -> Result<(), HubError> {
        let failure = format!("Reading {} failed", repo.bare());
        match self.state.http.send(Call::get(self.url("/auth-check")?, failure)).await {
            Err(error) if matches!(error.class, ErrorClass::Forbidden | ErrorClass::SignIn) => Err(error),
            // Whoever has no answer to that says so at the first read.
            _ => Ok(()),
        }
    }

    async fn cannot_move(&self, repo: &RepoName, sha: &str) -> bool {
        let revision = repo.revision.as_str();
        let shortened = revision.len() >= 7 && sha.starts_with(revision);
        if repo.is_commit() || shortened {
            return true;
        }
        if revision == "main" || revision.starts_with("refs/") {
            return false;
        }
        match self.refs().await {
            Ok(refs) => {
                let has = |names: &[String]| names.iter().any(|name| name == revision);
                has(&refs.tags) && !has(&refs.branches)
            }
            Err(error) => {
                tracing::info!(%error, "taken for a branch");
                false
            }
        }
    }

    /// A repo's branches and tags; a bucket has none.
    pub async fn refs(&self) -> Result<Refs, HubError> {
        let failure = format!("Listing the revisions of {} failed", self.name());
        if !self.is_read_only() {
            return Ok(Refs::default());
        }
        let wire: WireRefs = self.state.http.send(Call::get(self.url("/refs")?, failure)).await?.json()?;
        let names = |refs: Vec<WireRef>| refs.into_iter().map(|one| one.name).collect();
        Ok(Refs { branches: names(wire.branches), tags: names(wire.tags) })
    }
}

impl Hub {
    /// The repos of one kind that `owner` has and this account may see, by name.
    pub async fn list_repos(&self, kind: RepoKind, owner: &str) -> Result<Vec<RepoRow>, HubError> {
        let failure = format!("Listing the {} of {owner} failed", kind.plural());
        let mut next = Some(self.http.url(&format!("/api/{}?author={}", kind.plural(), segment(owner)))?);
        let mut trail = Trail::new(&self.http.config.limits, failure.clone());
        let mut found = Vec::new();
        while let Some(url) = next {
            trail.leave(&url)?;
            let answer = self.http.send(Call::get(url, failure.clone())).await?;
            let page: Vec<WireRow> = answer.json()?;
            // One with a name that is none is left out.
            found.extend(page.into_iter().filter_map(|row| row.into_row(kind)));
            next = trail.next(&answer)?;
        }
        found.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(found)
    }
}

/// `false`, or how the gate opens (`"auto"`, `"manual"`).
fn is_gated(gated: &serde_json::Value) -> bool {
    gated.as_str().is_some() || gated.as_bool() == Some(true)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireRepo {
    sha: Option<String>,
    last_modified: Option<String>,
    #[serde(default)]
    private: bool,
    #[serde(default)]
    gated: serde_json::Value,
    used_storage: Option<u64>,
}

#[derive(Deserialize)]
struct WireRow {
    id: String,
    #[serde(default)]
    private: bool,
    #[serde(default)]
    gated: serde_json::Value,
}

impl WireRow {
    fn into_row(self, kind: RepoKind) -> Option<RepoRow> {
        let name = format!("{}/{}", kind.plural(), self.id).parse().ok()?;
        Some(RepoRow { name, private: self.private, gated: is_gated(&self.gated) })
    }
}

#[derive(Deserialize)]
struct WireRefs {
    #[serde(default)]
    branches: Vec<WireRef>,
    #[serde(default)]
    tags: Vec<WireRef>,
}

#[derive(Deserialize)]
struct WireRef {
    name: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commits_shown_before_stay_known_the_latest_first() {
        let following = Following::default();
        let commit = |sha: &str| Commit { sha: sha.to_owned(), at_ms: None, frozen: false };
        following.remember("old".to_owned());
        for sha in ["a", "b", "b", "c", "a"] {
            following.show(commit(sha));
        }
        let known = following.0.lock();
        assert_eq!(known.now, Some(commit("a")));
        assert_eq!(known.former, ["c", "b", "old"]);
    }
}
