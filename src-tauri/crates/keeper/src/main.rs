//! `bucketbar-keeper --socket PATH`: started by a server that finds none, ends by itself when it holds nothing.
//! `--resume FILE` is how it goes on after its own upgrade.

#![forbid(unsafe_code)]

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use keeper::server::Keeper;
use keeper::{VERSION, upgrade};

fn main() -> ExitCode {
    let mut args = std::env::args_os().skip(1);
    let what = args.next().unwrap_or_default();
    match (what.to_str(), args.next().map(PathBuf::from), args.next()) {
        (Some("--version"), None, None) => {
            println!("bucketbar-keeper {VERSION}");
            ExitCode::SUCCESS
        }
        (Some("--socket"), Some(socket), None) if socket.is_absolute() => ended(start(&socket)),
        (Some("--resume"), Some(file), None) => ended(upgrade::resume(&file).and_then(Keeper::run)),
        _ => {
            eprintln!("bucketbar-keeper: BucketBar's servers start it by themselves. Usage: --socket PATH");
            ExitCode::from(2)
        }
    }
}

fn start(socket: &std::path::Path) -> io::Result<()> {
    rustix::process::umask(rustix::fs::Mode::RWXG | rustix::fs::Mode::RWXO);
    // The terminal of whoever started it may close. Fails only for a leader of a group, which is away from it.
    let _ = rustix::process::setsid();
    // It holds no folder busy.
    let _ = std::env::set_current_dir("/");
    Keeper::bind(socket)?.map_or(Ok(()), Keeper::run)
}

fn ended(result: io::Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bucketbar-keeper: {error}");
            ExitCode::from(1)
        }
    }
}
