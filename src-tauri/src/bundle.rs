//! Where the app lies, and what follows from it: what macOS remembers of an app (the helper's registration, the start
//! at login, an update in place) holds only where the app stays.

use std::path::{Component, Path, PathBuf};

/// The kind of place the running program lies in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A whole app where it can stay; its `.app`.
    Installed(PathBuf),
    /// On a disk image, opened without being copied first.
    DiskImage,
    /// macOS runs a copy of it from a place of its own, because it was not moved since its download.
    Translocated,
    /// No app: a program of a developer's build folder, or of a package.
    Loose,
}

/// By the path of the running program alone.
pub fn place(program: &Path) -> Place {
    let Some(app) = app_of(program) else { return Place::Loose };
    let has = |name: &str| app.components().any(|part| part == Component::Normal(name.as_ref()));
    if has("AppTranslocation") {
        Place::Translocated
    } else if app.starts_with("/Volumes") {
        Place::DiskImage
    } else {
        Place::Installed(app)
    }
}

/// `X.app` of `X.app/Contents/MacOS/program`.
fn app_of(program: &Path) -> Option<PathBuf> {
    let folder = program.parent()?;
    let contents = folder.parent()?;
    let app = contents.parent()?;
    let named = folder.file_name()? == "MacOS" && contents.file_name()? == "Contents";
    (named && app.extension()? == "app").then(|| app.to_owned())
}

/// What to do first, where the system would forget the app again; `None` where all is well.
pub fn advice(place: &Place) -> Option<&'static str> {
    match place {
        Place::Installed(_) => None,
        Place::DiskImage => Some("Drag BucketBar from the disk image to Applications, and open it there."),
        Place::Translocated => {
            Some("Move BucketBar to Applications with Finder (or out of it and back), and open it there.")
        }
        Place::Loose => Some("Install BucketBar in Applications; this is a program of its own."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_is_told_from_the_path() {
        let of = |path: &str| place(Path::new(path));
        let app = |path: &str| Place::Installed(path.into());
        assert_eq!(
            of("/Applications/BucketBar.app/Contents/MacOS/bucketbar"),
            app("/Applications/BucketBar.app")
        );
        assert_eq!(
            of("/Users/a/Applications/Bucket Bar.app/Contents/MacOS/bucketbar"),
            app("/Users/a/Applications/Bucket Bar.app")
        );
        assert_eq!(of("/Volumes/BucketBar/BucketBar.app/Contents/MacOS/bucketbar"), Place::DiskImage);
        let moved = "/private/var/folders/ab/T/AppTranslocation/6F/d/BucketBar.app/Contents/MacOS/bucketbar";
        assert_eq!(of(moved), Place::Translocated);
        for loose in
            ["/w/target/release/bucketbar", "/usr/bin/bucketbar", "/x.app/bucketbar", "bucketbar", "/"]
        {
            assert_eq!(of(loose), Place::Loose, "{loose}");
        }
    }

    #[test]
    fn only_an_installed_app_needs_no_advice() {
        assert_eq!(advice(&Place::Installed("/Applications/BucketBar.app".into())), None);
        for place in [Place::DiskImage, Place::Translocated, Place::Loose] {
            assert!(advice(&place).is_some_and(|text| text.contains("Applications")), "{place:?}");
        }
    }
}
