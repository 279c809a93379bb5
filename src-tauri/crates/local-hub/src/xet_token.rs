//! Xet tokens: what `/xet-read-token` and `/xet-write-token` give out and the CAS asks for
//! (hub-api.md 2.9). Scoped to one bucket (by its stored number, so a rename keeps them), read or write.

use crate::clock::now_ms;
use crate::seal::{SealFault, Seals};

/// A token's text and when it ends.
pub struct XetToken {
    pub text: String,
    /// Unix seconds.
    pub expires: u64,
}

/// What a good token allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct XetScope {
    pub bucket: i64,
    pub write: bool,
}

/// Gives out and checks Xet tokens.
pub struct XetTokens {
    pub seals: Seals,
    lifetime_seconds: u64,
}

impl XetTokens {
    pub fn new(seals: Seals, lifetime_seconds: u64) -> Self {
        Self { seals, lifetime_seconds }
    }

    pub fn issue(&self, scope: XetScope) -> XetToken {
        let issued = now_ms();
        // The client is told whole seconds, so the token is good for whole seconds.
        let expires = issued.unsigned_abs() / 1000 + self.lifetime_seconds;
        let expires_ms = i64::try_from(expires * 1000).unwrap_or(i64::MAX);
        let body = format!("{}-{}", if scope.write { "w" } else { "r" }, scope.bucket);
        let mark = self.seals.mark(&body, issued, expires_ms);
        XetToken { text: format!("xet_{body}_{issued}_{expires_ms}_{mark}"), expires }
    }

    pub fn check(&self, token: &str) -> Result<XetScope, SealFault> {
        let parts: Vec<&str> = token.split('_').collect();
        let ["xet", body, issued, expires, mark] = parts[..] else { return Err(SealFault::Forged) };
        let (Ok(issued), Ok(expires)) = (issued.parse(), expires.parse()) else {
            return Err(SealFault::Forged);
        };
        self.seals.check(body, issued, expires, mark)?;
        let (kind, bucket) = body.split_once('-').ok_or(SealFault::Forged)?;
        Ok(XetScope { bucket: bucket.parse().map_err(|_| SealFault::Forged)?, write: kind == "w" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_tells_its_scope_and_expires() {
        let scope = XetScope { bucket: 17, write: true };
        let tokens = XetTokens::new(Seals::new([1; 32], "xet"), 60);
        let token = tokens.issue(scope);
        assert_eq!(tokens.check(&token.text), Ok(scope));
        assert_eq!(tokens.check(&token.text.replace("w-17", "w-18")), Err(SealFault::Forged));
        assert_eq!(tokens.check("hf_alice"), Err(SealFault::Forged));
        tokens.seals.expire_all();
        assert_eq!(tokens.check(&token.text), Err(SealFault::Expired));
        let short = XetTokens::new(Seals::new([1; 32], "xet"), 0);
        assert_eq!(short.check(&short.issue(scope).text), Err(SealFault::Expired));
    }
}
