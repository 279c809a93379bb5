//! Sizes, times, tables and the sentences that several commands say.

use std::borrow::Cow;

use engine::{ItemState, QueueItem, Status, app};

pub use engine::words::{files, size};

/// Milliseconds since 1970.
pub fn now_ms() -> i64 {
    chrono::Utc::now().timestamp_millis()
}

/// A moment, in UTC.
pub fn time(ms: i64) -> String {
    chrono::DateTime::from_timestamp_millis(ms)
        .map_or_else(|| ms.to_string(), |time| time.format("%Y-%m-%d %H:%M:%S UTC").to_string())
}

/// Columns two blanks apart, as wide as needed; the last one is left as it is.
pub fn table(rows: &[Vec<String>]) -> String {
    let rows: Vec<Vec<Cow<'_, str>>> =
        rows.iter().map(|row| row.iter().map(|cell| harmless(cell)).collect()).collect();
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for row in &rows {
        let mut line = String::new();
        for (column, cell) in row.iter().enumerate() {
            line.push_str(cell);
            if column + 1 < row.len() {
                line.push_str(&" ".repeat(widths[column] - cell.chars().count() + 2));
            }
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// `text` as it may reach a terminal: control characters (a name can hold a terminal's escape sequence, a newline) and
/// those that turn the direction of writing as `\u{…}`. Lines are the caller's: a newline in `text` is one of its own.
pub fn harmless(text: &str) -> Cow<'_, str> {
    if !text.contains(is_harmful) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match is_harmful(c) {
            true => shown.extend(c.escape_unicode()),
            false => shown.push(c),
        }
    }
    Cow::Owned(shown)
}

fn is_harmful(c: char) -> bool {
    c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// `text` as one word of a shell's command line.
pub fn word(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+@".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', "'\\''"))
}

/// One line about a bucket, in the words that the app has for it.
pub fn state_line(status: &Status) -> String {
    let line = app::of_servers([status], now_ms()).line;
    match &status.revision {
        Some(revision) => format!("Read-only, revision {revision} · {line}"),
        None if status.read_only => format!("Read-only · {line}"),
        None => line,
    }
}

/// What an item of the queue is doing, and what the person can do.
pub fn item_state(item: &QueueItem) -> String {
    match &item.state {
        ItemState::Queued => "queued".to_owned(),
        ItemState::Waiting { why, .. } => format!("waiting: {why}"),
        ItemState::Uploading { done, total } => {
            format!("uploading {} of {}", size(*done), size(*total))
        }
        ItemState::Committing => "almost there".to_owned(),
        ItemState::Held { why, advice } => format!("waits for your word: {why}. {advice}"),
        ItemState::Failed { why, advice, .. } => format!("failed: {why} {advice}").trim_end().to_owned(),
        ItemState::LocalOnly { why } => format!("on this machine only: {why}"),
    }
}

/// The queue as a table, at most `limit` rows.
pub fn queue_table(items: &[QueueItem], limit: usize) -> String {
    let row = |item: &QueueItem| {
        let bytes = if item.action == "upload" { size(item.bytes) } else { String::new() };
        vec![item.action.clone(), bytes, item.path.clone(), item_state(item)]
    };
    let rows: Vec<Vec<String>> = items.iter().take(limit).map(row).collect();
    let mut text = table(&rows);
    if items.len() > limit {
        text.push_str(&format!("and {} more\n", items.len() - limit));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_stays_one_word_of_a_shell() {
        assert_eq!(word("/Volumes/models"), "/Volumes/models");
        assert_eq!(word("/Volumes/My Bucket"), "'/Volumes/My Bucket'");
        assert_eq!(word("/a/$(it's)"), "'/a/$(it'\\''s)'");
    }

    #[test]
    fn nothing_that_steers_a_terminal_is_shown() {
        assert_eq!(harmless("größe \u{1faa3}.txt"), "größe \u{1faa3}.txt");
        for (name, shown) in [
            ("a\u{1b}[2Jb", "a\\u{1b}[2Jb"),
            ("a\nb\r\t", "a\\u{a}b\\u{d}\\u{9}"),
            ("\u{9b}31m", "\\u{9b}31m"),
            ("txt.\u{202e}exe", "txt.\\u{202e}exe"),
        ] {
            assert_eq!(harmless(name), shown);
        }
        let rows =
            [vec!["x\u{1b}]0;t\u{7}".to_owned(), "y\nz".to_owned()], vec!["1".to_owned(), "2".to_owned()]];
        let text = table(&rows);
        assert_eq!(text.lines().count(), 2, "{text}");
        assert!(!text.contains(|c: char| c.is_control() && c != '\n'), "{text:?}");
    }

    #[test]
    fn columns_line_up() {
        let rows =
            [vec!["a".into(), "é".into(), "x y".into()], vec!["long".into(), String::new(), "z".into()]];
        assert_eq!(table(&rows), "a     é  x y\nlong     z\n");
    }

    #[test]
    fn the_line_is_that_of_the_app() {
        let saved = Status { all_saved: true, online: true, ..Status::default() };
        assert_eq!(state_line(&saved), "All saved");
        assert_eq!(state_line(&Status { read_only: true, ..saved.clone() }), "Read-only · All saved");
        let local = state_line(&Status { local_only: 3, ..saved });
        assert!(
            local.starts_with("3 items on this ") && local.ends_with(" only · the rest is saved"),
            "{local}"
        );
        let busy = Status {
            all_saved: false,
            online: true,
            queued: 1,
            uploading: 1,
            failed: 1,
            unsent_bytes: 2_000_000,
            ..Status::default()
        };
        assert_eq!(state_line(&busy), "1 file needs you · uploading 2 files");
        assert_eq!(state_line(&Status { failed: 0, ..busy.clone() }), "Uploading 2 files · 2.0 MB left");
        let paused = Status { paused: true, failed: 0, ..busy.clone() };
        assert_eq!(state_line(&paused), "Paused · 2 files waiting");
        let offline = Status { online: false, failed: 0, ..busy };
        assert_eq!(state_line(&offline), "Offline: 2 files waiting");
        let writing = Status { online: true, ..Status::default() };
        assert_eq!(state_line(&writing), "Saving 1 file");
    }

    #[test]
    fn long_queues_are_cut() {
        let item = QueueItem {
            path: "a b".into(),
            action: "upload".into(),
            bytes: 5,
            attempts: 0,
            state: ItemState::Failed {
                class: engine::FailureClass::Quota,
                why: "No room.".into(),
                advice: "Free some.".into(),
            },
        };
        let text = queue_table(&vec![item; 3], 2);
        assert_eq!(text.lines().count(), 3);
        assert!(text.starts_with("upload  5 B  a b  failed: No room. Free some.\n"));
        assert!(text.ends_with("and 1 more\n"));
    }
}
