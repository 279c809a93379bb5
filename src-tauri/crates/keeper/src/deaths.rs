//! When a server that died is started again, and when no more.

use std::time::Duration;

/// A server that lived this long was a working one: its death starts the count anew.
pub const WORKED: Duration = Duration::from_secs(1);
/// That many deaths in a row, each sooner than [`WORKED`], are the last.
pub const LAST: u32 = 10;
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Start it after this pause.
    After(Duration),
    GiveUp,
}

/// The deaths in a row of one server; no clock of its own.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Deaths {
    quick: u32,
}

impl Deaths {
    /// A death after `lived`; zero for one that never came to serve.
    pub fn another(&mut self, lived: Duration) -> Verdict {
        if lived >= WORKED {
            self.quick = 0;
        }
        self.quick += 1;
        if self.quick > LAST {
            return Verdict::GiveUp;
        }
        Verdict::After((FIRST_PAUSE * 2u32.pow(self.quick - 1)).min(LONGEST_PAUSE))
    }

    pub fn in_a_row(&self) -> u32 {
        self.quick
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn at_once_at_first_then_slower_then_never() {
        let mut deaths = Deaths::default();
        let mut pauses = Vec::new();
        while let Verdict::After(pause) = deaths.another(Duration::ZERO) {
            pauses.push(pause);
        }
        assert_eq!(pauses.len(), LAST as usize);
        assert_eq!(pauses[0], FIRST_PAUSE);
        assert!(pauses.is_sorted() && *pauses.last().unwrap() <= LONGEST_PAUSE);
        let all: Duration = pauses.iter().sum();
        assert!(all > Duration::from_secs(10) && all < Duration::from_secs(60), "{all:?}");
        assert_eq!(deaths.another(Duration::ZERO), Verdict::GiveUp);
    }

    #[test]
    fn one_that_worked_is_started_at_once_for_ever() {
        let mut deaths = Deaths::default();
        for _ in 0..1000 {
            assert_eq!(deaths.another(WORKED), Verdict::After(FIRST_PAUSE));
        }
        deaths.another(Duration::ZERO);
        assert_eq!(deaths.in_a_row(), 2);
    }
}
