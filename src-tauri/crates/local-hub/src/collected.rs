//! Garbage collection on demand: content that once had a name and has none any more is gone.
//!
//! The bytes stay on disk (LocalServer deduplicates against them); what is refused is everything that goes
//! by the file's hash, as if it had never been stored. It is known again when somebody stores it again: a
//! shard was uploaded after the collection, and a batch names the content.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::RwLock;

/// Which contents are gone.
#[derive(Default)]
pub struct Collected {
    /// Hash, and how many shards had been uploaded when it went.
    gone: RwLock<HashMap<String, u64>>,
    shards: AtomicU64,
}

impl Collected {
    /// Forgets every content of `once` that is not in `named`; how many that were.
    pub fn collect(&self, once: HashSet<String>, named: &HashSet<String>) -> usize {
        let shards = self.shards.load(Ordering::Acquire);
        let mut gone = self.gone.write();
        let lost: Vec<String> = once.into_iter().filter(|hash| !named.contains(hash)).collect();
        let count = lost.iter().filter(|hash| !gone.contains_key(*hash)).count();
        gone.extend(lost.into_iter().map(|hash| (hash, shards)));
        count
    }

    pub fn is_gone(&self, hash: &str) -> bool {
        self.gone.read().contains_key(hash)
    }

    /// A shard came in: contents may have been stored again.
    pub fn shard_stored(&self) {
        self.shards.fetch_add(1, Ordering::AcqRel);
    }

    /// Somebody gives the content a name after an upload; false when it is gone and was not stored again.
    pub fn named(&self, hash: &str) -> bool {
        let mut gone = self.gone.write();
        match gone.get(hash) {
            Some(at) if *at >= self.shards.load(Ordering::Acquire) => false,
            Some(_) => gone.remove(hash).is_some(),
            None => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_no_name_is_gone_until_it_is_stored_again() {
        let collected = Collected::default();
        let set = |hashes: &[&str]| hashes.iter().map(|hash| (*hash).to_string()).collect::<HashSet<_>>();
        assert_eq!(collected.collect(set(&["a", "b"]), &set(&["b"])), 1);
        assert!(collected.is_gone("a") && !collected.is_gone("b"));
        assert!(!collected.named("a"), "nobody stored it again");
        collected.shard_stored();
        assert!(collected.named("a") && !collected.is_gone("a"));
    }
}
