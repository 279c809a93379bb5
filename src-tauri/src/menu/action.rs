//! What a click on a line of the menu means, and the id that carries it there and back.

use crate::page::Page;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Mount it if it is not, and open it.
    Bucket(String),
    Reveal(String),
    Unmount(String),
    ReadOnly(String),
    SyncNow(String),
    /// What of it is kept offline, and more.
    KeepOffline(String),
    /// Minutes; without: until resumed.
    Pause(Option<u32>),
    Resume,
    Open(Page),
    SignOut(String),
    RefreshBuckets,
    CopyDiagnostics,
    Quit,
}

impl Action {
    pub fn id(&self) -> String {
        match self {
            Action::Bucket(bucket) => format!("bucket:{bucket}"),
            Action::Reveal(bucket) => format!("reveal:{bucket}"),
            Action::Unmount(bucket) => format!("unmount:{bucket}"),
            Action::ReadOnly(bucket) => format!("read-only:{bucket}"),
            Action::SyncNow(bucket) => format!("sync:{bucket}"),
            Action::KeepOffline(bucket) => format!("keep-offline:{bucket}"),
            Action::Pause(None) => "pause:".into(),
            Action::Pause(Some(minutes)) => format!("pause:{minutes}"),
            Action::Resume => "resume".into(),
            Action::Open(page) => format!("open:{}", page.name()),
            Action::SignOut(account) => format!("sign-out:{account}"),
            Action::RefreshBuckets => "refresh".into(),
            Action::CopyDiagnostics => "diagnostics".into(),
            Action::Quit => "quit".into(),
        }
    }

    /// `None` for a line that does nothing. `open-bucket:` is the same as `bucket:` (the line in the submenu), and
    /// `status` the state line, which opens the Activity.
    pub fn of_id(id: &str) -> Option<Action> {
        let (verb, rest) = id.split_once(':').unwrap_or((id, ""));
        let of = || rest.to_owned();
        Some(match verb {
            "bucket" | "open-bucket" => Action::Bucket(of()),
            "reveal" => Action::Reveal(of()),
            "unmount" => Action::Unmount(of()),
            "read-only" => Action::ReadOnly(of()),
            "sync" => Action::SyncNow(of()),
            "keep-offline" => Action::KeepOffline(of()),
            "pause" if rest.is_empty() => Action::Pause(None),
            "pause" => Action::Pause(Some(rest.parse().ok()?)),
            "resume" => Action::Resume,
            "open" => Action::Open(Page::of_name(rest)?),
            "status" => Action::Open(Page::Activity),
            "sign-out" => Action::SignOut(of()),
            "refresh" => Action::RefreshBuckets,
            "diagnostics" => Action::CopyDiagnostics,
            "quit" => Action::Quit,
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_action_comes_back_from_its_id() {
        let bucket = "someone/a:b/folder with ä".to_owned();
        for action in [
            Action::Bucket(bucket.clone()),
            Action::Reveal(bucket.clone()),
            Action::Unmount(bucket.clone()),
            Action::ReadOnly(bucket.clone()),
            Action::SyncNow(bucket.clone()),
            Action::KeepOffline(bucket),
            Action::Pause(None),
            Action::Pause(Some(15)),
            Action::Resume,
            Action::Open(Page::NewBucket),
            Action::SignOut("hub#ada".into()),
            Action::RefreshBuckets,
            Action::CopyDiagnostics,
            Action::Quit,
        ] {
            assert_eq!(Action::of_id(&action.id()), Some(action));
        }
    }

    #[test]
    fn a_line_of_words_does_nothing() {
        for id in ["", "owner:ada", "separator:end", "pause:soon", "open:elsewhere"] {
            assert_eq!(Action::of_id(id), None, "{id}");
        }
    }
}
