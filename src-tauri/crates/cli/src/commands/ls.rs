//! `ls`: own buckets, or a folder of one, asked of the Hub.

use engine::{BucketPath, EngineError, Result};
use futures_util::TryStreamExt;
use hub::{BucketInfo, Hub, TreeEntry};
use serde::Serialize;

use super::{print_json, print_line, xet_cache};
use crate::arguments::Ls;
use crate::{CommandResult, Outcome, format};

pub async fn run(args: Ls) -> CommandResult {
    let hub = engine::open_hub(&xet_cache()?)?;
    match &args.bucket {
        Some(bucket) => folder(&hub, bucket, args.json).await?,
        None => buckets(&hub, args.json).await?,
    }
    Ok(Outcome::Done)
}

#[derive(Serialize)]
struct BucketRow {
    bucket: String,
    private: bool,
    bytes: u64,
    files: u64,
}

impl From<BucketInfo> for BucketRow {
    fn from(info: BucketInfo) -> Self {
        BucketRow { bucket: info.id, private: info.private, bytes: info.size, files: info.total_files }
    }
}

async fn buckets(hub: &Hub, json: bool) -> Result<()> {
    let account = match hub.whoami().await {
        Ok(account) => account,
        Err(error) => return Err(engine::explain_hub_error(hub, error).await),
    };
    let owners = std::iter::once(account.name).chain(account.organizations.into_iter().map(|org| org.name));
    let mut rows: Vec<BucketRow> = Vec::new();
    for owner in owners {
        rows.extend(hub.list_buckets(&owner).await?.into_iter().map(BucketRow::from));
    }
    if json {
        return print_json(&rows);
    }
    if rows.is_empty() {
        print_line("You have no buckets yet.");
    }
    let cells = |row: &BucketRow| {
        let visibility = if row.private { "private" } else { "public" };
        vec![row.bucket.clone(), visibility.to_owned(), format::files(row.files), format::size(row.bytes)]
    };
    print_line(&format::table(&rows.iter().map(cells).collect::<Vec<_>>()));
    Ok(())
}

#[derive(Serialize)]
struct EntryRow {
    path: String,
    folder: bool,
    bytes: u64,
}

impl From<TreeEntry> for EntryRow {
    fn from(entry: TreeEntry) -> Self {
        match entry {
            TreeEntry::File(file) => EntryRow { path: file.path, folder: false, bytes: file.size },
            TreeEntry::Directory { path, .. } => EntryRow { path, folder: true, bytes: 0 },
        }
    }
}

async fn folder(hub: &Hub, bucket: &BucketPath, json: bool) -> Result<()> {
    let listed = hub.bucket(bucket.bucket.clone()).list_dir(&bucket.prefix).try_collect::<Vec<_>>().await;
    let entries = match listed {
        Ok(pages) => pages.into_iter().flatten(),
        Err(error) => return Err(engine::explain_hub_error(hub, error).await),
    };
    let mut rows: Vec<EntryRow> = entries.map(EntryRow::from).collect();
    rows.sort_by(|a, b| a.path.cmp(&b.path));
    if rows.is_empty() && !bucket.prefix.is_empty() {
        return Err(EngineError::new(
            format!("There is no folder {} in {}.", bucket.prefix, bucket.bucket),
            format!("`bucketbarctl ls {}` lists what is there.", bucket.bucket),
        ));
    }
    if json {
        return print_json(&rows);
    }
    let cells = |row: &EntryRow| {
        let name = row.path.rsplit('/').next().unwrap_or(&row.path);
        match row.folder {
            true => vec![String::new(), format!("{name}/")],
            false => vec![format::size(row.bytes), name.to_owned()],
        }
    };
    print_line(&format::table(&rows.iter().map(cells).collect::<Vec<_>>()));
    Ok(())
}
