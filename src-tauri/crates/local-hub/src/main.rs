//! `local-hub`: a Hub on loopback for development, demonstrations and tests.
//!
//! The bucket API as `shared/hub-api.md` (2 to 4) describes it, in front of xet-client's own CAS
//! (`simulation`), persistent in one directory, with faults on demand and counters.
//!
//! A request's way: [`server`] (connection) → [`front`] (count, log, faults, rate limit) → [`routes`]
//! (who may, what) → [`store`] (buckets and files, SQLite) or [`cas`] (content).
//!
//! First line on stdout: one JSON object with `endpoint` and `token`. SIGTERM or SIGINT ends it.

#![forbid(unsafe_code)]

mod accounts;
mod arguments;
mod cas;
mod clock;
mod collected;
mod commit;
mod counters;
mod demo;
mod faults;
mod feed;
mod front;
mod hub;
mod hub_error;
mod key_rules;
mod network;
mod oauth;
mod page;
mod rate_limit;
mod routes;
mod seal;
mod server;
mod storage_url;
mod store;
mod xet_token;

use std::io::Write;
use std::sync::Arc;

use anyhow::Context;
use clap::Parser;
use serde_json::json;

use crate::arguments::Arguments;
use crate::hub::Hub;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let listener = tokio::net::TcpListener::bind(arguments.listen)
        .await
        .with_context(|| format!("{} is taken; name another port, or 0 for a free one", arguments.listen))?;
    let hub = Arc::new(Hub::open(arguments, listener.local_addr()?).await?);
    let serving = tokio::spawn(server::serve(listener, routes::router(hub.clone()), server::stop_signal()));
    let demo_bucket = if hub.arguments.demo { Some(demo::fill(&hub).await?) } else { None };
    if hub.arguments.demo {
        demo::fill_repos(&hub).await?;
    }
    announce(&hub, demo_bucket)?;
    serving.await??;
    hub.cas.close();
    Ok(())
}

fn announce(hub: &Hub, demo_bucket: Option<String>) -> std::io::Result<()> {
    let first = hub.accounts.first();
    let line = json!({"endpoint": hub.endpoint, "token": first.token, "user": first.user, "demoBucket": demo_bucket});
    let mut stdout = std::io::stdout();
    writeln!(stdout, "{line}")?;
    stdout.flush()
}
