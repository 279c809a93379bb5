//! One app for each user and state directory. The lock decides, not the socket: it goes with its process,
//! `kill -9` included. The socket beside it only carries the wish of a second start: "show this page".

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::time::{Duration, Instant};

use crate::page::Page;

const LOCK: &str = "window.lock";
const SOCKET: &str = "window.sock";
/// How long a second start waits for the first one to listen, and each to be heard.
const PATIENCE: Duration = Duration::from_secs(2);

pub enum Claim {
    First(Single),
    /// It runs already. Whether it could be told to show the page; true when there was none to show.
    Second {
        told: bool,
    },
}

/// This process is the app, as long as this lives.
pub struct Single {
    listener: Option<UnixListener>,
    _lock: File,
}

impl Single {
    /// # Errors
    /// When the directory cannot be made or written to.
    pub fn claim(folder: &Path, page: Option<Page>) -> io::Result<Claim> {
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(folder.join(LOCK))?;
        match rustix::fs::flock(&lock, rustix::fs::FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Claim::First(Single { listener: listen(&folder.join(SOCKET)), _lock: lock })),
            Err(rustix::io::Errno::WOULDBLOCK) => {
                Ok(Claim::Second { told: page.is_none_or(|page| tell(&folder.join(SOCKET), page)) })
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Calls `show` for each later start, for ever. Blocks: give it a thread.
    pub fn serve(&self, show: impl Fn(Page)) {
        let Some(listener) = &self.listener else { return };
        for stream in listener.incoming() {
            match stream.and_then(heard) {
                Ok(Some(page)) => show(page),
                Ok(None) => tracing::warn!("a second start asked for a page that is not there"),
                Err(error) => tracing::warn!("a second start could not be heard: {error}"),
            }
        }
    }
}

/// Without a socket (its path may be too long for one) a second start still ends, it just shows nothing.
fn listen(path: &Path) -> Option<UnixListener> {
    let bind = || {
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(path)?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
        Ok(listener)
    };
    bind().inspect_err(|error| tracing::warn!("{} cannot be listened on: {error}", path.display())).ok()
}

fn heard(stream: UnixStream) -> io::Result<Option<Page>> {
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut word = String::new();
    (&stream).take(64).read_to_string(&mut word)?;
    Ok(Page::of_name(word.trim()))
}

/// The first one holds its lock a moment before it listens.
fn tell(path: &Path, page: Page) -> bool {
    let until = Instant::now() + PATIENCE;
    loop {
        let sent = UnixStream::connect(path).and_then(|mut stream| stream.write_all(page.name().as_bytes()));
        if sent.is_ok() {
            return true;
        }
        if Instant::now() > until {
            return false;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn the_second_start_shows_its_page_in_the_first() -> io::Result<()> {
        let folder = tempfile::tempdir()?;
        let Claim::First(first) = Single::claim(folder.path(), Some(Page::Activity))? else {
            panic!("nobody was there")
        };
        let (sender, shown) = mpsc::channel();
        std::thread::spawn(move || {
            first.serve(|page| {
                let _ = sender.send(page);
            });
        });
        assert!(matches!(Single::claim(folder.path(), None)?, Claim::Second { told: true }), "in silence");
        for page in [Page::Activity, Page::Settings] {
            assert!(matches!(Single::claim(folder.path(), Some(page))?, Claim::Second { told: true }));
            assert_eq!(shown.recv_timeout(PATIENCE), Ok(page));
        }
        Ok(())
    }

    #[test]
    fn what_a_crash_left_behind_is_no_app() -> io::Result<()> {
        let folder = tempfile::tempdir()?;
        drop(Single::claim(folder.path(), Some(Page::Activity))?);
        assert!(folder.path().join(SOCKET).exists(), "as after kill -9, the socket is still there");
        assert!(matches!(Single::claim(folder.path(), Some(Page::Activity))?, Claim::First(_)));
        Ok(())
    }

    #[test]
    fn nonsense_on_the_socket_shows_nothing_and_ends_nothing() -> io::Result<()> {
        let folder = tempfile::tempdir()?;
        let Claim::First(first) = Single::claim(folder.path(), Some(Page::Activity))? else {
            panic!("nobody was there")
        };
        let (sender, shown) = mpsc::channel();
        std::thread::spawn(move || {
            first.serve(|page| {
                let _ = sender.send(page);
            });
        });
        for nonsense in [&b"\xff\xfe"[..], b"../../etc", &[b'a'; 4096]] {
            let mut stream = UnixStream::connect(folder.path().join(SOCKET))?;
            let _ = stream.write_all(nonsense); // the other side reads 64 bytes and goes
        }
        assert!(matches!(Single::claim(folder.path(), Some(Page::Welcome))?, Claim::Second { told: true }));
        assert_eq!(shown.recv_timeout(PATIENCE), Ok(Page::Welcome));
        Ok(())
    }

    #[test]
    fn only_this_user_can_reach_it() -> io::Result<()> {
        let folder = tempfile::tempdir()?;
        let home = folder.path().join("state");
        let _first = Single::claim(&home, Some(Page::Activity))?;
        let mode = |path: &Path| fs::metadata(path).map(|metadata| metadata.permissions().mode() & 0o777);
        assert_eq!((mode(&home)?, mode(&home.join(SOCKET))?, mode(&home.join(LOCK))?), (0o700, 0o600, 0o600));
        Ok(())
    }
}
