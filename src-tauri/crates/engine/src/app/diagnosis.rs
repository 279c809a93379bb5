//! The text of "Copy diagnostics": what helps to find a fault, without a token or a file's content.

use std::fmt::Write;

use super::core::App;
use crate::words;

const EVENTS: usize = 200;

pub(super) fn text(app: &App) -> String {
    let state = app.state();
    let about = &state.about;
    let mut text = String::new();
    let mut say = |line: String| {
        let _ = writeln!(text, "{line}");
    };
    say(format!("BucketBar {} on {} {}", about.version, std::env::consts::OS, std::env::consts::ARCH));
    say(format!("Hub: {}", about.hub));
    say(format!(
        "Runs since {} (pid {})",
        words::moment(about.started_ms, super::core::now()),
        std::process::id()
    ));
    say(format!("State: {}", state.status.line));
    state.status.details.iter().for_each(|line| say(format!("  {line}")));
    say(format!(
        "Mounting: {}",
        about.mount_problem.as_ref().map_or("possible".to_owned(), ToString::to_string)
    ));
    say("\nAccounts".to_owned());
    for account in &state.accounts {
        say(format!("  {} {:?} {:?} in {}", account.id, account.kind, account.health, account.kept_in));
    }
    say("\nMounts (system's table)".to_owned());
    match app.config.mounts.mounts() {
        // The token lets one mount: only its beginning is shown, to tell mounts apart.
        Ok(mounts) => mounts.iter().for_each(|mount| {
            let token: String = mount.token.chars().take(4).collect();
            say(format!("  {} {token}…", mount.mount_point.display()));
        }),
        Err(error) => say(format!("  {error}")),
    }
    say("\nBuckets in use".to_owned());
    for bucket in state.buckets.iter().flat_map(|group| &group.buckets).filter(|bucket| bucket.sync.is_some())
    {
        say(format!("  {} {:?} {:?}", bucket.id, bucket.mount, bucket.sync));
    }
    say(format!("\nSettings\n  {:?}", state.settings));
    say("\nActivity".to_owned());
    for entry in state.activity.iter().take(EVENTS) {
        say(format!(
            "  {} {:?} ×{}{} {} {}",
            entry.last_ms,
            entry.kind,
            entry.count,
            if entry.solved { " solved" } else { "" },
            entry.what,
            entry.advice
        ));
    }
    say("\nLast events".to_owned());
    for slot in app.all_slots() {
        let Some(live) = slot.live() else { continue };
        let events = live.notices.after(0);
        for event in events.iter().rev().take(EVENTS).rev() {
            say(format!("  {} {} {:?} {}", event.at_ms, slot.id, event.kind, event.what));
        }
    }
    without_secrets(&text)
}

/// No text that looks like a secret leaves, wherever it came from: access tokens, keys of mounts.
fn without_secrets(text: &str) -> String {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while !rest.is_empty() {
        let word_end = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
        let (word, after) = rest.split_at(word_end);
        let token = word.starts_with("hf_") || word.starts_with("api_org");
        let key = word.len() == 32 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
        out.push_str(if token || key { "…" } else { word });
        let other_end = after.find(is_word).unwrap_or(after.len());
        let (other, next) = after.split_at(other_end);
        out.push_str(other);
        rest = next;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_taken_out_wherever_they_stand() {
        let text = "a hf_abc123, (hf_oauth_x_y) 0123456789abcdef0123456789abcdef/photos hf é\n";
        assert_eq!(without_secrets(text), "a …, (…) …/photos hf é\n");
    }
}
