//! `resume-uploads`: what every state directory still has goes to the Hub.

use engine::control::ControlClient;
use engine::{Endpoint, StateHome, mounter};

use super::print_line;
use crate::server::Detached;
use crate::{CommandResult, Outcome, format};

/// A server for each bucket that has none: one that ends when it is done, or where a kernel's mount waits one that
/// stays.
pub async fn run() -> CommandResult {
    let mounts = mounter::own_mounts()?;
    let (mut started, mut failed) = (0, 0);
    for (state, endpoint) in StateHome::discover()?.all() {
        let bucket = endpoint.bucket_path();
        if !endpoint.opened || ControlClient::new(&state, &bucket).is_running().await {
            continue;
        }
        let mounted = mounts.iter().any(|mount| mount.token == endpoint.mount_token);
        let Endpoint { hub, read_only, owner, .. } = &endpoint;
        let server = Detached {
            bucket: &bucket,
            hub: Some(hub),
            state: &state,
            read_only: *read_only,
            owner: *owner,
            finish: !mounted,
        };
        match server.start().await {
            Ok(_) => started += 1,
            Err(error) => {
                failed += 1;
                eprintln!("bucketbarctl: {bucket}: {}", format::harmless(&error.to_string()));
            }
        }
    }
    print_line(&match started {
        0 => "No bucket needed a server.".to_owned(),
        1 => "1 bucket is looked after; its server ends when everything is on the Hub.".to_owned(),
        many => format!("{many} buckets are looked after; their servers end when everything is on the Hub."),
    });
    Ok(if failed == 0 { Outcome::Done } else { Outcome::NotDone })
}
