//! What reached this Hub: calls and body bytes by route.

use std::collections::BTreeMap;

use parking_lot::Mutex;
use serde::Serialize;

/// One route's counts.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct RouteCount {
    pub calls: u64,
    /// Body bytes received.
    pub up: u64,
    /// Body bytes handed to the network.
    pub down: u64,
}

/// Counts by method and route pattern. The control endpoint itself is not counted.
#[derive(Default)]
pub struct Counters {
    routes: Mutex<BTreeMap<String, RouteCount>>,
}

impl Counters {
    pub fn call(&self, route: &str) {
        self.change(route, |count| count.calls += 1);
    }

    pub fn up(&self, route: &str, bytes: usize) {
        self.change(route, |count| count.up += bytes as u64);
    }

    pub fn down(&self, route: &str, bytes: usize) {
        self.change(route, |count| count.down += bytes as u64);
    }

    pub fn all(&self) -> BTreeMap<String, RouteCount> {
        self.routes.lock().clone()
    }

    pub fn reset(&self) {
        self.routes.lock().clear();
    }

    fn change(&self, route: &str, change: impl FnOnce(&mut RouteCount)) {
        let mut routes = self.routes.lock();
        match routes.get_mut(route) {
            Some(count) => change(count),
            None => change(routes.entry(route.to_string()).or_default()),
        }
    }
}
