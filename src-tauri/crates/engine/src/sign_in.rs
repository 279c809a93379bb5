//! Signing in to the Hub that `HF_ENDPOINT` means, and where the sign-in is kept.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use hub::{FileSecrets, HubConfig, OAuthApp, SecretStore, SignedIn, Url};
use sha2::{Digest, Sha256};

use crate::error::{EngineError, Result};
use crate::state_home::StateHome;

/// Names the OAuth application to sign in with.
pub const CLIENT_ID_VARIABLE: &str = "BUCKETBAR_CLIENT_ID";
/// What BucketBar is called at a Hub on this machine.
const LOCAL_CLIENT_ID: &str = "bucketbar";

/// The OAuth application to sign in with: `given`, else `BUCKETBAR_CLIENT_ID`, else the built-in one of a
/// Hub on this machine.
///
/// # Errors
/// For any other Hub when nobody named one: an application has to be registered there.
pub fn client_id(given: Option<&str>) -> Result<String> {
    client_id_for(&hub::discover_endpoint()?, given)
}

/// [`client_id`] for the Hub at `endpoint`.
///
/// # Errors
/// As there.
pub fn client_id_for(endpoint: &Url, given: Option<&str>) -> Result<String> {
    let named = given.map(str::to_owned).or_else(|| std::env::var(CLIENT_ID_VARIABLE).ok());
    if let Some(id) = named.filter(|id| !id.trim().is_empty()) {
        return Ok(id.trim().to_owned());
    }
    if is_this_machine(endpoint) {
        return Ok(LOCAL_CLIENT_ID.to_owned());
    }
    if let Some(built_in) = option_env!("BUCKETBAR_BUILD_CLIENT_ID").filter(|id| !id.is_empty()) {
        return Ok(built_in.to_owned());
    }
    Err(EngineError::new(
        format!(
            "This build of BucketBar has no application registered at {}.",
            endpoint.as_str().trim_end_matches('/')
        ),
        format!(
            "Register a public OAuth application there (redirect URI http://127.0.0.1/callback) and name it \
             with --client-id or {CLIENT_ID_VARIABLE}; or paste an access token: bucketbarctl login --token"
        ),
    ))
}

fn is_this_machine(endpoint: &Url) -> bool {
    match endpoint.host_str() {
        Some("localhost" | "[::1]") => true,
        Some(host) => host.parse::<std::net::Ipv4Addr>().is_ok_and(|ip| ip.is_loopback()),
        None => false,
    }
}

/// Where the sign-in at `endpoint` is kept. One file for each Hub: a token never goes to another one.
///
/// # Errors
/// When there is no home directory.
pub fn secrets(endpoint: &Url) -> Result<FileSecrets> {
    let home = StateHome::discover()?;
    Ok(FileSecrets::new(secrets_path(home.path(), endpoint)))
}

fn secrets_path(buckets: &Path, endpoint: &Url) -> PathBuf {
    let origin = endpoint.as_str().trim_end_matches('/');
    let hash: String =
        Sha256::digest(origin.as_bytes()).iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    let name = format!("{}-{hash}.json", endpoint.host_str().unwrap_or("hub").replace(['[', ']', ':'], ""));
    buckets.parent().unwrap_or(buckets).join("sign-in").join(name)
}

/// BucketBar's own sign-in at the Hub of `config`; nobody while nobody signed in. Renewing it needs no
/// application's name: the grant knows whose it is.
pub fn signed_in(config: &HubConfig) -> Result<(SignedIn, Arc<dyn SecretStore>)> {
    let store: Arc<dyn SecretStore> = Arc::new(secrets(&config.endpoint)?);
    let app = OAuthApp::new(config, LOCAL_CLIENT_ID)?;
    Ok((SignedIn::new(app, Arc::clone(&store)), store))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_hub_has_a_sign_in_of_its_own() {
        let at = |url: &str| secrets_path(Path::new("/s/buckets"), &Url::parse(url).unwrap());
        assert!(at("https://huggingface.co").starts_with("/s/sign-in"));
        assert_eq!(at("https://huggingface.co"), at("https://huggingface.co/"));
        assert_ne!(at("http://127.0.0.1:1"), at("http://127.0.0.1:2"));
    }

    #[test]
    fn only_a_hub_on_this_machine_has_a_built_in_application() {
        let is = |url: &str| is_this_machine(&Url::parse(url).unwrap());
        assert!(is("http://127.0.0.1:80") && is("http://localhost:1") && is("http://[::1]:1"));
        assert!(!is("https://huggingface.co") && !is("http://192.168.1.2"));
    }
}
