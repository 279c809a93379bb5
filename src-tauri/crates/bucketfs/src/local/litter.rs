//! Names that never leave this machine (design.md promise 12, macos-nfs.md B10), and names the Hub
//! cannot take.

/// Finder's, Spotlight's and the kernels' own files. They live in the local layer, whatever their content.
pub fn is_litter(name: &[u8]) -> bool {
    const EXACT: [&[u8]; 12] = [
        b".DS_Store",
        b".Spotlight-V100",
        b".Trashes",
        b".fseventsd",
        b".TemporaryItems",
        b".DocumentRevisions-V100",
        b".VolumeIcon.icns",
        b".apdisk",
        b".localized",
        b".metadata_never_index",
        b".metadata_never_index_unless_rootfs",
        b".com.apple.timemachine.donotpresent",
    ];
    EXACT.contains(&name) || name.starts_with(b"._") || is_silly(name)
}

/// An unlinked file that is still open: `.nfs.XXXXXXXX.YYYY` (macOS) or `.nfs` and 24 hex digits (Linux).
pub fn is_silly(name: &[u8]) -> bool {
    let Some(rest) = name.strip_prefix(b".nfs") else { return false };
    match rest.strip_prefix(b".") {
        Some(mac) => {
            mac.len() == 13 && mac[8] == b'.' && mac.iter().all(|b| b.is_ascii_hexdigit() || *b == b'.')
        }
        None => rest.len() >= 8 && rest.iter().all(u8::is_ascii_hexdigit),
    }
}

/// Why the Hub cannot store a key component like this (hub-api.md 2.7), or `None` when it can.
pub fn refused_by_hub(name: &[u8]) -> Option<&'static str> {
    let Ok(text) = std::str::from_utf8(name) else {
        return Some("the name is not valid UTF-8");
    };
    if text.contains('\\') {
        return Some("the Hub takes no backslash in a name");
    }
    if text.ends_with("..") {
        return Some("the Hub takes no name that ends in two dots");
    }
    if text.chars().any(char::is_control) {
        return Some("the Hub takes no control characters in a name");
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn litter_is_told_from_a_persons_files() {
        for name in ["._a.txt", ".DS_Store", ".nfs.0001f2a3.4c5d", ".nfs000000000001a2b30000004c", ".Trashes"]
        {
            assert!(is_litter(name.as_bytes()), "{name} stays here");
        }
        for name in [".nfsrc", ".gitignore", "_a", ".nfs", "DS_Store", ".nfs.config", ".hidden"] {
            assert!(!is_litter(name.as_bytes()), "{name} belongs to the bucket");
        }
    }

    #[test]
    fn names_the_hub_cannot_store_are_known_beforehand() {
        assert!(refused_by_hub(b"a\\b").is_some());
        assert!(refused_by_hub(b"\xff\xfe").is_some());
        assert!(refused_by_hub(b"tail..").is_some());
        assert!(refused_by_hub(b"a\nb").is_some());
        assert!(refused_by_hub("größe #1 100%.txt".as_bytes()).is_none());
    }
}
