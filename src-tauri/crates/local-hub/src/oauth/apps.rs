//! Registered apps: all of them public (no secret).

use std::str::FromStr;

use super::scopes::{self, KNOWN};
use super::{OAuthResult, refuse};

/// The official command line's own app, which signs in by device code.
const HF_CLI: &str = "26be6b09-91c5-47da-9861-d2d2bb7a7e36";

/// `CLIENT_ID=REDIRECT_URI,REDIRECT_URI`
#[derive(Clone, Debug)]
pub struct App {
    client: String,
    redirects: Vec<String>,
}

impl FromStr for App {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (client, redirects) = text.split_once('=').ok_or("CLIENT_ID=REDIRECT_URI,…")?;
        let redirects = redirects.split(',').filter(|uri| !uri.is_empty()).map(str::to_string).collect();
        Ok(Self { client: client.into(), redirects })
    }
}

/// Every app this Hub knows.
pub struct Apps {
    apps: Vec<App>,
}

impl Apps {
    pub fn new(apps: &[App]) -> Self {
        let mut apps = apps.to_vec();
        apps.push(App { client: HF_CLI.into(), redirects: Vec::new() });
        Self { apps }
    }

    fn known(&self, client: &str) -> OAuthResult<&App> {
        let found = self.apps.iter().find(|app| app.client == client);
        found.map_or_else(|| refuse("invalid_client", "no such app"), Ok)
    }

    /// Whether the app may be answered at `redirect`: exactly as registered, but for the port of a
    /// loopback address.
    pub fn check_redirect(&self, client: &str, redirect: &str) -> OAuthResult<()> {
        let app = self.known(client)?;
        let matches = |registered: &String| without_port(registered) == without_port(redirect);
        if app.redirects.iter().any(matches) {
            return Ok(());
        }
        refuse("invalid_request", "redirect_uri is not one of the app's")
    }

    /// The scopes of a sign-in: what was asked for, or all the app may have.
    pub fn scopes(&self, client: &str, asked: &str) -> OAuthResult<Vec<String>> {
        self.known(client)?;
        if asked.trim().is_empty() {
            return Ok(scopes::DEFAULT.map(str::to_string).to_vec());
        }
        match asked.split_whitespace().find(|scope| !KNOWN.contains(scope)) {
            Some(unknown) => refuse("invalid_scope", format!("{unknown} is no scope")),
            None => Ok(asked.split_whitespace().map(str::to_string).collect()),
        }
    }
}

/// A loopback URI without its port; any other as it is (so that it must match exactly).
fn without_port(uri: &str) -> String {
    for host in ["http://127.0.0.1", "http://localhost", "http://[::1]"] {
        let Some(rest) = uri.strip_prefix(host) else { continue };
        let path_at = rest.find(['/', '?']).unwrap_or(rest.len());
        let (port, path) = rest.split_at(path_at);
        let is_port = port.strip_prefix(':').is_some_and(|digits| digits.parse::<u16>().is_ok());
        if port.is_empty() || is_port {
            return format!("{host}{path}");
        }
    }
    uri.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_redirect_must_match_but_for_a_loopback_port() {
        let apps = Apps::new(&["app=http://127.0.0.1/callback,myapp://back".parse().unwrap()]);
        let good = |redirect: &str| apps.check_redirect("app", redirect).is_ok();
        assert!(
            good("http://127.0.0.1/callback")
                && good("http://127.0.0.1:4711/callback")
                && good("myapp://back")
        );
        assert!(!good("http://127.0.0.1:4711/other"), "the path must match");
        assert!(!good("http://localhost:4711/callback"), "hosts are matched one by one");
        assert!(!good("http://127.0.0.1.evil.example/callback"), "a longer host is another host");
        assert!(!good("http://127.0.0.1:80@evil.example/callback"));
        assert!(!good("myapp://back/more") && !good("http://127.0.0.1:4711/callback?x=1"));
        assert!(apps.check_redirect("other", "http://127.0.0.1/callback").is_err());
    }
}
