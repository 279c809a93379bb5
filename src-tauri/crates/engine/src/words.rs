//! Figures as people read them: one place for every sentence of the engine and the command line.

pub use bucketfs::figures::size;

/// `1 file`, `2 files`.
pub fn files(count: u64) -> String {
    counted(count, "file", "files")
}

/// `1 box`, `2 boxes`.
pub fn counted(count: u64, one: &str, many: &str) -> String {
    if count == 1 { format!("1 {one}") } else { format!("{count} {many}") }
}

/// `40 s`, `4 min`, `2 h 10 min`, `3 days`: no finer than anybody can know it.
pub fn duration(seconds: u64) -> String {
    match seconds {
        0..=9 => "a few seconds".to_owned(),
        10..=89 => format!("{} s", seconds.div_ceil(10) * 10),
        90..=5399 => format!("{} min", seconds.div_ceil(60)),
        5400..=172_799 => {
            let minutes = seconds / 60;
            let (hours, rest) = (minutes / 60, minutes % 60 / 10 * 10);
            if rest == 0 || hours >= 10 { format!("{hours} h") } else { format!("{hours} h {rest} min") }
        }
        _ => format!("{} days", seconds / 86_400),
    }
}

/// `a, b and 3 more`: at most `shown` of `names`.
pub fn some_of(names: &[String], shown: usize) -> String {
    let first = names.iter().take(shown).map(String::as_str).collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(shown) {
        0 => first,
        more => format!("{first} and {more} more"),
    }
}

/// The last part of a path: what a person calls the file.
pub fn file_name(path: &str) -> &str {
    path.trim_end_matches('/').rsplit('/').next().unwrap_or(path)
}

/// `14:02` today, `Mon 14:02` this week, `3 Nov` before: in this machine's time zone.
pub fn moment(at_ms: i64, now_ms: i64) -> String {
    use chrono::{Local, TimeZone};
    let local = |ms: i64| Local.timestamp_millis_opt(ms).single();
    let (Some(at), Some(now)) = (local(at_ms), local(now_ms)) else { return String::new() };
    let days = now.date_naive().signed_duration_since(at.date_naive()).num_days();
    let form = match days {
        0 => "%H:%M",
        -6..=6 => "%a %H:%M",
        _ => "%-d %b",
    };
    at.format(form).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        let shown = [0, 999, 1000, 1_449_999, 999_949_999, 999_950_000, u64::MAX].map(size);
        assert_eq!(shown, ["0 B", "999 B", "1.0 kB", "1.4 MB", "999.9 MB", "1.0 GB", "18446.7 PB"]);
    }

    #[test]
    fn durations_are_no_finer_than_anybody_knows_them() {
        let shown = [3, 31, 89, 90, 240, 5399, 5400, 7800, 36_000, 300_000].map(duration);
        let said = [
            "a few seconds",
            "40 s",
            "90 s",
            "2 min",
            "4 min",
            "90 min",
            "1 h 30 min",
            "2 h 10 min",
            "10 h",
            "3 days",
        ];
        assert_eq!(shown, said);
    }

    #[test]
    fn names_and_moments() {
        let names: Vec<String> = ["a", "b", "c"].map(str::to_owned).to_vec();
        assert_eq!(some_of(&names, 2), "a, b and 1 more");
        assert_eq!(some_of(&names, 3), "a, b, c");
        assert_eq!((file_name("a/b c"), file_name("x"), file_name("d/")), ("b c", "x", "d"));
        let noon = 1_700_000_000_000;
        assert_eq!(moment(noon, noon).len(), 5);
        assert!(moment(noon, noon + 2 * 86_400_000).len() > 5);
        assert_eq!(moment(i64::MAX, 0), "");
    }
}
