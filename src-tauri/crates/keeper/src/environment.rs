//! What of a server's environment is recorded for its next life: what it needs to find its way, no secret.
//!
//! A token in `HF_TOKEN` is therefore not there when a server is started again. It then serves what is on
//! this machine, and its uploads wait for a sign-in that a program can find by itself: `bucketbarctl login`,
//! or the `hf` tools' file.

const WHOLE: &[&str] = &[
    "HOME",
    "PATH",
    "USER",
    "LOGNAME",
    "SHELL",
    "LANG",
    "TZ",
    "TMPDIR",
    "DBUS_SESSION_BUS_ADDRESS",
    // Where an app with windows shows them.
    "DISPLAY",
    "WAYLAND_DISPLAY",
    "XAUTHORITY",
    "HF_ENDPOINT",
    "HF_HOME",
    "HF_TOKEN_PATH",
    "RUST_BACKTRACE",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "NO_PROXY",
    "no_proxy",
];
const BEGINNINGS: &[&str] = &["XDG_", "LC_", "BUCKETBAR_", "HF_XET_"];
/// May name a user and a password before an `@`.
const ADDRESSES: &[&str] =
    &["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy", "HF_ENDPOINT"];
const SECRET_WORDS: &[&str] = &["TOKEN", "SECRET", "PASSWORD", "PASSWD", "CREDENTIAL"];

/// Whether a variable may be recorded.
pub fn may_be_kept(name: &str, value: &str) -> bool {
    if ADDRESSES.contains(&name) {
        return !value.contains('@');
    }
    if WHOLE.contains(&name) {
        return true;
    }
    let secret = SECRET_WORDS.iter().any(|word| name.to_ascii_uppercase().contains(word));
    !secret && BEGINNINGS.iter().any(|beginning| name.starts_with(beginning))
}

/// This process's environment, without what may not be kept and what is not text.
pub fn of_this_process() -> Vec<(String, String)> {
    let text = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    text.filter(|(name, value)| may_be_kept(name, value)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_secret_and_all_that_is_needed() {
        for name in
            ["HOME", "HF_ENDPOINT", "HF_TOKEN_PATH", "XDG_STATE_HOME", "BUCKETBAR_LOG", "LC_ALL", "DISPLAY"]
        {
            assert!(may_be_kept(name, "x"), "{name}");
        }
        for name in
            ["HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "BUCKETBAR_TOKEN", "XDG_SECRET", "AWS_KEY", "EDITOR"]
        {
            assert!(!may_be_kept(name, "x"), "{name}");
        }
        assert!(may_be_kept("https_proxy", "http://proxy:3128"));
        assert!(!may_be_kept("https_proxy", "http://me:word@proxy:3128"));
        assert!(!may_be_kept("HF_ENDPOINT", "https://me:word@hub"));
    }
}
