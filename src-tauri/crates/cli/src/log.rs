//! Logs go to stderr; BUCKETBAR_LOG says which. No token is ever logged.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

/// Ours as warnings, the libraries' as errors: their retries are told in our own words.
const DEFAULT: &str = "error,bucketbarctl=warn,engine=warn,bucketfs=warn,nfs=warn,hub=warn,mounter=warn";

/// Starts logging for this process.
pub fn start() {
    let wanted = std::env::var("BUCKETBAR_LOG").ok().filter(|text| !text.is_empty());
    let filter = match wanted.as_deref().map(EnvFilter::try_new) {
        Some(Ok(filter)) => filter,
        Some(Err(error)) => {
            eprintln!("bucketbarctl: BUCKETBAR_LOG is not understood ({error}); logging as without it.");
            EnvFilter::new(DEFAULT)
        }
        None => EnvFilter::new(DEFAULT),
    };
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
}
