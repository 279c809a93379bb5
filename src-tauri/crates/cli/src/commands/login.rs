//! `login`: in the browser, with a code typed elsewhere, or with a pasted token.

use std::io::{IsTerminal, Read};
use std::sync::Arc;
use std::time::Duration;

use engine::app::desktop::{open, opener};
use engine::{EngineError, Result};
use hub::{Grant, Hub, HubConfig, OAuthApp, SecretStore, StaticToken};

use super::{print_line, xet_cache};
use crate::arguments::Login;
use crate::{CommandResult, Outcome};

/// How long the person may take in the browser.
const PATIENCE: Duration = Duration::from_secs(600);
const LONGEST_TOKEN: u64 = 4096;

pub async fn run(args: Login) -> CommandResult {
    let config = engine::hub_config(&xet_cache()?)?;
    let grant = if args.token { pasted()? } else { by_oauth(&args, &config).await? };
    let name = whose(&config, &grant).await?;
    let (own, store) = engine::sign_in::signed_in(&config)?;
    own.sign_in(grant).await?;
    print_line(&format!("Signed in as {name} at {}.", engine::hub_origin()?));
    say_where(store.as_ref());
    Ok(Outcome::Done)
}

fn say_where(store: &dyn SecretStore) {
    print_line(&format!("The sign-in is kept in {} (mode 0600: only you can read it).", store.describe()));
    for name in ["HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"] {
        if std::env::var(name).is_ok_and(|value| !value.trim().is_empty()) {
            eprintln!("bucketbarctl: {name} is set and comes first: unset it to use this sign-in.");
        }
    }
}

async fn by_oauth(args: &Login, config: &HubConfig) -> Result<Grant> {
    let app = OAuthApp::new(config, engine::sign_in::client_id(args.client_id.as_deref())?)?;
    let opener = if args.no_open { None } else { opener() };
    if args.device || (opener.is_none() && !args.browser && !args.no_open) {
        return by_device(&app).await;
    }
    let grant = in_browser(&app, opener).await?;
    if grant.is_renewable() {
        return Ok(grant);
    }
    print_line("The Hub gave a sign-in that ends soon and cannot be renewed. A code brings one that lasts:");
    by_device(&app).await
}

async fn in_browser(app: &OAuthApp, opener: Option<String>) -> Result<Grant> {
    let sign_in = app.in_browser().await?;
    let opened = opener.is_some_and(|opener| open(&opener, &[sign_in.url().as_str().as_ref()]));
    if opened {
        print_line("Allow BucketBar in the browser that opens. If none does, open this address:");
    } else {
        print_line("Open this address in a browser on this machine and allow BucketBar:");
    }
    print_line(&format!("  {}", sign_in.url()));
    Ok(sign_in.grant(PATIENCE).await?)
}

async fn by_device(app: &OAuthApp) -> Result<Grant> {
    let sign_in = app.with_device().await?;
    let page = sign_in.verification_uri_complete.as_ref().unwrap_or(&sign_in.verification_uri);
    print_line(&format!("Open {page} on any device and enter the code {}.", sign_in.user_code));
    Ok(sign_in.grant().await?)
}

/// A token from standard input: on the command line every user of this machine could read it.
fn pasted() -> Result<Grant> {
    if std::io::stdin().is_terminal() {
        eprintln!("Paste an access token of yours (it is shown here), then Enter and Ctrl-D:");
    }
    let mut text = String::new();
    std::io::stdin().take(LONGEST_TOKEN).read_to_string(&mut text).map_err(|error| {
        EngineError::new(format!("The token could not be read ({error})."), "Pass it on standard input.")
    })?;
    let token = text.trim();
    if token.is_empty() || token.chars().any(|c| !c.is_ascii_graphic()) {
        return Err(EngineError::new(
            "That is no access token.",
            "Pass one on standard input, as in: bucketbarctl login --token < FILE",
        ));
    }
    if token.starts_with("api_org") {
        return Err(EngineError::new(
            "That is an organisation's token, which cannot sign a person in.",
            "Use a token of your own account.",
        ));
    }
    Ok(Grant::of_pasted_token(token))
}

/// The account the grant is for; asked before it is kept.
async fn whose(config: &HubConfig, grant: &Grant) -> Result<String> {
    let token = Arc::new(StaticToken::new(&grant.access_token, "this sign-in"));
    let hub = Hub::new(HubConfig { token, ..config.clone() })?;
    match hub.whoami().await {
        Ok(account) => Ok(account.name),
        Err(error) if error.class == hub::ErrorClass::SignIn => Err(EngineError::new(
            "The Hub does not accept this token.",
            "Nothing was kept. Make a new one in your account's settings, or sign in without --token.",
        )),
        Err(error) => Err(error.into()),
    }
}
