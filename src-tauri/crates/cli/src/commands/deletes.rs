//! `deletes`: deletions that wait for an answer.

use engine::DeletesAnswer;

use super::{print_json, print_line};
use crate::arguments::Deletes;
use crate::{CommandResult, Outcome, format, place};

/// More than a person reads.
const SHOWN: usize = 50;

pub async fn run(args: Deletes) -> CommandResult {
    let client = place::client(&args.running)?;
    let answer = match (args.send, args.restore) {
        (true, _) => Some(DeletesAnswer::Send),
        (_, true) => Some(DeletesAnswer::Restore),
        _ => None,
    };
    if let Some(answer) = answer {
        let count = format::files(client.answer_deletes(answer).await?);
        match answer {
            DeletesAnswer::Send => print_line(&format!("{count} will be deleted on the Hub now.")),
            DeletesAnswer::Restore => print_line(&format!("{count} came back.")),
        }
        return Ok(Outcome::Done);
    }
    let held = client.held_deletes().await?;
    if args.json {
        print_json(&held)?;
        return Ok(Outcome::Done);
    }
    let Some(held) = held else {
        print_line("No deletion waits for an answer.");
        return Ok(Outcome::Done);
    };
    for path in held.paths.iter().take(SHOWN) {
        print_line(&format::harmless(path));
    }
    if held.count as usize > SHOWN {
        print_line(&format!("and {} more", held.count as usize - SHOWN));
    }
    let bucket = &args.running.bucket;
    print_line(&format!(
        "{} of {} were deleted here and are still on the Hub.",
        held.count,
        format::files(held.of)
    ));
    print_line(&format!("If that is meant:     bucketbarctl deletes {bucket} --send"));
    print_line(&format!("To bring them back:   bucketbarctl deletes {bucket} --restore"));
    Ok(Outcome::Done)
}
