//! `events`: what happened lately.

use super::{print_json, print_line};
use crate::arguments::Shown;
use crate::{CommandResult, Outcome, format, place};

pub async fn run(args: Shown) -> CommandResult {
    let told = place::client(&args.running)?.events(0).await?;
    if args.json {
        print_json(&told)?;
        return Ok(Outcome::Done);
    }
    if told.events.is_empty() {
        print_line("Nothing happened since the engine started.");
    }
    for notice in told.events {
        let times = if notice.count > 1 { format!("({} times) ", notice.count) } else { String::new() };
        print_line(&format::harmless(format!("{times}{} {}", notice.what, notice.advice).trim_end()));
    }
    Ok(Outcome::Done)
}
