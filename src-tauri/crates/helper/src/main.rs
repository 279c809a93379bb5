//! `bucketbar-helper`: started by launchd (or systemd), as root; see the library.

#![forbid(unsafe_code)]

use std::process::ExitCode;
use std::sync::atomic::AtomicBool;

use helper::places::Places;

const USAGE: &str = "bucketbar-helper [--volumes DIR] [--records DIR] [--socket PATH]

BucketBar's root helper. It mounts BucketBar's own NFS servers of this machine for whoever owns them.
Started by the system; the flags move its places, for tests and packages.
  --version    the version of the program and of its protocol";

fn main() -> ExitCode {
    match places(std::env::args().skip(1)) {
        Ok(Some(places)) => serve(&places),
        Ok(None) => ExitCode::SUCCESS,
        Err(word) => {
            eprintln!("bucketbar-helper: {word:?} was not understood.\n{USAGE}");
            ExitCode::from(2)
        }
    }
}

fn places(mut words: impl Iterator<Item = String>) -> Result<Option<Places>, String> {
    let mut places = Places::default();
    while let Some(word) = words.next() {
        let place = match word.as_str() {
            "--volumes" => &mut places.volumes,
            "--records" => &mut places.records,
            "--socket" => &mut places.socket,
            "--version" => {
                println!(
                    "bucketbar-helper {} (protocol {})",
                    env!("CARGO_PKG_VERSION"),
                    helper::protocol::PROTOCOL
                );
                return Ok(None);
            }
            "--help" => {
                println!("{USAGE}");
                return Ok(None);
            }
            _ => return Err(word),
        };
        *place = words.next().ok_or(word)?.into();
    }
    Ok(Some(places))
}

fn serve(places: &Places) -> ExitCode {
    if !rustix::process::geteuid().is_root() {
        eprintln!("bucketbar-helper: it must run as root; the system starts it.");
        return ExitCode::FAILURE;
    }
    // On macOS `/Volumes` is the system's; elsewhere its counterpart is made here, below a folder of root's.
    if cfg!(not(target_os = "macos"))
        && let Err(error) = make_folder(places)
    {
        eprintln!("bucketbar-helper: {} could not be made ({error}).", places.volumes.display());
        return ExitCode::FAILURE;
    }
    match helper::server::run(places, &AtomicBool::new(false)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bucketbar-helper: {error}");
            ExitCode::FAILURE
        }
    }
}

fn make_folder(places: &Places) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new().recursive(true).mode(0o755).create(&places.volumes)
}
