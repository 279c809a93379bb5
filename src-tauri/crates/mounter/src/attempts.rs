//! How a bucket can be mounted here and now: decided by facts, not by hope, before anything is tried.
//!
//! ```text
//! macOS, helper ready      /Volumes/NAME by the helper; if that fails, the person's folder
//! macOS, helper not ready  the person's folder (no root is needed, macos-nfs.md A5); one line says what is missing
//! Linux, root              the person's folder
//! Linux, anybody else      by the helper; without it nobody but root may mount
//! ```

use std::path::{Path, PathBuf};

use helper::Os;

use crate::error::{MountError, Reason};
use crate::helper_client::HelperState;

/// What the decision depends on.
#[derive(Debug, Clone)]
pub struct Facts {
    pub os: Os,
    pub is_root: bool,
    pub helper: HelperState,
    /// Where the person wants mounts when they are not volumes; `~/Buckets` unless set.
    pub folder: PathBuf,
}

/// One way of mounting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Attempt {
    /// The helper makes a volume.
    Volume,
    /// In a folder of this name below it, made by us.
    Folder(PathBuf),
}

/// What to try, in this order, and what to tell the person once about the helper.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    pub attempts: Vec<Attempt>,
    pub hint: Option<String>,
}

/// # Errors
/// When there is no way at all: the sentence says what would make one.
pub fn plan(facts: &Facts) -> Result<Plan, MountError> {
    let folder = || Attempt::Folder(facts.folder.clone());
    match (facts.os, &facts.helper) {
        (Os::Linux, _) if facts.is_root => Ok(Plan { attempts: vec![folder()], hint: None }),
        (Os::Linux, HelperState::Ready) => Ok(Plan { attempts: vec![Attempt::Volume], hint: None }),
        (Os::Linux, state) => Err(MountError::new(
            Reason::NotPermitted,
            "On Linux only root may mount, and BucketBar's helper, which does it for others, is not ready.",
            format!("{} Or mount as root: sudo bucketbarctl mount …", cure(facts.os, state)),
        )),
        (Os::MacOs, _) if facts.is_root => Ok(Plan { attempts: vec![folder()], hint: None }),
        (Os::MacOs, HelperState::Ready) => Ok(Plan { attempts: vec![Attempt::Volume, folder()], hint: None }),
        (Os::MacOs, state) => {
            let hint = format!(
                "Mounted in {}. With the helper it would be a volume of its own in Finder. {}",
                facts.folder.display(),
                cure(facts.os, state)
            );
            Ok(Plan { attempts: vec![folder()], hint: Some(hint) })
        }
    }
}

/// The one step that makes the helper ready.
pub fn cure(os: Os, state: &HelperState) -> String {
    match (os, state) {
        (_, HelperState::Ready) => String::new(),
        (Os::MacOs, HelperState::Absent) => "Switch it on in BucketBar's Settings.".to_owned(),
        (Os::MacOs, HelperState::NeedsApproval) => {
            "Allow BucketBar in System Settings, General, Login Items & Extensions.".to_owned()
        }
        (Os::MacOs, HelperState::TooOld | HelperState::TooNew) => {
            "It is of another version than the app: quit BucketBar and open it again.".to_owned()
        }
        (Os::MacOs, HelperState::Silent(why)) => {
            format!("It does not answer ({}): switch it off and on in BucketBar's Settings.", trim(why))
        }
        (Os::Linux, HelperState::Silent(why)) => {
            format!("It does not answer ({}): restart bucketbar-helper.", trim(why))
        }
        (Os::Linux, HelperState::TooOld | HelperState::TooNew) => {
            "It is of another version: install both anew and restart bucketbar-helper.".to_owned()
        }
        (Os::Linux, _) => "Start it as root: bucketbar-helper.".to_owned(),
    }
}

fn trim(sentence: &str) -> &str {
    sentence.trim_end_matches('.')
}

/// `~/Buckets`, where mounts go that are not volumes.
pub fn default_folder(home: &Path) -> PathBuf {
    home.join("Buckets")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(os: Os, is_root: bool, helper: HelperState) -> Facts {
        Facts { os, is_root, helper, folder: default_folder(Path::new("/Users/ann")) }
    }

    fn all_states() -> Vec<HelperState> {
        vec![
            HelperState::Absent,
            HelperState::NeedsApproval,
            HelperState::TooOld,
            HelperState::TooNew,
            HelperState::Silent("It did not answer in time.".into()),
        ]
    }

    #[test]
    fn with_the_helper_a_volume_first_then_the_folder() {
        let plan = plan(&facts(Os::MacOs, false, HelperState::Ready)).unwrap();
        assert_eq!(plan.attempts, [Attempt::Volume, Attempt::Folder("/Users/ann/Buckets".into())]);
        assert_eq!(plan.hint, None);
    }

    #[test]
    fn without_it_the_folder_and_one_line_on_how_to_get_it() {
        let mut hints = std::collections::HashSet::new();
        for state in all_states() {
            let plan = plan(&facts(Os::MacOs, false, state.clone())).unwrap();
            assert_eq!(plan.attempts, [Attempt::Folder("/Users/ann/Buckets".into())]);
            let hint = plan.hint.unwrap();
            assert!(
                hint.contains("volume of its own") && !hint.contains('\n') && !hint.contains(".."),
                "{hint}"
            );
            hints.insert(hint);
        }
        assert_eq!(hints.len(), 4, "the two wrong versions share one");
    }

    #[test]
    fn on_linux_root_needs_no_helper_and_others_cannot_do_without() {
        for state in all_states() {
            let root = plan(&facts(Os::Linux, true, state.clone())).unwrap();
            assert_eq!(root.attempts, [Attempt::Folder("/Users/ann/Buckets".into())]);
            let error = plan(&facts(Os::Linux, false, state)).unwrap_err();
            assert_eq!(error.reason, Reason::NotPermitted);
            assert!(error.advice.contains("sudo"), "{error}");
        }
        let plan = plan(&facts(Os::Linux, false, HelperState::Ready)).unwrap();
        assert_eq!(plan.attempts, [Attempt::Volume]);
    }
}
