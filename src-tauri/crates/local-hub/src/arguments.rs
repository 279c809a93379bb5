//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Parser, ValueEnum};

use crate::accounts::{OrgArgument, TokenArgument};
use crate::oauth::apps::App;

/// A Hub on loopback for development, demonstrations and tests.
#[derive(Parser, Debug, Clone)]
pub struct Arguments {
    /// Where everything is kept: buckets, files, tokens, content. Made if missing.
    #[arg(long)]
    pub data: PathBuf,
    /// Where to listen. Port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:0")]
    pub listen: SocketAddr,
    /// Fill a bucket `models` of the first user with realistic content, unless it is there already.
    #[arg(long)]
    pub demo: bool,
    /// An access token and whose it is: TOKEN=USER, or TOKEN=USER:read for one that may only read.
    #[arg(long = "token", value_name = "TOKEN=USER[:read]", default_value = "hf_local=demo")]
    pub tokens: Vec<TokenArgument>,
    /// An organization and its members: NAME=USER,USER:read.
    #[arg(long = "org", value_name = "NAME=USER[:read],…")]
    pub orgs: Vec<OrgArgument>,
    /// Lifetime of a Xet token in seconds.
    #[arg(long, default_value_t = 3600)]
    pub xet_token_seconds: u64,
    /// Lifetime of a signed storage URL in seconds.
    #[arg(long, default_value_t = 3600)]
    pub url_seconds: u64,
    /// Lifetime of an OAuth access token in seconds.
    #[arg(long, default_value_t = 28_800)]
    pub oauth_seconds: u64,
    /// An app that may sign people in: CLIENT_ID=REDIRECT_URI,… (a loopback URI matches with any port).
    #[arg(
        long = "oauth-app",
        value_name = "CLIENT_ID=REDIRECT_URI,…",
        default_value = "bucketbar=http://127.0.0.1/callback,http://localhost/callback"
    )]
    pub oauth_apps: Vec<App>,
    /// Who says yes: a person on a page, or nobody has to (the first user allows everything by itself).
    #[arg(long, value_enum, default_value_t = Consent::Page)]
    pub consent: Consent,
    /// Give no refresh token after an authorization code: nobody says what the real Hub does.
    #[arg(long)]
    pub no_refresh_in_code_flow: bool,
    /// Lifetime of a device code in seconds.
    #[arg(long, default_value_t = 300)]
    pub device_seconds: u64,
    /// How often an app may ask whether a device code was allowed, in seconds.
    #[arg(long, default_value_t = 1)]
    pub device_interval: u64,
    /// Entries in a page of a listing when the request names no limit.
    #[arg(long, default_value_t = 1000)]
    pub page: usize,
    /// The most entries a page may have.
    #[arg(long, default_value_t = 10_000)]
    pub page_max: usize,
    /// Calls allowed in a window to a caller, on everything under /api/.
    #[arg(long, default_value_t = 1_000_000)]
    pub quota_api: u32,
    /// Calls allowed in a window to a caller, on /resolve/.
    #[arg(long, default_value_t = 1_000_000)]
    pub quota_resolvers: u32,
    /// Length of the rate-limit window in seconds.
    #[arg(long, default_value_t = 300)]
    pub quota_window: u64,
    /// The most operations one batch may have; nobody says what the real Hub's limit is.
    #[arg(long, default_value_t = 100_000)]
    pub batch_max: usize,
    /// Deleting a missing path in a batch: nobody says what the real Hub answers.
    #[arg(long, value_enum, default_value_t = MissingDelete::Ok)]
    pub delete_missing: MissingDelete,
    /// Give whole files for ranges of what git keeps: nobody says that the real Hub does not.
    #[arg(long)]
    pub resolve_without_ranges: bool,
    /// Print a line on stderr for every request.
    #[arg(long)]
    pub log: bool,
}

/// Who allows an app to sign in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Consent {
    Page,
    Auto,
}

/// What a batch's `deleteFile` of a missing path is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum MissingDelete {
    /// Done already.
    Ok,
    /// A failed operation.
    Fails,
}
