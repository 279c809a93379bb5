//! The systemd user unit, and the autostart entry of desktops without systemd.

use std::path::Path;

pub const UNIT: &str = "bucketbar.service";
pub const ENTRY: &str = "bucketbar.desktop";

/// The unit that runs `program` with the graphical session.
///
/// `on-failure`: Quit (exit code 0) ends it, a crash or a kill brings it back. `KillMode=process`: what holds the
/// listening sockets through a crash is a child and must survive it. `StartLimitIntervalSec=0`: it is never given
/// up, because a mount without its server hangs.
pub fn unit(program: &Path) -> String {
    let program = quoted(&program.to_string_lossy());
    format!(
        "[Unit]\n\
         Description=BucketBar, Hugging Face buckets as folders\n\
         PartOf=graphical-session.target\n\
         After=graphical-session.target\n\
         StartLimitIntervalSec=0\n\
         \n\
         [Service]\n\
         ExecStart={program} --supervised\n\
         Restart=on-failure\n\
         RestartSec=1\n\
         KillMode=process\n\
         TimeoutStopSec=20\n\
         \n\
         [Install]\n\
         WantedBy=graphical-session.target\n"
    )
}

/// The autostart entry; it starts the app and cannot bring it back.
pub fn autostart(program: &Path) -> String {
    let program = quoted(&program.to_string_lossy()).replace('\\', "\\\\");
    format!("[Desktop Entry]\nType=Application\nName=BucketBar\nExec={program} --quiet\nTerminal=false\n")
}

/// One word of a command line, whatever is in it; `%` and `$` would be filled in.
fn quoted(word: &str) -> String {
    let mut text = String::from("\"");
    for c in word.chars() {
        match c {
            '"' | '\\' => text.extend(['\\', c]),
            '%' => text.push_str("%%"),
            '$' => text.push_str("$$"),
            '\n' => text.push_str("\\n"),
            _ => text.push(c),
        }
    }
    text + "\""
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_comes_back_after_a_crash_and_its_children_survive_one() {
        let text = unit(Path::new("/opt/bucketbar"));
        for line in ["ExecStart=\"/opt/bucketbar\" --supervised", "Restart=on-failure", "KillMode=process"] {
            assert!(text.lines().any(|there| there == line), "{line}");
        }
    }

    #[test]
    fn a_strange_path_stays_one_word() {
        let text = unit(Path::new("/a \"b\"/100%/$HOME/x"));
        assert!(text.contains("ExecStart=\"/a \\\"b\\\"/100%%/$$HOME/x\" --supervised\n"), "{text}");
    }
}
