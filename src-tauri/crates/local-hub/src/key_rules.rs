//! What a bucket key must be (hub-docs, storage-buckets-s3.md; hub-api.md 2.7).

/// Why `key` is refused; `None` when it is fine.
pub fn fault_of(key: &str) -> Option<&'static str> {
    let faults = [
        (key.is_empty(), "path is empty"),
        (key.starts_with('/') || key.ends_with('/'), "path must not start or end with /"),
        (key.contains("//"), "path must not contain //"),
        (
            key.contains("../") || key.starts_with("./") || key.ends_with(".."),
            "path must not have relative segments",
        ),
        (key.contains('\\') || key.contains('\0'), "path must not contain \\ or NUL"),
    ];
    faults.into_iter().find(|(broken, _)| *broken).map(|(_, why)| why)
}

#[cfg(test)]
mod tests {
    use super::fault_of;

    #[test]
    fn keys_follow_the_documented_rules() {
        for good in ["a", "a/b.txt", ".hidden", "a..b/c", "sp ace#?%é😀", "a/.keep"] {
            assert_eq!(fault_of(good), None, "{good}");
        }
        for bad in ["", "/a", "a/", "a//b", "../a", "a/../b", "./a", "a/..", "a\\b", "a\0b"] {
            assert!(fault_of(bad).is_some(), "{bad:?} must be refused");
        }
    }
}
