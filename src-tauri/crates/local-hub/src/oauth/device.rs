//! The device code flow (RFC 8628): an app shows a short code, a person types it in on another page.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::{Grant, OAuth, OAuthResult, Tokens, random, refuse};
use crate::clock::now_ms;
use crate::store::Store;

/// A sign-in that waits for the person.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Device {
    user_code: String,
    client: String,
    scopes: Vec<String>,
    expires: i64,
    /// When it was asked for last, ms.
    polled: i64,
    decision: Decision,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
enum Decision {
    Open,
    Denied,
    Allowed { user: String, orgs: Vec<String> },
}

/// What the app is told to show and do.
pub struct DeviceCode {
    pub device_code: String,
    pub user_code: String,
    pub expires_in: u64,
    pub interval: u64,
}

impl OAuth {
    /// `POST /oauth/device`
    pub fn device(&self, store: &Store, form: &HashMap<String, String>) -> OAuthResult<DeviceCode> {
        let client = form.get("client_id").cloned().unwrap_or_default();
        let scopes = self.apps.scopes(&client, form.get("scope").map_or("", String::as_str))?;
        let (device_code, number) = (random("device"), rand::random::<u32>());
        let user_code = format!("{:04X}-{:04X}", number >> 16, number & 0xffff);
        let lifetime = i64::try_from(self.device_seconds * 1000).unwrap_or(i64::MAX);
        let device = Device {
            user_code: user_code.clone(),
            client,
            scopes,
            expires: now_ms().saturating_add(lifetime),
            polled: 0,
            decision: Decision::Open,
        };
        self.change(store, |state| state.devices.insert(device_code.clone(), device));
        Ok(DeviceCode {
            device_code,
            user_code,
            expires_in: self.device_seconds,
            interval: self.device_interval,
        })
    }

    /// App and scopes of a code that a person may still decide about.
    pub fn device_request(&self, user_code: &str) -> Option<(String, Vec<String>)> {
        let state = self.state.lock();
        let open = |device: &&Device| device.user_code == user_code && device.expires > now_ms();
        state.devices.values().find(open).map(|device| (device.client.clone(), device.scopes.clone()))
    }

    /// The person's decision about a code; false when there is no such code (any more).
    pub fn decide_device(
        &self,
        store: &Store,
        user_code: &str,
        allowed: Option<(String, Vec<String>)>,
    ) -> bool {
        self.change(store, |state| {
            let open = |device: &&mut Device| device.user_code == user_code && device.expires > now_ms();
            let Some(device) = state.devices.values_mut().find(open) else { return false };
            device.decision = match allowed {
                Some((user, orgs)) => Decision::Allowed { user, orgs },
                None => Decision::Denied,
            };
            true
        })
    }

    /// `grant_type=urn:ietf:params:oauth:grant-type:device_code`. `by_itself` allows the second time
    /// it is asked, for a Hub that nobody looks at.
    pub fn poll_device(
        &self,
        store: &Store,
        form: &HashMap<String, String>,
        by_itself: Option<(String, Vec<String>)>,
    ) -> OAuthResult<Tokens> {
        let code = form.get("device_code").map_or("", String::as_str);
        let interval = i64::try_from(self.device_interval * 1000).unwrap_or(i64::MAX);
        self.change(store, |state| {
            let Some(device) = state.devices.get_mut(code) else {
                return refuse("invalid_grant", "this device code was not given out here, or was redeemed");
            };
            if form.get("client_id") != Some(&device.client) {
                return refuse("invalid_grant", "this device code is another app's");
            }
            let now = now_ms();
            if device.expires <= now {
                return refuse("expired_token", "this device code has expired");
            }
            let last = std::mem::replace(&mut device.polled, now);
            // A tenth of grace: timers are not exact.
            if now - last < interval * 9 / 10 {
                return refuse("slow_down", "asked again too soon");
            }
            if let (Decision::Open, Some((user, orgs)), true) = (&device.decision, by_itself, last > 0) {
                device.decision = Decision::Allowed { user, orgs };
            }
            match device.decision.clone() {
                Decision::Open => refuse("authorization_pending", "nobody has decided yet"),
                Decision::Denied => refuse("access_denied", "the person said no"),
                Decision::Allowed { user, orgs } => {
                    let grant =
                        Grant { user, client: device.client.clone(), scopes: device.scopes.clone(), orgs };
                    state.devices.remove(code);
                    Ok(self.grant(state, grant, true).1)
                }
            }
        })
    }
}
