//! How fast uploads go, over the last seconds. Pure.

use std::collections::{HashMap, VecDeque};

use super::api::Ms;

/// Figures are of this long; fewer seconds jump, more lag.
const WINDOW_MS: Ms = 10_000;
/// Nothing is said of a rate before so much was seen.
const ENOUGH_MS: Ms = 2_000;

/// One upload under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Going<'a> {
    pub key: &'a str,
    pub done: u64,
    pub total: u64,
}

/// Remembers what was sent when.
#[derive(Debug, Default)]
pub struct Rates {
    last: HashMap<String, (u64, u64)>,
    /// When, and how many bytes since the look before; oldest first.
    sent: VecDeque<(Ms, u64)>,
    since: Option<Ms>,
    rate: Option<u64>,
}

impl Rates {
    /// What [`Rates::look`] said last.
    pub fn last(&self) -> Option<u64> {
        self.rate
    }

    /// Takes what goes on at `now` and gives the bytes a second of all uploads together; `None` while nothing
    /// goes on or too little was seen.
    pub fn look(&mut self, now: Ms, going: &[Going<'_>]) -> Option<u64> {
        let mut bytes = 0;
        for upload in going {
            let before = self.last.get(upload.key).map_or(0, |(done, _)| *done);
            bytes += upload.done.saturating_sub(before);
        }
        let gone = self.last.iter().filter(|(key, _)| !going.iter().any(|upload| upload.key == key.as_str()));
        bytes += gone.map(|(_, (done, total))| total.saturating_sub(*done)).sum::<u64>();
        self.last = going.iter().map(|upload| (upload.key.to_owned(), (upload.done, upload.total))).collect();
        if going.is_empty() {
            self.sent.clear();
            self.since = None;
            self.rate = None;
            return None;
        }
        let since = *self.since.get_or_insert(now);
        self.sent.push_back((now, bytes));
        while self.sent.front().is_some_and(|(at, _)| *at <= now - WINDOW_MS) {
            self.sent.pop_front();
        }
        let seen = (now - since).min(WINDOW_MS);
        let sum: u64 = self.sent.iter().map(|(_, bytes)| bytes).sum();
        self.rate = (seen >= ENOUGH_MS).then(|| sum.saturating_mul(1000) / seen.unsigned_abs());
        self.rate
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn going(done: u64) -> [Going<'static>; 1] {
        [Going { key: "a", done, total: 100_000 }]
    }

    #[test]
    fn a_steady_upload_has_its_rate_and_a_stalled_one_none_to_speak_of() {
        let mut rates = Rates::default();
        assert_eq!(rates.look(0, &going(0)), None);
        assert_eq!(rates.look(1000, &going(1000)), None, "too little was seen");
        assert_eq!(rates.look(2000, &going(2000)), Some(1000));
        for second in 3..40 {
            assert_eq!(rates.look(second * 1000, &going(second.unsigned_abs() * 1000)), Some(1000));
        }
        for second in 40..60 {
            rates.look(second * 1000, &going(39_000));
        }
        assert_eq!(rates.look(60_000, &going(39_000)), Some(0));
        assert_eq!(rates.look(61_000, &[]), None);
    }

    #[test]
    fn what_is_finished_counts_whole() {
        let mut rates = Rates::default();
        rates.look(0, &[Going { key: "a", done: 0, total: 4000 }, Going { key: "b", done: 0, total: 10 }]);
        let rest = [Going { key: "b", done: 0, total: 10 }];
        assert_eq!(rates.look(2000, &rest), Some(2000));
    }
}
