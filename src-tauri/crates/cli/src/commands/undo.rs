//! `recent-deletes` and `restore`.

use engine::{Removed, RemovedHow};

use super::{print_json, print_line};
use crate::arguments::{Restore, Shown};
use crate::{CommandResult, Outcome, format, place};

pub async fn list(args: Shown) -> CommandResult {
    let removed = place::client(&args.running)?.removed().await?;
    if args.json {
        print_json(&removed)?;
        return Ok(Outcome::Done);
    }
    if removed.is_empty() {
        print_line("Nothing was deleted or overwritten through the mount lately.");
        return Ok(Outcome::Done);
    }
    let row = |one: &Removed| {
        let how = match one.how {
            RemovedHow::Deleted => "deleted",
            RemovedHow::Overwritten => "overwritten",
        };
        vec![format::time(one.at_ms), how.to_owned(), format::size(one.size), one.path.clone()]
    };
    let rows: Vec<Vec<String>> = removed.iter().map(row).collect();
    print_line(&format::table(&rows));
    print_line(&format!("Bring one back with: bucketbarctl restore {} PATH", args.running.bucket));
    Ok(Outcome::Done)
}

pub async fn restore(args: Restore) -> CommandResult {
    let shown = place::client(&args.running)?.restore(&args.path, args.as_name.as_deref()).await?;
    print_line(&format!("It is back as {}.", format::harmless(&shown)));
    Ok(Outcome::Done)
}
