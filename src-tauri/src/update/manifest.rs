//! What an update is: a small signed text that names the archive, its size and its hash.
//!
//! The signature (Ed25519, RFC 8032) is over [`HEAD`] and the manifest's bytes as they are; it lies beside the manifest
//! as `….sig`, in base64. `scripts/package-macos` makes both, and its test signs the very example used here.

use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use semver::Version;
use serde::Deserialize;

/// Before the manifest in what is signed: a signature of this key over anything else is none over a manifest.
pub const HEAD: &[u8] = b"BucketBar update 1\n";
/// A manifest is some hundred bytes.
pub const LONGEST: u64 = 64 << 10;
/// An archive beyond this is no app of ours.
const LARGEST: u64 = 1 << 30;

/// The public key of our updates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key([u8; 32]);

impl Key {
    /// From base64; `None` when it is no key.
    pub fn parse(text: &str) -> Option<Key> {
        Some(Key(STANDARD.decode(text.trim()).ok()?.try_into().ok()?))
    }
}

/// A manifest whose signature was found good.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Manifest {
    pub version: Version,
    pub minimum_macos: String,
    pub archive: Archive,
    #[serde(default)]
    pub notes: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Archive {
    pub url: String,
    pub bytes: u64,
    /// 64 hex digits, lower case.
    pub sha256: String,
}

/// Why there is nothing in what came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// Not signed by our key: damaged, or somebody else's.
    Signature,
    /// Signed, and not understood: of a later kind.
    Text(String),
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Fault::Signature => f.write_str("the update's signature is not good"),
            Fault::Text(why) => write!(f, "the update's description is not understood ({why})"),
        }
    }
}

impl Manifest {
    /// Nothing of `bytes` is looked at before the signature.
    ///
    /// # Errors
    /// [`Fault`].
    pub fn open(bytes: &[u8], signature: &str, key: &Key) -> Result<Manifest, Fault> {
        let signature = STANDARD.decode(signature.trim()).map_err(|_| Fault::Signature)?;
        let signed = [HEAD, bytes].concat();
        UnparsedPublicKey::new(&ED25519, key.0).verify(&signed, &signature).map_err(|_| Fault::Signature)?;
        let manifest: Manifest =
            serde_json::from_slice(bytes).map_err(|error| Fault::Text(error.to_string()))?;
        let Archive { url, bytes, sha256 } = &manifest.archive;
        let hex =
            sha256.len() == 64 && sha256.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        if !hex || *bytes == 0 || *bytes > LARGEST || url::Url::parse(url).is_err() {
            return Err(Fault::Text("its archive".to_owned()));
        }
        Ok(manifest)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Made by `scripts/package-macos` with the private key 32 × 0x07; `tests/packaging` makes them again and compares.
    pub(crate) const EXAMPLE: &[u8] = include_bytes!("../../tests/update/latest.json");
    pub(crate) const SIGNATURE: &str = include_str!("../../tests/update/latest.json.sig");
    const KEY: &str = include_str!("../../tests/update/key.pub");

    pub(crate) fn key() -> Key {
        Key::parse(KEY).unwrap()
    }

    #[test]
    fn what_our_script_signs_is_good() {
        let manifest = Manifest::open(EXAMPLE, SIGNATURE, &key()).unwrap();
        assert_eq!(manifest.version, Version::new(0, 2, 0));
        assert_eq!(manifest.minimum_macos, "13.0");
        assert!(manifest.archive.url.ends_with(".app.tar.gz") && manifest.archive.bytes > 0);
    }

    #[test]
    fn any_changed_byte_any_other_key_and_a_bare_signature_are_refused() {
        for at in 0..EXAMPLE.len() {
            let mut changed = EXAMPLE.to_vec();
            changed[at] ^= 1;
            assert_eq!(Manifest::open(&changed, SIGNATURE, &key()), Err(Fault::Signature));
        }
        let other = Key([9; 32]);
        assert_eq!(Manifest::open(EXAMPLE, SIGNATURE, &other), Err(Fault::Signature));
        for signature in ["", "x", "AAAA", &SIGNATURE.trim()[4..]] {
            assert_eq!(Manifest::open(EXAMPLE, signature, &key()), Err(Fault::Signature));
        }
    }

    #[test]
    fn a_key_is_32_bytes() {
        for text in ["", "AAAA", &"A".repeat(44), "not base64 at all"] {
            assert_eq!(Key::parse(text), None, "{text}");
        }
    }
}
