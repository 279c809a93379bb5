//! Faults on demand: which requests they strike, how often, and what is done to them.
//! The vocabulary is testkit's `Fault` and `Harm`; [`crate::front`] does the harm.

use parking_lot::Mutex;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde::{Deserialize, Serialize};

/// What happens to a request that a fault strikes.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", rename_all_fields = "camelCase")]
pub enum Harm {
    /// Not applied; this status, with `retryAfter` (seconds) in the rate-limit headers.
    Status { status: u16, retry_after: Option<u64> },
    /// Not applied; refused in these words, in `X-Error-Code` and `X-Error-Message`.
    Refuse { status: u16, code: Option<String>, message: String },
    /// Applied, then the connection is reset.
    LoseAnswer,
    /// Not applied, the connection is reset.
    Reset,
    /// Not applied, no answer ever.
    Hang,
    /// Applied so much later.
    Delay { ms: u64 },
    /// Applied and visible to everybody at once; the answer comes so much later.
    HoldAnswer { ms: u64 },
    /// The body ends early, against its Content-Length.
    Truncate { after: u64 },
    /// The body is shorter, and Content-Length says the shorter length.
    Short { by: u64 },
    /// The body comes slowly.
    Bandwidth { bytes_per_second: u64 },
    /// Those operations of a batch whose path contains `path` fail.
    FailOperations { path: String, error: String },
    /// A batch that names a path containing `path` is refused as a whole with `status`; without one it gets
    /// no answer ever.
    PoisonBatch { path: String, status: Option<u16> },
    /// Not applied; 401 as for an expired token.
    TokenExpired,
    /// Not applied; 403 as for an expired signed URL.
    UrlExpired,
}

/// A rule as a test sends it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewRule {
    /// Strikes where `METHOD /path` contains this; `*` is any run of characters.
    route: String,
    /// Spent after so many strikes; for ever without.
    times: Option<u32>,
    /// Matching requests that pass first.
    #[serde(default)]
    after: u32,
    /// Strikes with this probability; always without.
    probability: Option<f64>,
    #[serde(default)]
    seed: u64,
    harm: Harm,
}

/// A rule as it is told back.
#[derive(Debug, Serialize)]
pub struct RuleState {
    id: u64,
    route: String,
    struck: u32,
    harm: Harm,
}

struct Rule {
    id: u64,
    rule: NewRule,
    passed: u32,
    struck: u32,
    dice: StdRng,
}

/// The rules in force.
#[derive(Default)]
pub struct Faults {
    rules: Mutex<Rules>,
}

#[derive(Default)]
struct Rules {
    last_id: u64,
    list: Vec<Rule>,
}

impl Faults {
    /// Adds a rule behind the others; its number.
    pub fn add(&self, rule: NewRule) -> u64 {
        let mut rules = self.rules.lock();
        rules.last_id += 1;
        let (id, dice) = (rules.last_id, StdRng::seed_from_u64(rule.seed));
        rules.list.push(Rule { id, rule, passed: 0, struck: 0, dice });
        id
    }

    pub fn clear(&self) {
        self.rules.lock().list.clear();
    }

    pub fn all(&self) -> Vec<RuleState> {
        let state = |rule: &Rule| RuleState {
            id: rule.id,
            route: rule.rule.route.clone(),
            struck: rule.struck,
            harm: rule.rule.harm.clone(),
        };
        self.rules.lock().list.iter().map(state).collect()
    }

    /// What the first rule that strikes does to the request `method path`; counts the strike.
    pub fn strike(&self, method: &str, path: &str) -> Option<Harm> {
        let request = format!("{method} {path}");
        self.rules.lock().list.iter_mut().find_map(|rule| rule.strike(&request))
    }
}

impl Rule {
    fn strike(&mut self, request: &str) -> Option<Harm> {
        if self.rule.times.is_some_and(|times| self.struck >= times) || !contains(request, &self.rule.route) {
            return None;
        }
        self.passed += 1;
        if self.passed <= self.rule.after {
            return None;
        }
        if self.rule.probability.is_some_and(|probability| self.dice.random::<f64>() >= probability) {
            return None;
        }
        self.struck += 1;
        Some(self.rule.harm.clone())
    }
}

/// Whether `text` contains `pattern`, in which `*` is any run of characters.
fn contains(text: &str, pattern: &str) -> bool {
    let mut rest = text;
    for part in pattern.split('*') {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(json: serde_json::Value) -> NewRule {
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn a_rule_strikes_its_routes_so_many_times_after_so_many_calls() {
        let faults = Faults::default();
        let harm = serde_json::json!({"kind": "status", "status": 503});
        faults.add(rule(serde_json::json!({"route": "POST */batch", "after": 1, "times": 2, "harm": harm})));
        let struck: Vec<bool> =
            (0..5).map(|_| faults.strike("POST", "/api/buckets/a/b/batch").is_some()).collect();
        assert_eq!(struck, [false, true, true, false, false]);
        assert!(faults.strike("GET", "/api/buckets/a/b/tree").is_none());
        assert_eq!(faults.all()[0].struck, 2);
    }

    #[test]
    fn the_same_seed_draws_the_same_strikes() {
        let draw = || {
            let faults = Faults::default();
            let harm = serde_json::json!({"kind": "reset"});
            faults.add(rule(serde_json::json!({"route": "/x", "probability": 0.5, "seed": 9, "harm": harm})));
            (0..64).map(|_| faults.strike("GET", "/x").is_some()).collect::<Vec<_>>()
        };
        assert_eq!(draw(), draw());
        let strikes = draw().into_iter().filter(|struck| *struck).count();
        assert!((16..=48).contains(&strikes), "half of 64, about: {strikes}");
    }
}
