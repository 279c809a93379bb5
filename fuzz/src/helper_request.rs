//! The root helper's request line, and its answers.

use helper::protocol::{MAX_REQUEST, Reply, Request};

pub fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match Request::parse(text) {
        Ok(request) => {
            let line = request.encode();
            // A name is bounded, so is everything else: what was understood fits into a line again.
            assert!(line.len() <= MAX_REQUEST, "a request longer than any is taken");
            assert_eq!(line.matches('\n').count(), 1, "a request is one line");
            assert_eq!(Request::parse(line.trim_end_matches('\n')), Ok(request.clone()));
            if let Request::Mount(mount) = &request {
                let name = mount.volume.to_string();
                assert!(!name.contains('/') && !name.contains('\0') && name != "." && name != "..");
                assert!(mount.port >= 1024);
            }
        }
        Err(refusal) => assert!(!refusal.what.chars().any(char::is_control)),
    }
    for request in [Request::Version, Request::List] {
        if let Some(reply) = Reply::parse(&request, text) {
            assert!(Reply::parse(&request, &reply.encode()).is_some(), "an answer reads back");
        }
    }
}
