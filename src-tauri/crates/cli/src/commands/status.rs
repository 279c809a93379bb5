//! `status`: of one engine, or of everything that was ever mounted.

use engine::control::ControlClient;
use engine::control::api::EngineStatus;
use engine::mounter::{self, OwnMount};
use engine::{Result, StateHome, app};
use serde::Serialize;

use super::{print_json, print_line};
use crate::arguments::{Running, Status};
use crate::{CommandResult, Outcome, format, place};

pub async fn run(args: Status) -> CommandResult {
    match args.bucket {
        Some(bucket) => one(Running { bucket, state: args.state }, args.json).await,
        None => all(args.json).await,
    }
}

async fn one(running: Running, json: bool) -> CommandResult {
    let status = place::client(&running)?.status().await?;
    if json {
        print_json(&status)?;
    } else {
        print_line(&format!("{}: {}", status.bucket, format::state_line(&status.sync)));
        if status.any_uid {
            print_line("  FOR TESTS ONLY: every user of this machine is served (--any-uid).");
        }
        if let Some(cause) = &status.sync.offline_cause {
            print_line(&format!("  {cause}"));
        }
    }
    Ok(Outcome::Done)
}

/// A bucket that has a state directory.
#[derive(Serialize)]
struct Known {
    bucket: String,
    state: String,
    mounted_on: Vec<String>,
    /// Absent when no engine runs.
    engine: Option<EngineStatus>,
}

async fn all(json: bool) -> CommandResult {
    let known = known().await?;
    if json {
        print_json(&known)?;
        return Ok(Outcome::Done);
    }
    if known.is_empty() {
        print_line("Nothing is mounted. Mount a bucket with: bucketbarctl mount OWNER/BUCKET DIR");
    }
    let row = |known: &Known| {
        let state = known.engine.as_ref().map_or("not running".to_owned(), |e| format::state_line(&e.sync));
        let place = if known.mounted_on.is_empty() { "-".to_owned() } else { known.mounted_on.join(", ") };
        vec![known.bucket.clone(), place, state]
    };
    let rows: Vec<Vec<String>> = known.iter().map(row).collect();
    let running: Vec<_> = known.iter().filter_map(|known| known.engine.as_ref().map(|e| &e.sync)).collect();
    if !running.is_empty() {
        print_line(&app::of_servers(running, format::now_ms()).line);
    }
    print_line(&format::table(&rows));
    Ok(Outcome::Done)
}

async fn known() -> Result<Vec<Known>> {
    let mounts = mounter::own_mounts()?;
    let mut known = Vec::new();
    for (path, endpoint) in StateHome::discover()?.all() {
        let bucket = endpoint.bucket_path();
        let mine = |mount: &&OwnMount| mount.token == endpoint.mount_token;
        known.push(Known {
            mounted_on: mounts.iter().filter(mine).map(|m| m.mount_point.display().to_string()).collect(),
            engine: ControlClient::new(&path, &bucket).status().await.ok(),
            state: path.display().to_string(),
            bucket,
        });
    }
    Ok(known)
}
