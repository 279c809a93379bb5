//! The one way files of a bucket change: stored, then told to the feed.

use crate::hub::Hub;
use crate::store::{Change, ChangeSet};

impl Hub {
    /// Applies `changes` as one, in order. On return they are in the database and on their way to every
    /// listener of the feed.
    pub fn commit(&self, bucket: i64, changes: &[Change]) -> rusqlite::Result<Option<ChangeSet>> {
        let applied = self.store.apply(bucket, changes)?;
        if let Some(set) = &applied {
            self.feed.publish(set.clone());
        }
        Ok(applied)
    }
}
