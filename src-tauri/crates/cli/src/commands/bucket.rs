//! `bucket`: buckets as wholes.

use engine::{EngineError, Result};
use hub::{BucketName, Hub};

use super::{ls, print_line, xet_cache};
use crate::arguments::{Bucket, BucketCommand, CreateBucket, DeleteBucket, Ls};
use crate::{CommandResult, Outcome};

pub async fn run(args: Bucket) -> CommandResult {
    match args.command {
        BucketCommand::Create(args) => create(args).await,
        BucketCommand::Delete(args) => delete(args).await,
        BucketCommand::Ls(args) => ls::run(Ls { bucket: None, json: args.json }).await,
    }
}

async fn create(args: CreateBucket) -> CommandResult {
    let hub = engine::open_hub(&xet_cache()?)?;
    let name = full_name(&hub, &args.name).await?;
    let created = match hub.create_bucket(&name, !args.public).await {
        Ok(created) => created,
        Err(error) => return Err(engine::explain_hub_error(&hub, error).await),
    };
    if created.existed {
        return Err(EngineError::new(
            format!("There is a bucket {name} already; nothing was changed."),
            "Choose another name.",
        ));
    }
    let visibility = if args.public { "public" } else { "private" };
    print_line(&format!("The {visibility} bucket {name} is made."));
    if let Some(url) = created.url {
        print_line(&url);
    }
    Ok(Outcome::Done)
}

async fn delete(args: DeleteBucket) -> CommandResult {
    let name: BucketName = args.name.parse()?;
    if !args.yes {
        return Err(EngineError::new(
            format!("{name} would be deleted on the Hub with everything in it, for everybody, for good."),
            format!("If that is meant: bucketbarctl bucket delete {name} --yes"),
        ));
    }
    let hub = engine::open_hub(&xet_cache()?)?;
    match hub.delete_bucket(&name).await {
        Ok(()) => print_line(&format!("The bucket {name} is deleted.")),
        Err(error) => return Err(engine::explain_hub_error(&hub, error).await),
    }
    Ok(Outcome::Done)
}

/// A name without an owner is the signed-in account's.
async fn full_name(hub: &Hub, name: &str) -> Result<BucketName> {
    if name.contains('/') {
        return Ok(name.parse()?);
    }
    match hub.whoami().await {
        Ok(account) => Ok(format!("{}/{name}", account.name).parse()?),
        Err(error) => Err(engine::explain_hub_error(hub, error).await),
    }
}
