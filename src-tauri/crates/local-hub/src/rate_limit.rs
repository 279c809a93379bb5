//! Rate limits: fixed windows per caller and class, told on every answer (hub-api.md 2.10).

use std::collections::HashMap;
use std::time::{Duration, Instant};

use http::{HeaderMap, HeaderValue, StatusCode};
use parking_lot::Mutex;
use serde::Deserialize;

use crate::accounts::bearer;
use crate::arguments::Arguments;
use crate::hub_error::HubError;

/// Which quota a call uses up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    Api,
    Resolvers,
}

impl Class {
    /// The class of a path; storage, sign-in and control have none.
    pub fn of(path: &str) -> Option<Self> {
        let resolved = !path.starts_with("/api/") && !path.starts_with("/_") && path.contains("/resolve/");
        if resolved || path.starts_with("/api/resolve-cache/") {
            Some(Class::Resolvers)
        } else if path.starts_with("/api/") {
            Some(Class::Api)
        } else {
            None
        }
    }

    fn name(self) -> &'static str {
        match self {
            Class::Api => "api",
            Class::Resolvers => "resolvers",
        }
    }
}

/// Quotas as a test sets them.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Quotas {
    api: u32,
    resolvers: u32,
    window_seconds: u64,
}

/// A caller's window after one more call.
#[derive(Clone, Copy, Debug)]
pub struct Standing {
    class: Class,
    quota: u32,
    window: u64,
    left: u32,
    over: bool,
    /// Seconds until the window ends.
    reset: u64,
}

/// Every caller's windows.
pub struct RateLimits {
    state: Mutex<State>,
}

struct State {
    quotas: Quotas,
    windows: HashMap<(String, Class), (Instant, u32)>,
}

impl RateLimits {
    pub fn new(arguments: &Arguments) -> Self {
        let quotas = Quotas {
            api: arguments.quota_api,
            resolvers: arguments.quota_resolvers,
            window_seconds: arguments.quota_window,
        };
        Self { state: Mutex::new(State { quotas, windows: HashMap::new() }) }
    }

    /// New quotas; every window begins anew.
    pub fn set(&self, quotas: Quotas) {
        *self.state.lock() = State { quotas, windows: HashMap::new() };
    }

    /// Counts one call of whoever sent `headers`.
    pub fn count(&self, class: Class, headers: &HeaderMap) -> Standing {
        let caller = bearer(headers).unwrap_or("anonymous").to_string();
        let mut state = self.state.lock();
        let Quotas { api, resolvers, window_seconds } = state.quotas;
        let quota = if class == Class::Api { api } else { resolvers };
        let length = Duration::from_secs(window_seconds);
        let (began, used) = state.windows.entry((caller, class)).or_insert_with(|| (Instant::now(), 0));
        if began.elapsed() >= length {
            (*began, *used) = (Instant::now(), 0);
        }
        *used = used.saturating_add(1);
        let reset = length.saturating_sub(began.elapsed()).as_secs_f64().ceil() as u64;
        let left = quota.saturating_sub(*used);
        Standing { class, quota, window: window_seconds, left, over: *used > quota, reset }
    }
}

impl Standing {
    /// The refusal, when the quota is used up.
    pub fn refusal(&self) -> Option<HubError> {
        let text =
            format!("You have reached your '{}' rate limit. Retry in {} s.", self.class.name(), self.reset);
        self.over.then(|| HubError::new(StatusCode::TOO_MANY_REQUESTS, text))
    }

    /// Puts the standing on an answer that does not have one yet.
    pub fn tell(&self, headers: &mut HeaderMap) {
        let (class, left, reset) = (self.class.name(), self.left, self.reset);
        tell(headers, format!("\"{class}\";r={left};t={reset}"));
        let policy = format!("\"fixed window\";\"{class}\";q={};w={}", self.quota, self.window);
        if let Ok(policy) = HeaderValue::from_str(&policy) {
            headers.insert("ratelimit-policy", policy);
        }
    }
}

/// The header of a used-up quota that is free again in `seconds`.
pub fn used_up(headers: &mut HeaderMap, class: Option<Class>, seconds: u64) {
    let class = class.unwrap_or(Class::Api).name();
    tell(headers, format!("\"{class}\";r=0;t={seconds}"));
    headers.insert("retry-after", HeaderValue::from(seconds));
}

fn tell(headers: &mut HeaderMap, standing: String) {
    if let Ok(value) = HeaderValue::from_str(&standing) {
        headers.entry("ratelimit").or_insert(value);
    }
}
