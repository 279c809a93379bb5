//! What files were called that are gone for good, so that whoever still has one open can be named it. Memory only:
//! it is for words, never for decisions.

use std::collections::VecDeque;

use parking_lot::Mutex;

use crate::attr::FileId;
use crate::bucket_fs::BucketFs;

/// More are open at their end by nobody.
const KEPT: usize = 1024;

/// The latest departures.
#[derive(Debug, Default)]
pub(crate) struct Departed(Mutex<VecDeque<(FileId, String)>>);

impl Departed {
    pub(crate) fn note(&self, id: FileId, name: &[u8]) {
        let mut known = self.0.lock();
        // A `.nfs…` name comes later than the one that a person knows.
        if known.iter().any(|(known, _)| *known == id) {
            return;
        }
        if known.len() == KEPT {
            known.pop_front();
        }
        known.push_back((id, String::from_utf8_lossy(name).into_owned()));
    }
}

impl BucketFs {
    /// What a person calls a file: its path, or what it was called if it was removed not long ago.
    pub fn name_for_words(&self, id: FileId) -> Option<String> {
        let departed =
            self.departed.0.lock().iter().find(|(known, _)| *known == id).map(|(_, name)| name.clone());
        departed.or_else(|| self.names.node(id).ok().flatten().map(|node| self.path_of(&node)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_a_person_knew_is_kept_and_not_for_ever() {
        let departed = Departed::default();
        departed.note(FileId(1), b"report.txt");
        departed.note(FileId(1), b".nfs0001");
        let name =
            |id| departed.0.lock().iter().find(|(known, _)| *known == FileId(id)).map(|(_, n)| n.clone());
        assert_eq!(name(1).as_deref(), Some("report.txt"));
        for id in 2..=u64::try_from(KEPT).unwrap() + 1 {
            departed.note(FileId(id), b"x");
        }
        assert_eq!(name(1), None);
    }
}
