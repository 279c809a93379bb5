//! `unmount`: the mount goes, the server stays until everything is on the Hub.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use engine::control::ControlClient;
use engine::mounter::{self, Force, HelperClient, OwnMount};
use engine::{BucketPath, Endpoint, Result, StateHome, Status, keeping};

use super::print_line;
use crate::arguments::Unmount;
use crate::{CommandResult, Outcome, format, place};

/// Little files are on the Hub by then; for more nobody has to wait.
const PATIENCE: Duration = Duration::from_secs(5);

pub async fn run(args: Unmount) -> CommandResult {
    // The table of mounts is all there is to find the server by, once the mount is gone.
    let mount = find(&args.what, &mounter::own_mounts()?).await?;
    let dir = match &mount {
        Some(mount) => mount.mount_point.clone(),
        None => mounter::normalize(&args.what).await?,
    };
    let force = if args.force { Force::Yes } else { Force::No };
    let ours = place::buckets_folder().is_ok_and(|folder| dir.parent() == Some(&folder));
    if ours || mounter::is_volume(&dir) {
        mounter::unmount_anywhere(&dir, force, &HelperClient::here()).await?;
    } else {
        mounter::unmount(&dir, force).await?;
    }
    print_line(&format!("{} is unmounted.", dir.display()));
    if let Some((state, bucket)) = mount.as_ref().map(server_of).transpose()?.flatten() {
        let client = ControlClient::new(&state, &bucket);
        super::mount::wait_for_revival(&client, &state).await;
        match finish(&client).await {
            Ok(Some(status)) => say_what_is_left(&status, &bucket),
            Ok(None) => print_line("Everything is on the Hub."),
            Err(_) => {
                keeping::release(&state).await;
                print_line(&format!(
                    "Its server had ended already; what is not on the Hub waits in {} and is uploaded when \
                     {bucket} is mounted again, or by: bucketbarctl resume-uploads",
                    state.display()
                ));
            }
        }
    }
    Ok(Outcome::Done)
}

/// The mount at the folder `what`; else that of the bucket of this name.
async fn find(what: &Path, mounts: &[OwnMount]) -> Result<Option<OwnMount>> {
    let dir = mounter::normalize(what).await;
    let at = |mount: &&OwnMount| dir.as_ref().is_ok_and(|dir| mount.mount_point == *dir);
    if let Some(mount) = mounts.iter().find(at) {
        return Ok(Some(mount.clone()));
    }
    let Some(bucket) = what.to_str().and_then(|text| text.parse::<BucketPath>().ok()) else {
        return Ok(None);
    };
    let (state, name) = (place::state_dir(&bucket, None)?, bucket.to_string());
    let known = Endpoint::read(&state)?.into_iter().chain(
        // One whose state lies elsewhere.
        StateHome::discover()?.all().into_iter().map(|(_, endpoint)| endpoint),
    );
    let origin = engine::hub_origin()?;
    let tokens: Vec<String> = known
        .filter(|endpoint| endpoint.hub == origin && endpoint.bucket_path() == name)
        .map(|endpoint| endpoint.mount_token)
        .collect();
    Ok(mounts.iter().find(|mount| tokens.contains(&mount.token)).cloned())
}

/// State directory and name of the bucket behind `mount`, if `mount` made it.
fn server_of(mount: &OwnMount) -> Result<Option<(PathBuf, String)>> {
    let all = StateHome::discover()?.all();
    let mut mine = all.into_iter().filter(|(_, endpoint)| endpoint.mount_token == mount.token);
    Ok(mine.next().map(|(path, endpoint)| (path, endpoint.bucket_path())))
}

/// Lets the server end by itself when it is done; gives its status when that is not now.
async fn finish(client: &ControlClient) -> Result<Option<Status>> {
    client.finish().await?;
    let report = client.sync(Some(Instant::now() + PATIENCE)).await;
    match report {
        // It may have ended, being done, before the answer.
        Err(_) if !client.is_running().await => Ok(None),
        Err(error) => Err(error),
        Ok(report) if report.complete => Ok(None),
        Ok(_) => Ok(Some(client.status().await?.sync)),
    }
}

fn say_what_is_left(status: &Status, bucket: &str) {
    let moving = status.queued + status.uploading + status.waiting;
    if moving > 0 && status.paused {
        print_line(&format!(
            "{} ({}) not on the Hub yet, and uploads are paused. Go on with: bucketbarctl resume {bucket}",
            format::files(moving),
            format::size(status.unsent_bytes)
        ));
    } else if moving > 0 {
        print_line(&format!(
            "{} ({}) not on the Hub yet: the upload goes on in the background, also after the next mount if this \
             machine is switched off. See: bucketbarctl status {bucket}",
            format::files(moving),
            format::size(status.unsent_bytes)
        ));
    }
    if status.failed > 0 {
        print_line(&format!(
            "{} could not be uploaded and stay on this machine. See: bucketbarctl mount {bucket} DIR, then \
             bucketbarctl queue {bucket}",
            format::files(status.failed)
        ));
    }
    if status.local_only > 0 {
        print_line(&format!("{} items stay on this machine only.", status.local_only));
    }
}
