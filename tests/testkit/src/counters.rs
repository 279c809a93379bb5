//! What reached the Hub: calls and bytes, by route.

use std::collections::BTreeMap;

use serde::Deserialize;

/// One route's counts since the last reset.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct RouteCount {
    /// Requests that arrived, refused ones too.
    pub calls: u64,
    /// Body bytes received.
    pub up: u64,
    /// Body bytes handed to the network.
    pub down: u64,
}

/// All counts of a Hub, keyed by method and route pattern,
/// e.g. `POST /api/buckets/{ns}/{name}/batch` or `GET /_storage/xorbs/{hash}`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Counters {
    /// The counts, ordered by key.
    pub routes: BTreeMap<String, RouteCount>,
}

impl Counters {
    /// The sum over every route whose key contains `part` (`"/batch"`, `"/tree"`, `"xorb"`; `""` is all).
    pub fn of(&self, part: &str) -> RouteCount {
        self.routes.iter().filter(|(key, _)| key.contains(part)).fold(
            RouteCount::default(),
            |sum, (_, one)| RouteCount {
                calls: sum.calls + one.calls,
                up: sum.up + one.up,
                down: sum.down + one.down,
            },
        )
    }

    /// Calls on every route whose key contains `part`.
    pub fn calls(&self, part: &str) -> u64 {
        self.of(part).calls
    }
}
