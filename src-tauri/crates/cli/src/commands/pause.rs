//! `pause` and `resume`.

use super::print_line;
use crate::arguments::{Pause, Running};
use crate::{CommandResult, Outcome, format, place};

pub async fn pause(args: Pause) -> CommandResult {
    let until_ms = args.minutes.map(|minutes| {
        let length = i64::try_from(minutes.as_millis()).unwrap_or(i64::MAX);
        engine::Timestamp::now().as_ms().saturating_add(length)
    });
    let status = place::client(&args.running)?.pause(until_ms).await?;
    let bucket = &args.running.bucket;
    match until_ms {
        Some(until) => print_line(&format!("Uploads of {bucket} are paused until {}.", format::time(until))),
        None => print_line(&format!("Uploads of {bucket} are paused: bucketbarctl resume goes on.")),
    }
    print_line(&format::state_line(&status.sync));
    Ok(Outcome::Done)
}

pub async fn resume(args: Running) -> CommandResult {
    let status = place::client(&args)?.resume().await?;
    print_line(&format!("Uploads of {} go on.", args.bucket));
    print_line(&format::state_line(&status.sync));
    Ok(Outcome::Done)
}
