//! `retry`: failed uploads once more.

use super::print_line;
use crate::arguments::Retry;
use crate::{CommandResult, Outcome, format, place};

pub async fn run(args: Retry) -> CommandResult {
    let retried = place::client(&args.running)?.retry(args.path.clone()).await?.retried;
    match (retried, args.path) {
        (0, Some(path)) => {
            print_line(&format!("No failed upload of {path} is there: bucketbarctl queue lists all."));
            return Ok(Outcome::NotDone);
        }
        (0, None) => print_line("Nothing had failed."),
        (count, _) => print_line(&format!("{} will be tried again now.", format::files(count))),
    }
    Ok(Outcome::Done)
}
