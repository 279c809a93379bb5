//! The other side: a real local-hub, what somebody else does there, and what goes wrong there.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use testkit::{Fault, Harm, LocalHub};

/// Something that goes wrong at the Hub, a few times.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Weather {
    pub route: u8,
    pub harm: u8,
    pub after: u8,
    pub times: u8,
}

/// Where it goes wrong: every kind of call that bucketfs makes.
pub const ROUTES: [&str; 11] = [
    "POST */batch",
    "/paths-info",
    "GET */tree",
    "/xet-write-token",
    "/xet-read-token",
    "/v1/xorbs",
    "/shards",
    "/reconstructions",
    "GET /_storage",
    "/events",
    "",
];

/// Every harm that local-hub can do, by name.
pub fn harms() -> Vec<(&'static str, Harm)> {
    let status = |status, retry_after| Harm::Status { status, retry_after };
    let refuse = |status, message: &str| Harm::Refuse { status, code: None, message: message.into() };
    vec![
        ("500", status(500, None)),
        ("502", status(502, None)),
        ("503 with Retry-After", status(503, Some(1))),
        ("429 with Retry-After", status(429, Some(1))),
        ("408", status(408, None)),
        ("401", status(401, None)),
        ("403", status(403, None)),
        ("404", status(404, None)),
        ("413", status(413, None)),
        ("507 quota", refuse(507, "no room left")),
        ("refused in words", refuse(400, "this is refused by a fault")),
        ("the answer is lost", Harm::LoseAnswer),
        ("reset", Harm::Reset),
        ("hangs", Harm::Hang),
        ("late", Harm::Delay { ms: 300 }),
        ("cut short", Harm::Truncate { after: 10 }),
        ("too short and well formed", Harm::Short { by: 7 }),
        ("slow", Harm::Bandwidth { bytes_per_second: 20_000 }),
        ("operations fail", Harm::FailOperations { path: String::new(), error: "try again".into() }),
        ("token expired", Harm::TokenExpired),
        ("address expired", Harm::UrlExpired),
    ]
}

pub struct FarSide {
    hub: LocalHub,
    pub bucket: String,
    pub down: bool,
}

impl FarSide {
    pub fn start() -> Self {
        let hub = LocalHub::start();
        let bucket = hub.create_bucket("b");
        FarSide { hub, bucket, down: false }
    }

    pub fn endpoint(&self) -> &str {
        self.hub.endpoint()
    }

    pub fn token(&self) -> &str {
        self.hub.token()
    }

    /// Adds one fault; `false` while the Hub is down.
    pub fn weather(&self, weather: Weather) -> bool {
        let harms = harms();
        let (_, harm) = &harms[usize::from(weather.harm) % harms.len()];
        let route = ROUTES[usize::from(weather.route) % ROUTES.len()];
        self.fault(
            Fault::on(route, harm.clone()).after(u32::from(weather.after)).times(u32::from(weather.times)),
        )
        .is_some()
    }

    /// Adds one fault and says its number.
    pub fn fault(&self, fault: Fault) -> Option<u64> {
        (!self.down).then(|| self.hub.faults().add(fault))
    }

    pub fn struck(&self, fault: u64) -> u64 {
        self.hub.faults().struck(fault)
    }

    /// The Hub is well: no faults, in reach.
    pub fn clear(&mut self) {
        if self.down {
            self.hub.restart();
            self.down = false;
        }
        self.hub.faults().clear();
        self.hub.faults().network(0, 0);
    }

    /// Out of reach until [`FarSide::clear`].
    pub fn go_down(&mut self) {
        self.hub.kill();
        self.down = true;
    }

    /// Everything given out so far has expired; the feed forgets.
    pub fn expire(&self) {
        if !self.down {
            self.hub.faults().expire_xet_tokens();
            self.hub.faults().expire_storage_urls();
            self.hub.faults().feed_gap();
        }
    }

    pub fn put(&self, path: &str, content: &[u8]) {
        self.hub.client().put(&self.bucket, path, content);
    }

    pub fn delete(&self, path: &str) {
        self.hub.client().delete(&self.bucket, path);
    }

    /// As `hf` moves a file: one batch.
    pub fn rename(&self, from: &str, to: &str) {
        self.hub.client().copy(&self.bucket, from, to);
        self.hub.client().delete(&self.bucket, from);
    }

    pub fn paths(&self) -> Vec<String> {
        self.hub.client().paths(&self.bucket)
    }

    pub fn content(&self, path: &str) -> Option<Vec<u8>> {
        self.hub.client().read_if_there(&self.bucket, path)
    }

    /// Everything there is.
    pub fn everything(&self) -> BTreeMap<String, Vec<u8>> {
        let client = self.hub.client();
        client
            .paths(&self.bucket)
            .into_iter()
            .map(|path| (path.clone(), client.read(&self.bucket, &path)))
            .collect()
    }

    /// Waits (briefly) until no call that changes names is on its way.
    pub fn wait_for_calm(&self) {
        let calls = || {
            let counters = self.hub.counters();
            counters.calls("/batch") + counters.calls("/paths-info") + counters.calls("/tree")
        };
        let mut before = calls();
        for _ in 0..40 {
            std::thread::sleep(Duration::from_millis(15));
            let now = calls();
            if now == before {
                return;
            }
            before = now;
        }
    }
}
