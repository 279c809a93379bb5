//! `sync`: upload now, and say whether everything is on the Hub.

use std::time::Instant;

use engine::SyncReport;

use super::{print_json, print_line};
use crate::arguments::Sync;
use crate::{CommandResult, Outcome, format, place};

/// More than a person reads.
const SHOWN: usize = 50;

pub async fn run(args: Sync) -> CommandResult {
    let client = place::client(&args.running)?;
    let start = Instant::now();
    let deadline = match (args.wait, args.timeout) {
        (false, _) => Some(start),
        (true, timeout) => timeout.map(|timeout| start + timeout),
    };
    let status = client.status().await?.sync;
    if args.wait && status.paused && !status.all_saved {
        return Err(engine::EngineError::new(
            format!("Uploads of {} are paused ({}).", args.running.bucket, format::state_line(&status)),
            "Go on with: bucketbarctl resume",
        ));
    }
    let report = client.sync(deadline).await?;
    if args.json {
        print_json(&report)?;
    } else {
        say(&report, args.wait);
    }
    Ok(if report.complete || !args.wait { Outcome::Done } else { Outcome::NotDone })
}

fn say(report: &SyncReport, waited: bool) {
    if report.complete {
        print_line("Everything is on the Hub.");
        return;
    }
    let count = format::files(report.left.len() as u64);
    let verb = if report.left.len() == 1 { "is" } else { "are" };
    if waited {
        eprintln!("{count} {verb} not on the Hub:");
        eprint!("{}", format::queue_table(&report.left, SHOWN));
    } else {
        print_line(&format!("{count} {verb} being uploaded now."));
    }
}
