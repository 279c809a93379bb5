//! `queue`: what is not on the Hub yet, and why.

use super::{print_json, print_line};
use crate::arguments::Shown;
use crate::{CommandResult, Outcome, format, place};

pub async fn run(args: Shown) -> CommandResult {
    let queue = place::client(&args.running)?.queue().await?;
    if args.json {
        print_json(&queue)?;
    } else if queue.items.is_empty() {
        print_line("Nothing waits: everything is on the Hub.");
    } else {
        print_line(&format::queue_table(&queue.items, usize::MAX));
    }
    Ok(Outcome::Done)
}
