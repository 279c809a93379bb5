//! Room for many open files.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// macOS refuses more than its `OPEN_MAX` even where the hard limit says "unlimited".
const WANTED: u64 = 10_240;

/// Raises this process's limit of open files to what is allowed, up to 10,240 (launchd starts a program
/// with 256, a shell often with 1,024). Failing is no error: staging then keeps fewer files open.
pub(crate) fn raise_limit() {
    let now = getrlimit(Resource::Nofile);
    let wanted = now.maximum.map_or(WANTED, |maximum| maximum.min(WANTED));
    if now.current.is_none_or(|current| current >= wanted) {
        return;
    }
    let raised = Rlimit { current: Some(wanted), maximum: now.maximum };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::warn!(%error, wanted, "the limit of open files could not be raised");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_what_is_allowed() {
        raise_limit();
        let now = getrlimit(Resource::Nofile);
        let allowed = now.maximum.map_or(WANTED, |maximum| maximum.min(WANTED));
        assert!(now.current.is_none_or(|current| current >= allowed));
    }
}
