//! What the Hub does wrong on demand. The same vocabulary as local-hub's `src/faults.rs`.

use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::HubClient;

/// What happens to a request that a fault strikes.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case", rename_all_fields = "camelCase")]
pub enum Harm {
    /// Nothing is applied; the answer is `status`. With `retry_after` (seconds) the rate-limit headers say so.
    Status {
        status: u16,
        #[serde(skip_serializing_if = "Option::is_none")]
        retry_after: Option<u64>,
    },
    /// Nothing is applied; refused in these words (`X-Error-Code`, `X-Error-Message`).
    Refuse {
        status: u16,
        #[serde(skip_serializing_if = "Option::is_none")]
        code: Option<String>,
        message: String,
    },
    /// The request is applied in full, then the connection is reset instead of an answer.
    LoseAnswer,
    /// Nothing is applied and the connection is reset.
    Reset,
    /// Nothing is applied and no answer ever comes (the connection stays open).
    Hang,
    /// Nothing happens for so long, then the request is applied and answered.
    Delay { ms: u64 },
    /// The request is applied, and visible to everybody, at once; its answer comes so much later.
    HoldAnswer { ms: u64 },
    /// The answer's body ends after so many bytes although Content-Length promises more.
    Truncate { after: u64 },
    /// The answer's Content-Length is right for a body that is this many bytes short: a wrong length,
    /// well formed.
    Short { by: u64 },
    /// The answer's body comes at this many bytes a second.
    Bandwidth { bytes_per_second: u64 },
    /// Of a batch's operations, those whose path contains `path` fail with `error`; the rest are applied.
    FailOperations { path: String, error: String },
    /// A batch that names a path containing `path` is refused as a whole with `status`; without one it gets
    /// no answer ever. Other batches pass.
    PoisonBatch {
        path: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        status: Option<u16>,
    },
    /// A Xet or Hub token is treated as expired (401).
    TokenExpired,
    /// A signed storage URL is treated as expired (403).
    UrlExpired,
}

/// A rule: which requests it strikes, how often, and the [`Harm`] done.
#[derive(Clone, Debug)]
pub struct Fault {
    harm: Harm,
    fields: Map<String, Value>,
}

impl Fault {
    /// Strikes every request whose `METHOD /path` contains `route`; `*` in it stands for any run of
    /// characters (`"/batch"`, `"GET */resolve/*"`). For ever, unless told otherwise.
    pub fn on(route: &str, harm: Harm) -> Self {
        let mut fields = Map::new();
        fields.insert("route".into(), json!(route));
        Self { harm, fields }
    }

    /// Strikes only so many times, then is spent.
    pub fn times(self, times: u32) -> Self {
        self.with("times", json!(times))
    }

    /// Lets so many matching requests pass first.
    pub fn after(self, calls: u32) -> Self {
        self.with("after", json!(calls))
    }

    /// Strikes with this probability (0 to 1), drawn from `seed`: the same seed, the same sequence.
    pub fn probability(self, probability: f64, seed: u64) -> Self {
        self.with("probability", json!(probability)).with("seed", json!(seed))
    }

    fn with(mut self, name: &str, value: Value) -> Self {
        self.fields.insert(name.into(), value);
        self
    }

    fn to_json(&self) -> Value {
        let mut fields = self.fields.clone();
        fields.insert("harm".into(), json!(self.harm));
        Value::Object(fields)
    }
}

/// The faults of one Hub. They stay until cleared or spent, also over this value's end.
pub struct Faults<'a> {
    client: &'a HubClient,
}

impl<'a> Faults<'a> {
    pub(crate) fn new(client: &'a HubClient) -> Self {
        Self { client }
    }

    /// Adds a rule; the first rule that strikes a request wins. Returns its number.
    pub fn add(&self, fault: Fault) -> u64 {
        let added = self.client.control("POST", "faults", &fault.to_json());
        added["id"].as_u64().unwrap_or_else(|| panic!("local-hub did not take the fault: {added}"))
    }

    /// How often rule `id` has struck. A spent rule is still known until cleared.
    pub fn struck(&self, id: u64) -> u64 {
        let all = self.client.control("GET", "faults", &Value::Null);
        let rule = all.as_array().into_iter().flatten().find(|rule| rule["id"] == json!(id));
        rule.and_then(|rule| rule["struck"].as_u64()).unwrap_or_else(|| panic!("no fault {id} in {all}"))
    }

    /// Removes every rule.
    pub fn clear(&self) {
        self.client.control("DELETE", "faults", &Value::Null);
    }

    /// Every answer is late by `latency_ms`, and all bodies together pass at `bytes_per_second` (0: no limit).
    pub fn network(&self, latency_ms: u64, bytes_per_second: u64) {
        let body = json!({"latencyMs": latency_ms, "bytesPerSecond": bytes_per_second});
        self.client.control("PUT", "network", &body);
    }

    /// Every Xet token given out so far is expired from now on.
    pub fn expire_xet_tokens(&self) {
        self.client.control("POST", "expire", &json!({"what": "xet-tokens"}));
    }

    /// Every signed storage URL given out so far is expired from now on.
    pub fn expire_storage_urls(&self) {
        self.client.control("POST", "expire", &json!({"what": "storage-urls"}));
    }

    /// As if `user` took every app's access away in the Hub's settings.
    pub fn revoke_oauth(&self, user: &str) {
        self.client.control("POST", "revoke", &json!({"user": user}));
    }

    /// Quotas per caller and window; every window begins anew.
    pub fn quotas(&self, api: u32, resolvers: u32, window_seconds: u64) {
        let body = json!({"api": api, "resolvers": resolvers, "windowSeconds": window_seconds});
        self.client.control("PUT", "quotas", &body);
    }

    /// Every OAuth access token given out so far is expired from now on.
    pub fn expire_oauth_tokens(&self) {
        self.client.control("POST", "expire", &json!({"what": "oauth-tokens"}));
    }

    /// Content that no file refers to any more is gone, as if it had never been stored. Returns how many.
    pub fn collect_garbage(&self) -> u64 {
        let answer = self.client.control("POST", "collect", &Value::Null);
        answer["collected"].as_u64().unwrap_or_else(|| panic!("local-hub did not collect: {answer}"))
    }

    /// The change feed forgets what it could replay: old resume points get `reset`.
    pub fn feed_gap(&self) {
        self.client.control("POST", "feed", &json!({"do": "gap"}));
    }

    /// Every open change feed is told to reconnect and ended.
    pub fn feed_reconnect(&self) {
        self.client.control("POST", "feed", &json!({"do": "reconnect"}));
    }
}
