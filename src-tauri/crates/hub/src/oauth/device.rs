//! Sign-in with a code that the person types into a browser anywhere (RFC 8628): for machines without
//! one, and when the browser flow brings no refresh token.

use std::time::{Duration, Instant};

use serde::Deserialize;

use super::grant::Grant;
use super::{OAuthApp, Refused};
use crate::error::{ErrorClass, HubError};

const DEVICE_CODE: &str = "urn:ietf:params:oauth:grant-type:device_code";
const SLOWER_BY: Duration = Duration::from_secs(5);

/// A sign-in under way: the person opens [`verification_uri`](Self::verification_uri) and types
/// [`user_code`](Self::user_code). Dropping it ends it.
pub struct DeviceSignIn {
    app: OAuthApp,
    device_code: String,
    pub user_code: String,
    pub verification_uri: String,
    /// The same with the code in it.
    pub verification_uri_complete: Option<String>,
    interval: Duration,
    ends: Instant,
}

impl OAuthApp {
    pub async fn with_device(&self) -> Result<DeviceSignIn, HubError> {
        #[derive(Deserialize)]
        struct Wire {
            device_code: String,
            user_code: String,
            verification_uri: String,
            verification_uri_complete: Option<String>,
            interval: Option<u64>,
            expires_in: Option<u64>,
        }
        let form = [("scope", super::SCOPES)];
        let answer = self.post("/oauth/device", &form, "Starting to sign in failed").await;
        let wire: Wire = answer.map_err(Refused::into_error)?.json()?;
        Ok(DeviceSignIn {
            app: self.clone(),
            device_code: wire.device_code,
            user_code: wire.user_code,
            verification_uri: wire.verification_uri,
            verification_uri_complete: wire.verification_uri_complete,
            interval: Duration::from_secs(wire.interval.unwrap_or(5).clamp(1, 60)),
            ends: Instant::now() + Duration::from_secs(wire.expires_in.unwrap_or(900).clamp(1, 3600)),
        })
    }
}

impl DeviceSignIn {
    /// The grant, once the person has said yes. `Rejected` when they said no, `Cancelled` when the code
    /// ran out. A Hub that is away for a while is waited for.
    pub async fn grant(mut self) -> Result<Grant, HubError> {
        while Instant::now() + self.interval < self.ends {
            tokio::time::sleep(self.interval).await;
            let form = [("grant_type", DEVICE_CODE), ("device_code", self.device_code.as_str())];
            let refused = match self.app.token(&form, "Signing in failed").await {
                Ok(grant) => return Ok(grant),
                Err(refused) => refused,
            };
            match refused.code.as_deref() {
                Some("authorization_pending") => {}
                Some("slow_down") => self.interval += SLOWER_BY,
                Some("expired_token") => break,
                _ if refused.error.may_retry() => {}
                _ => return Err(refused.into_error()),
            }
        }
        Err(HubError::new(ErrorClass::Cancelled, "The code was not used in time")
            .with_advice("Start signing in again."))
    }
}
