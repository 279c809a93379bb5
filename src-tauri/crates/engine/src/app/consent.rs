//! The second question: a step that cannot be taken back is done only for who was told what it costs.

use std::collections::HashMap;

use parking_lot::Mutex;

use super::api::Ms;

const HOLDS_MS: Ms = 120_000;

/// Consents given out and not used yet.
#[derive(Default)]
pub(super) struct Consents {
    open: Mutex<HashMap<String, (String, Ms)>>,
}

impl Consents {
    /// A consent for exactly `what` (command and arguments), for two minutes, once.
    pub fn ask(&self, what: &str, now: Ms) -> String {
        // Not a secret: it only shows that the question was read. Still, nobody guesses it.
        let mut random = [0u8; 16];
        if getrandom::fill(&mut random).is_err() {
            return String::new();
        }
        let consent: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
        let mut open = self.open.lock();
        open.retain(|_, (_, until)| *until > now);
        open.insert(consent.clone(), (what.to_owned(), now + HOLDS_MS));
        consent
    }

    /// Whether `consent` was given for `what`; it is used up.
    pub fn given(&self, what: &str, consent: Option<&str>, now: Ms) -> bool {
        let Some(consent) = consent else { return false };
        let mut open = self.open.lock();
        open.remove(consent).is_some_and(|(for_what, until)| for_what == what && until > now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_consent_is_for_one_thing_once_and_not_for_long() {
        let consents = Consents::default();
        let a = consents.ask("discard a", 0);
        assert!(!consents.given("discard b", Some(&a), 1), "not for another file");
        assert!(!consents.given("discard a", Some(&a), 1), "and a try uses it up");
        let a = consents.ask("discard a", 0);
        assert!(consents.given("discard a", Some(&a), 1));
        assert!(!consents.given("discard a", Some(&a), 2));
        let late = consents.ask("discard a", 0);
        assert!(!consents.given("discard a", Some(&late), HOLDS_MS));
        assert!(!consents.given("discard a", None, 0) && !consents.given("discard a", Some(""), 0));
    }
}
