//! Who asks: where the Hub's token comes from. The order is the ecosystem's (hub-api.md 1):
//! `HF_TOKEN`, `HUGGING_FACE_HUB_TOKEN`, the file `HF_TOKEN_PATH`, else `token` in `HF_HOME`. A sign-in of
//! BucketBar's own comes between the variables and the file.

use std::env;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use url::Url;

use crate::error::{ErrorClass, HubError};

/// Asked before every call, so that a token can be changed or refreshed while mounts run.
#[async_trait]
pub trait TokenSource: Send + Sync {
    /// The token to send now; `None` asks anonymously.
    async fn token(&self) -> Result<Option<String>, HubError>;

    /// The Hub refused `token` (401). Whether [`token`](Self::token) has another one now that is worth a
    /// try.
    async fn refused(&self, _token: &str) -> bool {
        false
    }

    /// Where it comes from, for people ("the environment variable HF_TOKEN"). Never the token.
    fn describe(&self) -> String;
}

/// A token that doesn't change.
pub struct StaticToken {
    token: Option<String>,
    origin: String,
}

impl StaticToken {
    pub fn new(token: impl Into<String>, origin: impl Into<String>) -> StaticToken {
        StaticToken { token: Some(token.into()), origin: origin.into() }
    }

    pub fn anonymous() -> StaticToken {
        StaticToken { token: None, origin: "nobody is signed in".to_owned() }
    }
}

#[async_trait]
impl TokenSource for StaticToken {
    async fn token(&self) -> Result<Option<String>, HubError> {
        Ok(self.token.clone())
    }

    fn describe(&self) -> String {
        self.origin.clone()
    }
}

/// The file the `hf` command line keeps its token in. Read again at each call: `hf auth login` in a
/// terminal takes effect at once. Never written.
pub struct TokenFile {
    path: PathBuf,
}

impl TokenFile {
    pub fn new(path: impl Into<PathBuf>) -> TokenFile {
        TokenFile { path: path.into() }
    }

    /// Where `hf auth login` keeps its token on this machine, whether somebody is signed in there or
    /// not. A sign-in of `hf` in the browser is renewed by `hf` alone: renewing or copying it here would
    /// sign `hf` out.
    pub fn of_hf() -> Option<TokenFile> {
        token_path(|name| env::var(name).ok()).map(TokenFile::new)
    }

    /// Whether there is such a file; not whether its token is good.
    pub fn is_there(&self) -> bool {
        self.path.is_file()
    }
}

#[async_trait]
impl TokenSource for TokenFile {
    async fn token(&self) -> Result<Option<String>, HubError> {
        match tokio::fs::read_to_string(&self.path).await {
            Ok(text) => Ok(clean(&text)),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(e) => {
                Err(HubError::local(format!("The token file {} can't be read.", self.path.display()), e))
            }
        }
    }

    fn describe(&self) -> String {
        format!("the file {}", self.path.display())
    }
}

/// The first of several sources that has a token. Asked anew at each call: signing in or out in one of
/// them takes effect at once.
struct FirstOf {
    sources: Vec<Arc<dyn TokenSource>>,
    /// Index of the source that gave the last token.
    last: AtomicUsize,
}

impl FirstOf {
    fn new(sources: Vec<Arc<dyn TokenSource>>) -> FirstOf {
        FirstOf { sources, last: AtomicUsize::new(usize::MAX) }
    }

    fn giver(&self) -> Option<&Arc<dyn TokenSource>> {
        self.sources.get(self.last.load(Ordering::Relaxed))
    }
}

#[async_trait]
impl TokenSource for FirstOf {
    async fn token(&self) -> Result<Option<String>, HubError> {
        for (index, source) in self.sources.iter().enumerate() {
            if let Some(token) = source.token().await? {
                self.last.store(index, Ordering::Relaxed);
                return Ok(Some(token));
            }
        }
        self.last.store(usize::MAX, Ordering::Relaxed);
        Ok(None)
    }

    async fn refused(&self, token: &str) -> bool {
        match self.giver() {
            Some(source) => source.refused(token).await,
            None => false,
        }
    }

    fn describe(&self) -> String {
        self.giver().map_or_else(|| "nobody is signed in".to_owned(), |source| source.describe())
    }
}

/// The token of this machine: an environment variable's, else that of `own` (BucketBar's sign-in), else
/// the `hf` command line's.
pub fn discover_token_with(own: Arc<dyn TokenSource>) -> Arc<dyn TokenSource> {
    if let Some(token) = token_in_environment(|name| env::var(name).ok()) {
        return token;
    }
    let mut sources = vec![own];
    if let Some(file) = TokenFile::of_hf() {
        sources.push(Arc::new(file));
    }
    Arc::new(FirstOf::new(sources))
}

fn token_in_environment(var: impl Fn(&str) -> Option<String>) -> Option<Arc<dyn TokenSource>> {
    ["HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"].into_iter().find_map(|name| {
        let token = var(name).as_deref().and_then(clean)?;
        let source = StaticToken::new(token, format!("the environment variable {name}"));
        Some(Arc::new(source) as Arc<dyn TokenSource>)
    })
}

/// The token this machine's environment offers. Without any, asks anonymously until the token file
/// appears.
pub fn discover_token() -> Arc<dyn TokenSource> {
    discover_token_in(|name| env::var(name).ok())
}

/// The Hub this machine's environment means: `HF_ENDPOINT`, else `https://huggingface.co`.
pub fn discover_endpoint() -> Result<Url, HubError> {
    discover_endpoint_in(|name| env::var(name).ok())
}

fn discover_token_in(var: impl Fn(&str) -> Option<String>) -> Arc<dyn TokenSource> {
    if let Some(token) = token_in_environment(&var) {
        return token;
    }
    match token_path(var) {
        Some(path) => Arc::new(TokenFile::new(path)),
        None => Arc::new(StaticToken::anonymous()),
    }
}

fn token_path(var: impl Fn(&str) -> Option<String>) -> Option<PathBuf> {
    let set = |name: &str| var(name).filter(|v| !v.is_empty());
    if let Some(path) = set("HF_TOKEN_PATH") {
        return Some(path.into());
    }
    let home = set("HF_HOME").map(PathBuf::from).or_else(|| {
        let cache = set("XDG_CACHE_HOME")
            .map(PathBuf::from)
            .or_else(|| set("HOME").map(|home| PathBuf::from(home).join(".cache")));
        cache.map(|cache| cache.join("huggingface"))
    });
    home.map(|home| home.join("token"))
}

fn discover_endpoint_in(var: impl Fn(&str) -> Option<String>) -> Result<Url, HubError> {
    let text = var("HF_ENDPOINT").filter(|v| !v.is_empty());
    parse_endpoint(text.as_deref().unwrap_or("https://huggingface.co"))
}

/// An endpoint as people write it; a token is only ever sent over TLS or to this machine.
pub fn parse_endpoint(text: &str) -> Result<Url, HubError> {
    let refuse = |why: &str| {
        HubError::new(ErrorClass::Rejected, format!("“{text}” can't be used as the Hub's address: {why}."))
            .with_advice("Set HF_ENDPOINT to an address like https://huggingface.co.")
    };
    let url = Url::parse(text.trim_end_matches('/')).map_err(|e| refuse(&e.to_string()).caused_by(e))?;
    let loopback = match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(ip)) => ip.is_loopback() || ip.is_private(),
        Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
        None => return Err(refuse("it has no host")),
    };
    match url.scheme() {
        "https" => Ok(url),
        "http" if loopback => Ok(url),
        "http" => Err(refuse("it is not encrypted (http)")),
        _ => Err(refuse("it is not a web address")),
    }
}

fn clean(text: &str) -> Option<String> {
    let token: String = text.chars().filter(|c| !matches!(c, '\n' | '\r')).collect();
    let token = token.trim();
    (!token.is_empty()).then(|| token.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vars(pairs: &[(&str, &str)]) -> impl Fn(&str) -> Option<String> {
        let owned: Vec<(String, String)> =
            pairs.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
        move |name| owned.iter().find(|(k, _)| k == name).map(|(_, v)| v.clone())
    }

    #[tokio::test]
    async fn the_environment_comes_before_the_file() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("token"), "hf_file\n").unwrap();
        let home = dir.path().to_str().unwrap();
        let found = discover_token_in(vars(&[("HF_TOKEN", " hf_env\n"), ("HF_HOME", home)]));
        assert_eq!(found.token().await.unwrap().as_deref(), Some("hf_env"));
        let found = discover_token_in(vars(&[("HF_TOKEN", ""), ("HF_HOME", home)]));
        assert_eq!(found.token().await.unwrap().as_deref(), Some("hf_file"));
    }

    #[tokio::test]
    async fn a_login_in_a_terminal_takes_effect_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        let found = discover_token_in(vars(&[("HF_TOKEN_PATH", path.to_str().unwrap())]));
        assert_eq!(found.token().await.unwrap(), None);
        std::fs::write(&path, "hf_new").unwrap();
        assert_eq!(found.token().await.unwrap().as_deref(), Some("hf_new"));
    }

    #[test]
    fn the_token_path_follows_the_ecosystem() {
        let at = |pairs: &[(&str, &str)]| token_path(vars(pairs)).unwrap();
        assert_eq!(at(&[("HF_TOKEN_PATH", "/t"), ("HF_HOME", "/h")]), PathBuf::from("/t"));
        assert_eq!(at(&[("HF_HOME", "/h"), ("HOME", "/u")]), PathBuf::from("/h/token"));
        assert_eq!(at(&[("XDG_CACHE_HOME", "/c"), ("HOME", "/u")]), PathBuf::from("/c/huggingface/token"));
        assert_eq!(at(&[("HOME", "/u")]), PathBuf::from("/u/.cache/huggingface/token"));
    }

    #[test]
    fn an_unencrypted_hub_elsewhere_is_refused() {
        assert!(parse_endpoint("http://hub.example.com").is_err());
        assert!(parse_endpoint("ftp://localhost").is_err());
        assert!(parse_endpoint("huggingface.co").is_err());
        assert_eq!(parse_endpoint("http://127.0.0.1:8080/").unwrap().port(), Some(8080));
        assert_eq!(parse_endpoint("https://huggingface.co/").unwrap().as_str(), "https://huggingface.co/");
    }
}
