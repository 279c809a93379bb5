//! Which picture the tray shows. Each state has a shape of its own; `icons/draw` draws them.

use engine::app::api::state::Icon;

/// The name of the state in `icons/tray`.
pub fn file_stem(icon: Icon) -> &'static str {
    match icon {
        Icon::Idle => "idle",
        Icon::Syncing => "syncing",
        Icon::Paused => "paused",
        Icon::Attention => "attention",
        Icon::Offline => "offline",
        Icon::SignedOut => "signed_out",
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    const ALL: [Icon; 6] =
        [Icon::Idle, Icon::Syncing, Icon::Paused, Icon::Attention, Icon::Offline, Icon::SignedOut];

    #[test]
    fn each_state_has_pictures_of_its_own_in_each_size() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../icons/tray");
        for size in ["36", "44", "panel"] {
            let pictures = ALL.map(|icon| {
                let file = folder.join(format!("{}-{size}.png", file_stem(icon)));
                std::fs::read(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
            });
            for (at, picture) in pictures.iter().enumerate() {
                assert_eq!(&picture[..8], b"\x89PNG\r\n\x1a\n");
                assert!(!pictures[..at].contains(picture), "{:?} at {size} looks like another", ALL[at]);
            }
        }
    }
}
