//! What a support person would ask, checked: this machine, the sign-in, the Hub, every bucket's state.
//!
//! [`facts`] looks and changes nothing (but a sign-in that is about to end is renewed, as by any command);
//! every look has a deadline. [`verdicts`] judges: pure functions from a fact to a [`Check`]. No token gets
//! into either.

mod facts;
mod verdicts;

use serde::Serialize;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    Ok,
    /// Worth knowing; works all the same.
    Note,
    /// Something does not work, or bytes are in danger.
    Problem,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    pub name: String,
    pub level: Level,
    /// One sentence what was found.
    pub found: String,
    /// One sentence what to do; empty when nothing is.
    pub advice: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    pub version: String,
    pub checks: Vec<Check>,
}

impl Report {
    /// No check found a problem.
    pub fn is_healthy(&self) -> bool {
        self.count(Level::Problem) == 0
    }

    /// "2 problems, 1 note."
    pub fn summary(&self) -> String {
        let of = |level, word: &str| {
            let count = self.count(level);
            format!("{count} {word}{}", if count == 1 { "" } else { "s" })
        };
        match (self.count(Level::Problem), self.count(Level::Note)) {
            (0, 0) => "No problem was found.".to_owned(),
            (0, _) => format!("No problem was found, {}.", of(Level::Note, "note")),
            _ => format!("{}, {}.", of(Level::Problem, "problem"), of(Level::Note, "note")),
        }
    }

    fn count(&self, level: Level) -> usize {
        self.checks.iter().filter(|check| check.level == level).count()
    }
}

impl Check {
    fn ok(name: impl Into<String>, found: impl Into<String>) -> Check {
        Check { name: name.into(), level: Level::Ok, found: found.into(), advice: String::new() }
    }

    fn note(name: impl Into<String>, found: impl Into<String>, advice: impl Into<String>) -> Check {
        Check { level: Level::Note, advice: advice.into(), ..Check::ok(name, found) }
    }

    fn problem(name: impl Into<String>, found: impl Into<String>, advice: impl Into<String>) -> Check {
        Check { level: Level::Problem, ..Check::note(name, found, advice) }
    }
}

/// Looks at everything and judges it, one look after the other, each with a deadline of its own.
pub async fn examine() -> Report {
    let mut checks = vec![
        Check::ok("BucketBar", format!("Version {}.", env!("CARGO_PKG_VERSION"))),
        Check::ok("System", facts::system().await),
    ];
    checks.extend(verdicts::state_folder(&facts::state_folder().await));
    checks.push(verdicts::logs(facts::logs()));
    checks.push(verdicts::open_files(facts::open_files()));
    checks.push(verdicts::ports(&facts::ports()));
    checks.push(verdicts::nfs_client(facts::nfs_client().await));
    checks.push(verdicts::keeper(&facts::keeper().await));
    checks.push(verdicts::helper(&facts::helper().await));
    checks.extend(verdicts::hub(&facts::hub().await));
    let buckets = facts::buckets().await;
    checks.extend(buckets.iter().flat_map(verdicts::bucket));
    checks.extend(verdicts::mounts(&facts::mounts(&buckets).await));
    Report { version: env!("CARGO_PKG_VERSION").to_owned(), checks }
}
