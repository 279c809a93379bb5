//! Sizes, times, tables and the sentences that several commands say.

use engine::{ItemState, QueueItem, Status};

pub use engine::words::{files, size};

/// A moment, in UTC.
pub fn time(ms: i64) -> String {
    chrono::DateTime::from_timestamp_millis(ms)
        .map_or_else(|| ms.to_string(), |time| time.format("%Y-%m-%d %H:%M:%S UTC").to_string())
}

/// Columns two blanks apart, as wide as needed; the last one is left as it is.
pub fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for row in rows {
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

/// One line about everything: what is saved and what is not.
pub fn state_line(status: &Status) -> String {
    let mut parts = Vec::new();
    if status.read_only {
        parts.push("Read-only".to_owned());
    }
    if status.failed > 0 {
        let need = if status.failed == 1 { "needs" } else { "need" };
        parts.push(format!("{} {need} you", files(status.failed)));
    }
    let moving = status.queued + status.uploading + status.waiting;
    if moving > 0 {
        parts.push(moving_line(status, moving));
    } else if status.failed == 0 && status.all_saved {
        parts.push("All saved".to_owned());
    } else if status.failed == 0 && status.held_deletes == 0 {
        parts.push("Being written".to_owned());
    }
    if status.held_deletes > 0 {
        let wait = if status.held_deletes == 1 { "deletion waits" } else { "deletions wait" };
        parts.push(format!("{} {wait} for your word", status.held_deletes));
    }
    if status.conflicts > 0 {
        let conflicts = if status.conflicts == 1 { "conflict" } else { "conflicts" };
        parts.push(format!("{} {conflicts}", status.conflicts));
    }
    if status.local_only > 0 {
        let items = if status.local_only == 1 { "item" } else { "items" };
        parts.push(format!("{} {items} on this machine only", status.local_only));
    }
    parts.join(" · ")
}

fn moving_line(status: &Status, moving: u64) -> String {
    let left = size(status.unsent_bytes);
    if status.paused {
        return format!("Paused: {} waiting ({left})", files(moving));
    }
    if !status.online {
        return format!("Offline: {} waiting ({left})", files(moving));
    }
    format!("Uploading {} ({left} left)", files(moving))
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
    fn columns_line_up() {
        let rows =
            [vec!["a".into(), "é".into(), "x y".into()], vec!["long".into(), String::new(), "z".into()]];
        assert_eq!(table(&rows), "a     é  x y\nlong     z\n");
    }

    #[test]
    fn one_line_says_it_all() {
        let saved = Status { all_saved: true, online: true, ..Status::default() };
        assert_eq!(state_line(&saved), "All saved");
        let local = Status { local_only: 3, ..saved.clone() };
        assert_eq!(state_line(&local), "All saved · 3 items on this machine only");
        let busy = Status {
            all_saved: false,
            online: true,
            queued: 1,
            uploading: 1,
            failed: 1,
            unsent_bytes: 2_000_000,
            ..Status::default()
        };
        assert_eq!(state_line(&busy), "1 file needs you · Uploading 2 files (2.0 MB left)");
        let paused = Status { paused: true, failed: 0, ..busy.clone() };
        assert_eq!(state_line(&paused), "Paused: 2 files waiting (2.0 MB)");
        let offline = Status { online: false, failed: 0, ..busy };
        assert_eq!(state_line(&offline), "Offline: 2 files waiting (2.0 MB)");
        let writing = Status { online: true, ..Status::default() };
        assert_eq!(state_line(&writing), "Being written");
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
