//! `conflicts`, `resolve` and `discard`.

use engine::{Conflict, EngineError, Resolution};

use super::{print_json, print_line};
use crate::arguments::{Discard, Keep, Resolve, Shown};
use crate::{CommandResult, Outcome, format, place};

pub async fn list(args: Shown) -> CommandResult {
    let conflicts = place::client(&args.running)?.conflicts().await?;
    if args.json {
        print_json(&conflicts)?;
        return Ok(Outcome::Done);
    }
    if conflicts.is_empty() {
        print_line("No file is kept in two versions.");
        return Ok(Outcome::Done);
    }
    let row = |conflict: &Conflict| {
        let size =
            |version: Option<engine::Version>| version.map_or("-".to_owned(), |v| format::size(v.size));
        vec![
            conflict.id.to_string(),
            conflict.path.clone(),
            conflict.kept_as.clone(),
            format!("mine {}", size(conflict.mine)),
            format!("theirs {}", size(conflict.theirs)),
            format::time(conflict.at_ms),
        ]
    };
    let rows: Vec<Vec<String>> = conflicts.iter().map(row).collect();
    print_line(&format::table(&rows));
    let bucket = &args.running.bucket;
    print_line(&format!("Solve one with: bucketbarctl resolve {bucket} NUMBER --keep mine|theirs|both"));
    Ok(Outcome::Done)
}

pub async fn resolve(args: Resolve) -> CommandResult {
    let how = match args.keep {
        Keep::Mine => Resolution::KeepMine,
        Keep::Theirs => Resolution::KeepTheirs,
        Keep::Both => Resolution::KeepBoth,
    };
    place::client(&args.running)?.resolve(args.id, how).await?;
    print_line(match args.keep {
        Keep::Mine => "This machine's version has the name now.",
        Keep::Theirs => "The Hub's version has the name now.",
        Keep::Both => "Both versions stay as they are.",
    });
    Ok(Outcome::Done)
}

pub async fn discard(args: Discard) -> CommandResult {
    if !args.yes {
        return Err(EngineError::new(
            format!("What was changed here in {} and is not on the Hub would be lost.", args.path),
            format!("If that is meant: bucketbarctl discard {} {:?} --yes", args.running.bucket, args.path),
        ));
    }
    place::client(&args.running)?.discard(&args.path).await?;
    print_line(&format!("{} is as on the Hub again.", format::harmless(&args.path)));
    Ok(Outcome::Done)
}
