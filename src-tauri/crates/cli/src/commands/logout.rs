//! `logout`: BucketBar's own sign-in goes; what is not on the Hub yet is named, for it waits from then on.

use std::sync::Arc;

use engine::control::ControlClient;
use engine::{EngineError, Result, StateHome};
use hub::{Hub, HubConfig};

use super::{print_line, xet_cache};
use crate::arguments::Logout;
use crate::{CommandResult, Outcome, format};

pub async fn run(args: Logout) -> CommandResult {
    let config = engine::hub_config(&xet_cache()?)?;
    let origin = engine::hub_origin()?;
    let (own, store) = engine::sign_in::signed_in(&config)?;
    // A file that cannot be understood is a sign-in too: it is to go.
    if matches!(store.load().await, Ok(None)) {
        print_line(&format!("BucketBar has no sign-in of its own at {origin}."));
        say_who_is_left().await?;
        return Ok(Outcome::Done);
    }
    if let Some(account) = &args.account {
        let hub = Hub::new(HubConfig { token: Arc::new(own.clone()), ..config })?;
        refuse_another(account, &hub.whoami().await?.name)?;
    }
    own.sign_out().await?;
    print_line(&format!("Signed out of {origin}; the token is deleted on this machine."));
    print_line("The Hub goes on accepting it until you take it back in your account's settings there.");
    say_what_is_left(&origin).await?;
    say_who_is_left().await?;
    Ok(Outcome::Done)
}

fn refuse_another(wanted: &str, signed_in: &str) -> Result<()> {
    if wanted == signed_in {
        return Ok(());
    }
    Err(EngineError::new(
        format!("{wanted} is not signed in: {signed_in} is."),
        format!("Sign that account out with: bucketbarctl logout --account {signed_in}"),
    ))
}

/// Every bucket of this Hub that has, or may have, something that is not on it.
async fn say_what_is_left(origin: &str) -> Result<()> {
    for (path, endpoint) in StateHome::discover()?.all() {
        if endpoint.hub != origin {
            continue;
        }
        let bucket = endpoint.bucket_path();
        match ControlClient::new(&path, &bucket).status().await {
            Ok(status) if status.sync.all_saved => {}
            Ok(status) => print_line(&format!(
                "{bucket}: {} not on the Hub; kept on this machine and uploaded after the next sign-in.",
                format::size(status.sync.unsent_bytes)
            )),
            Err(_) => print_line(&format!(
                "{bucket}: not running; anything it had not uploaded stays in {} until it is mounted again.",
                path.display()
            )),
        }
    }
    Ok(())
}

/// Another sign-in of this machine that commands use from now on.
async fn say_who_is_left() -> Result<()> {
    let token = hub::discover_token();
    if token.token().await?.is_some() {
        print_line(&format!("Commands go on with the token of {}.", token.describe()));
    }
    Ok(())
}
