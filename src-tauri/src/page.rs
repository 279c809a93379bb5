//! The pages of the web view, one window each.

use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Page {
    Activity,
    Settings,
    Welcome,
    NewBucket,
    Offline,
}

/// Width and height in points.
pub type Size = (f64, f64);

impl Page {
    pub const ALL: [Page; 5] =
        [Page::Activity, Page::Settings, Page::Welcome, Page::NewBucket, Page::Offline];

    /// The window's label, and the page's name in its address.
    pub fn name(self) -> &'static str {
        match self {
            Page::Activity => "activity",
            Page::Settings => "settings",
            Page::Welcome => "welcome",
            Page::NewBucket => "new-bucket",
            Page::Offline => "offline",
        }
    }

    pub fn of_name(name: &str) -> Option<Page> {
        Page::ALL.into_iter().find(|page| page.name() == name)
    }

    pub fn title(self) -> &'static str {
        match self {
            Page::Activity => "Activity",
            Page::Settings => "Settings",
            Page::Welcome => "Welcome to BucketBar",
            Page::NewBucket => "New Bucket",
            Page::Offline => "Keep Offline",
        }
    }

    /// At first, and the smallest.
    pub fn sizes(self) -> (Size, Size) {
        match self {
            Page::Activity => ((760.0, 600.0), (420.0, 360.0)),
            Page::Settings => ((720.0, 560.0), (480.0, 400.0)),
            Page::Welcome => ((620.0, 560.0), (460.0, 480.0)),
            Page::NewBucket => ((460.0, 420.0), (400.0, 360.0)),
            Page::Offline => ((620.0, 520.0), (420.0, 360.0)),
        }
    }

    /// The address inside the app; `entry` is a row of the Activity to show.
    pub fn address(self, entry: Option<u64>) -> String {
        match (self, entry) {
            (Page::Activity, Some(entry)) => format!("index.html#/activity/{entry}"),
            _ => format!("index.html#/{}", self.name()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_found_by_its_name_and_by_no_other() {
        for page in Page::ALL {
            assert_eq!(Page::of_name(page.name()), Some(page));
            assert_eq!(
                serde_json::to_value(page).unwrap_or_default(),
                page.name(),
                "the same name on the wire"
            );
        }
        for name in ["", "Activity", "activity/1", "../activity", "https://example.org"] {
            assert_eq!(Page::of_name(name), None, "{name}");
        }
    }

    #[test]
    fn a_row_is_part_of_the_activitys_address_only() {
        assert_eq!(Page::Activity.address(Some(7)), "index.html#/activity/7");
        assert_eq!(Page::Settings.address(Some(7)), "index.html#/settings");
    }
}
