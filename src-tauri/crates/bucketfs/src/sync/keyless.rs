//! Files whose name the Hub refuses, when the key at which their content still stands is wanted by another.
//!
//! Such a file stays on this machine alone: it has no key that it ought to have, and its content stays at the old one,
//! by whose hash it is read. A save of another file there would leave that content without a name, and the Hub
//! collects what has none. So it gets a key of its own then, as near to its name as the Hub bears, and is copied there
//! first.

use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::attr::{FileId, Kind, ROOT};
use crate::bucket_fs::BucketFs;
use crate::error::Result;
use crate::local::litter;
use crate::names::{Layer, Node, Tx, query};

const KEY_MAX: usize = 200;

/// On return each of these files, which lose their keys to others, has a key to go to. Those that have one keep it.
pub async fn give_keys(fs: &Arc<BucketFs>, keyless: Vec<FileId>) -> Result<()> {
    if keyless.is_empty() {
        return Ok(());
    }
    fs.names
        .change(move |tx| {
            for id in &keyless {
                if let Some(node) = tx.node(*id)?.filter(|node| node.layer == Layer::Bucket && !node.gone) {
                    give_key(tx, node)?;
                }
            }
            Ok(())
        })
        .await
}

/// The file, and each folder above it, whose name cannot be a key.
fn give_key(tx: &mut Tx<'_>, node: Node) -> Result<()> {
    let mut current = node;
    while current.id != ROOT {
        if current.key.is_none() && litter::refused_by_hub(&current.name).is_some() {
            let mut key = nearest_key(&current, 0);
            for salt in 1..64 {
                if query::child_by_key(tx.db(), current.parent, &key, Kind::File)?.is_none()
                    && query::child_by_key(tx.db(), current.parent, &key, Kind::Directory)?.is_none()
                {
                    break;
                }
                key = nearest_key(&current, salt);
            }
            tracing::info!(name = current.display_name(), key, "a name that the Hub refuses gets a key");
            current.key = Some(key);
            tx.put(&current)?;
        }
        match tx.node(current.parent)? {
            Some(parent) => current = parent,
            None => break,
        }
    }
    Ok(())
}

/// `a\b..` is `a_b~1f2e3d`: what the Hub refuses replaced, and a mark of the exact bytes.
fn nearest_key(node: &Node, salt: u32) -> String {
    let digest = Sha256::new().chain_update(&node.name).chain_update(salt.to_le_bytes()).finalize();
    let mark = format!("~{:02x}{:02x}{:02x}", digest[0], digest[1], digest[2]);
    let plain: String = String::from_utf8_lossy(&node.name)
        .chars()
        .map(|c| if c.is_control() || c == '\\' || c == char::REPLACEMENT_CHARACTER { '_' } else { c })
        .collect();
    let mut stem = plain.trim_end_matches('.').to_owned();
    while stem.len() > KEY_MAX {
        stem.pop();
    }
    format!("{stem}{mark}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_key_is_one_that_the_hub_takes() {
        for name in [&b"a\\b"[..], b"tail..", b"..", b"\xff\xfe", b"a\nb", &[b'\\'; 255]] {
            let node = Node::new(FileId(100), ROOT, name, Kind::File, Layer::Bucket);
            let (key, other) = (nearest_key(&node, 0), nearest_key(&node, 1));
            assert_eq!(litter::refused_by_hub(key.as_bytes()), None, "{key}");
            assert!(key != other && key.len() <= 255, "{key} {other}");
        }
    }
}
