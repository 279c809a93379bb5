//! `whoami`: the account the Hub sees, and where its token comes from.

use serde::Serialize;

use super::{print_json, print_line, xet_cache};
use crate::arguments::Whoami;
use crate::{CommandResult, Outcome};

#[derive(Serialize)]
struct Shown {
    hub: String,
    account: String,
    organizations: Vec<String>,
    /// Never the token itself.
    token_from: String,
}

pub async fn run(args: Whoami) -> CommandResult {
    let hub = engine::open_hub(&xet_cache()?)?;
    let account = match hub.whoami().await {
        Ok(account) => account,
        Err(error) => return Err(engine::explain_hub_error(&hub, error).await),
    };
    let shown = Shown {
        hub: engine::hub_origin()?,
        account: account.name,
        organizations: account.organizations.into_iter().map(|organization| organization.name).collect(),
        token_from: hub.config().token.describe(),
    };
    if args.json {
        print_json(&shown)?;
        return Ok(Outcome::Done);
    }
    print_line(&format!("{} at {}", shown.account, shown.hub));
    if !shown.organizations.is_empty() {
        print_line(&format!("Organisations: {}", shown.organizations.join(", ")));
    }
    print_line(&format!("Token: {}", shown.token_from));
    Ok(Outcome::Done)
}
