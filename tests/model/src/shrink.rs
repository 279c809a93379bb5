//! Makes a failing run short: drops steps as long as it goes on failing.

use crate::steps::Step;

/// Drops stretches of `steps`, halving their length, while `fails` says so, at most `tries` times.
pub fn shrink(mut steps: Vec<Step>, mut tries: usize, mut fails: impl FnMut(&[Step]) -> bool) -> Vec<Step> {
    let mut length = steps.len().div_ceil(2);
    while length > 0 {
        let mut at = 0;
        while at < steps.len() && tries > 0 {
            let end = steps.len().min(at + length);
            let mut shorter = steps.clone();
            shorter.drain(at..end);
            tries -= 1;
            if fails(&shorter) {
                steps = shorter;
            } else {
                at = end;
            }
        }
        length = if length == 1 { 0 } else { length.div_ceil(2) };
    }
    steps
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_matter_is_dropped() {
        let steps: Vec<Step> = (0..50).map(|file| Step::Commit { file }).collect();
        let short = shrink(steps, 1000, |steps| {
            let has = |wanted| steps.contains(&Step::Commit { file: wanted });
            has(7) && has(33)
        });
        assert_eq!(short, [Step::Commit { file: 7 }, Step::Commit { file: 33 }]);
    }
}
