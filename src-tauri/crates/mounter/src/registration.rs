//! Two things are known of the helper: what the system says of its registration, and what the helper itself says on
//! its socket. What they mean together, and what is to be done, is decided here.

use crate::helper_client::HelperState;

/// The system's word on the helper (macOS: SMAppService's states).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Registration {
    /// This program cannot register it: somebody else installs and starts it (Linux), or this is no whole app.
    #[default]
    Unmanaged,
    /// Nobody has asked for it yet, or it was taken away again.
    NotRegistered,
    /// Registered; the person has yet to allow it, or has switched it off.
    NeedsApproval,
    Enabled,
    /// The system finds nothing to register: the app is damaged, not signed, or not where it is to stay.
    NotFound,
}

/// What can be done to have the helper.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    Nothing,
    Register,
    /// Away with the old one first: the system may still run a program that an update has replaced.
    RegisterAnew,
    /// Only the person can allow it, in the system's settings.
    OpenSettings,
}

/// The helper's state, from both. What answers and speaks our protocol is ready, whatever the system says of it: its
/// word may lag behind.
pub fn judge(registration: Registration, socket: HelperState) -> HelperState {
    use Registration::{Enabled, NeedsApproval, NotFound, NotRegistered, Unmanaged};
    match (registration, socket) {
        (_, HelperState::Ready) => HelperState::Ready,
        (Enabled, HelperState::Absent) => {
            HelperState::Silent("The system has it switched on, and nobody is there.".to_owned())
        }
        (Unmanaged | Enabled, state) => state,
        (NeedsApproval, _) => HelperState::NeedsApproval,
        (NotRegistered | NotFound, _) => HelperState::Absent,
    }
}

/// What the app does by itself when it starts: it brings a helper up to its own version, and never asks for one that
/// nobody wanted. `state` is the one of [`judge`].
pub fn step_at_start(registration: Registration, state: &HelperState) -> Step {
    match (registration, state) {
        (Registration::Enabled, HelperState::TooOld | HelperState::Silent(_)) => Step::RegisterAnew,
        _ => Step::Nothing,
    }
}

/// What it does when the person asks for the helper.
pub fn step_when_asked(registration: Registration, state: &HelperState) -> Step {
    match (registration, state) {
        (Registration::Unmanaged, _) | (_, HelperState::Ready) => Step::Nothing,
        // `NotFound` may have been a moment's answer, before the app was moved.
        (Registration::NotRegistered | Registration::NotFound, _) => Step::Register,
        (Registration::NeedsApproval, _) => Step::OpenSettings,
        (Registration::Enabled, _) => Step::RegisterAnew,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Registration; 5] = [
        Registration::Unmanaged,
        Registration::NotRegistered,
        Registration::NeedsApproval,
        Registration::Enabled,
        Registration::NotFound,
    ];

    fn silent() -> HelperState {
        HelperState::Silent("x".into())
    }

    #[test]
    fn what_answers_is_ready_and_what_does_not_is_what_the_system_says() {
        for registration in ALL {
            assert_eq!(judge(registration, HelperState::Ready), HelperState::Ready);
        }
        for socket in [HelperState::Absent, silent(), HelperState::TooOld] {
            assert_eq!(judge(Registration::NeedsApproval, socket.clone()), HelperState::NeedsApproval);
            assert_eq!(judge(Registration::NotRegistered, socket.clone()), HelperState::Absent);
            assert_eq!(judge(Registration::NotFound, socket), HelperState::Absent);
        }
        assert!(matches!(judge(Registration::Enabled, HelperState::Absent), HelperState::Silent(_)));
        assert_eq!(judge(Registration::Enabled, HelperState::TooNew), HelperState::TooNew);
        assert_eq!(judge(Registration::Unmanaged, HelperState::Absent), HelperState::Absent);
    }

    #[test]
    fn at_the_start_an_old_helper_is_replaced_and_none_is_asked_for() {
        assert_eq!(step_at_start(Registration::Enabled, &HelperState::TooOld), Step::RegisterAnew);
        assert_eq!(step_at_start(Registration::Enabled, &silent()), Step::RegisterAnew);
        assert_eq!(step_at_start(Registration::Enabled, &HelperState::Ready), Step::Nothing);
        // An old app must not throw a newer helper out.
        assert_eq!(step_at_start(Registration::Enabled, &HelperState::TooNew), Step::Nothing);
        for registration in ALL.into_iter().filter(|one| *one != Registration::Enabled) {
            for state in [HelperState::Absent, HelperState::NeedsApproval, HelperState::TooOld, silent()] {
                assert_eq!(step_at_start(registration, &state), Step::Nothing, "{registration:?} {state:?}");
            }
        }
    }

    #[test]
    fn asked_for_it_is_registered_allowed_or_mended() {
        let asked = |registration| step_when_asked(registration, &judge(registration, HelperState::Absent));
        assert_eq!(asked(Registration::NotRegistered), Step::Register);
        assert_eq!(asked(Registration::NotFound), Step::Register);
        assert_eq!(asked(Registration::NeedsApproval), Step::OpenSettings);
        assert_eq!(asked(Registration::Enabled), Step::RegisterAnew);
        assert_eq!(asked(Registration::Unmanaged), Step::Nothing);
        for registration in ALL {
            assert_eq!(step_when_asked(registration, &HelperState::Ready), Step::Nothing);
        }
    }
}
