//! The launchd agent: starts the app with the session, and at once again when it did not end by itself.

use std::path::Path;

use crate::IDENTIFIER;

/// The property list of the agent that runs `program`.
///
/// `SuccessfulExit` false: Quit (exit code 0) ends it, a crash or a kill brings it back. `ThrottleInterval`: as
/// soon as launchd can; a mount waits for its server meanwhile. `AbandonProcessGroup`: what holds the listening
/// sockets through a crash is a child and must survive it. `AssociatedBundleIdentifiers`: System Settings shows it under the app's name.
pub fn property_list(program: &Path) -> String {
    let program = escape(&program.to_string_lossy());
    format!(
        r#"<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<plist version="1.0">
<dict>
	<key>Label</key>
	<string>{IDENTIFIER}</string>
	<key>ProgramArguments</key>
	<array>
		<string>{program}</string>
		<string>--supervised</string>
	</array>
	<key>AssociatedBundleIdentifiers</key>
	<array>
		<string>{IDENTIFIER}</string>
	</array>
	<key>RunAtLoad</key>
	<true/>
	<key>KeepAlive</key>
	<dict>
		<key>SuccessfulExit</key>
		<false/>
	</dict>
	<key>ThrottleInterval</key>
	<integer>1</integer>
	<key>AbandonProcessGroup</key>
	<true/>
	<key>ProcessType</key>
	<string>Interactive</string>
	<key>LimitLoadToSessionType</key>
	<string>Aqua</string>
</dict>
</plist>
"#
    )
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_comes_back_after_a_crash_and_stays_away_after_quit() {
        let text = property_list(Path::new("/Applications/BucketBar.app/Contents/MacOS/bucketbar"));
        let flat: String = text.split_whitespace().collect();
        assert!(flat.contains("<key>KeepAlive</key><dict><key>SuccessfulExit</key><false/></dict>"));
        assert!(flat.contains("<string>/Applications/BucketBar.app/Contents/MacOS/bucketbar</string>"));
        assert!(flat.contains("<key>AbandonProcessGroup</key><true/>"));
    }

    #[test]
    fn a_strange_path_stays_inside_its_string() {
        let text = property_list(Path::new("/a & b/<x></string>/bucketbar"));
        assert!(text.contains("<string>/a &amp; b/&lt;x&gt;&lt;/string&gt;/bucketbar</string>"));
    }
}
