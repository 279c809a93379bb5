//! `namespace/name`, the only way a bucket is named here.

use std::fmt;
use std::str::FromStr;

use crate::error::{ErrorClass, HubError};

#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BucketName {
    pub namespace: String,
    pub name: String,
}

impl BucketName {
    pub fn new(namespace: impl Into<String>, name: impl Into<String>) -> BucketName {
        BucketName { namespace: namespace.into(), name: name.into() }
    }
}

impl FromStr for BucketName {
    type Err = HubError;

    /// Takes `ns/name`, also as `hf://buckets/ns/name` or with the web page's `buckets/` before it.
    fn from_str(text: &str) -> Result<BucketName, HubError> {
        let bare =
            text.trim().trim_start_matches("hf://").trim_start_matches("buckets/").trim_end_matches('/');
        match bare.split_once('/') {
            Some((namespace, name)) if is_word(namespace) && is_word(name) => {
                Ok(BucketName::new(namespace, name))
            }
            _ => Err(HubError::new(ErrorClass::Rejected, format!("“{text}” is not a bucket's name."))
                .with_advice("Write it as OWNER/BUCKET, for example alice/photos.")),
        }
    }
}

/// What the Hub takes in an owner's or bucket's name; keeps `..`, `?` and `%2F` out of addresses.
pub(crate) fn is_word(part: &str) -> bool {
    !part.is_empty()
        && !part.starts_with('.')
        && part.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
}

impl fmt::Display for BucketName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_the_forms_people_paste() {
        for text in ["alice/photos", "hf://buckets/alice/photos", "buckets/alice/photos/", " alice/photos "] {
            assert_eq!(text.parse::<BucketName>().unwrap(), BucketName::new("alice", "photos"), "{text}");
        }
    }

    #[test]
    fn refuses_what_would_change_an_address() {
        for text in
            ["", "alice", "alice/", "/photos", "a/b/c", "../photos", "alice/a?b", "alice/a%2Fb", "al ice/x"]
        {
            assert!(text.parse::<BucketName>().is_err(), "{text}");
        }
    }
}
