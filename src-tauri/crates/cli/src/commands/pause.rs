//! `pause` and `resume`.

use super::print_line;
use crate::arguments::Running;
use crate::{CommandResult, Outcome, format, place};

pub async fn pause(args: Running) -> CommandResult {
    let status = place::client(&args)?.pause().await?;
    print_line(&format!("Uploads of {} are paused: bucketbarctl resume goes on.", args.bucket));
    print_line(&format::state_line(&status.sync));
    Ok(Outcome::Done)
}

pub async fn resume(args: Running) -> CommandResult {
    let status = place::client(&args)?.resume().await?;
    print_line(&format!("Uploads of {} go on.", args.bucket));
    print_line(&format::state_line(&status.sync));
    Ok(Outcome::Done)
}
