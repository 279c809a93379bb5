//! `limits`: how much of the line uploads may take.

use super::{print_json, print_line};
use crate::arguments::Limits;
use crate::{CommandResult, Outcome, format, place};

pub async fn run(args: Limits) -> CommandResult {
    let client = place::client(&args.running)?;
    let mut limits = client.limits().await?;
    if args.parallel.is_some() || args.upload.is_some() {
        limits.parallel = args.parallel.map_or(limits.parallel, usize::from);
        if let Some(rate) = args.upload {
            limits.upload_bytes_per_s = (rate > 0).then_some(rate);
        }
        limits = client.set_limits(limits).await?;
    }
    if args.json {
        print_json(&limits)?;
        return Ok(Outcome::Done);
    }
    let rate = limits.upload_bytes_per_s.map_or("as fast as they can".to_owned(), |rate| {
        format!("with at most {} a second together", format::size(rate))
    });
    let uploads = if limits.parallel == 1 { "1 upload runs" } else { "uploads run beside each other" };
    let count = if limits.parallel == 1 { String::new() } else { format!("{} ", limits.parallel) };
    print_line(&format!("At most {count}{uploads}, {rate}."));
    Ok(Outcome::Done)
}
