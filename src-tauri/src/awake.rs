//! When the system must not put the app to sleep by itself (App Nap, sudden termination): it serves a kernel, or has
//! something on the way.

use engine::app::api::state::AppStatus;

/// Why, in words that `pmset -g assertions` shows; `None` when the app may rest.
pub fn reason(status: &AppStatus) -> Option<&'static str> {
    if status.mounted > 0 {
        // Also while nothing happens: the next call of the kernel must find a server that answers at once.
        return Some("Buckets are mounted");
    }
    let moving = status.files_left > 0 && !status.paused && !status.offline;
    moving.then_some("Files are uploaded")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mount_or_an_upload_keeps_it_awake_and_nothing_else() {
        let status = |mounted, files_left| AppStatus { mounted, files_left, ..AppStatus::default() };
        assert_eq!(reason(&status(0, 0)), None);
        assert_eq!(reason(&status(1, 0)), Some("Buckets are mounted"));
        assert_eq!(reason(&status(2, 9)), Some("Buckets are mounted"));
        assert_eq!(reason(&status(0, 1)), Some("Files are uploaded"));
        for resting in
            [AppStatus { paused: true, ..status(0, 5) }, AppStatus { offline: true, ..status(0, 5) }]
        {
            assert_eq!(reason(&resting), None);
            assert!(reason(&AppStatus { mounted: 1, ..resting }).is_some());
        }
    }
}
