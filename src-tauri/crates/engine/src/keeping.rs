//! A server's port in the hands of the keeper, so that it outlives a crash (design.md promises 14 and 16).

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use keeper::client::{Failure, Holding, Place};
pub use keeper::protocol::{Held, Life, Respawn};
use keeper::protocol::{Refusal, Registration, Serves};
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::control;
use crate::endpoint::{Endpoint, private_dir};
use crate::error::{EngineError, Result};
use crate::ports::{self, NotHad, PortChoice};
use crate::state_home::StateHome;

const PROGRAM: &str = "bucketbar-keeper";
/// Names the program, where it does not lie beside this one.
const VARIABLE: &str = "BUCKETBAR_KEEPER_BIN";
/// Whether and how a server uses the keeper.
#[derive(Debug, Clone)]
pub struct Keep {
    /// How the server is started again when it dies; `None`: somebody else sees to that.
    pub respawn: Option<Respawn>,
    /// What is added to its command line while it is to end when everything is on the Hub.
    pub finish: Option<&'static str>,
}

/// The keeper's place for this user; `None` where its program is not installed.
///
/// # Errors
/// When there is no home directory, or no folder for the socket.
pub fn place() -> Result<Option<Place>> {
    let Some(program) = program() else { return Ok(None) };
    let home = StateHome::discover()?;
    let dir = home.path().parent().unwrap_or(home.path()).to_owned();
    private_dir(&dir)?;
    let socket = control::short_place(&dir, "keeper.sock")
        .map_err(|error| EngineError::disk("Making the keeper's socket in", &dir, &error))?;
    Ok(Some(Place::new(socket, program)))
}

/// What the keeper holds; nothing where there is none.
pub async fn held() -> Vec<Held> {
    let listed = tokio::task::spawn_blocking(|| place().ok().flatten().map(|place| place.list())).await;
    listed.ok().flatten().and_then(io::Result::ok).unwrap_or_default()
}

/// The port of a server that is not there any more is closed, and it is not started again.
pub async fn release(state_dir: &Path) {
    let key = state_dir.to_owned();
    let released =
        tokio::task::spawn_blocking(move || place().ok().flatten().map(|place| place.release(&key)));
    if let Ok(Some(Err(error))) = released.await {
        tracing::warn!(%error, "the keeper did not let go of the port");
    }
}

/// What of this process's environment a server's next life gets: no secret.
pub fn environment() -> Vec<(String, String)> {
    keeper::environment::of_this_process()
}

/// The keeper's program; `None` where it is not installed.
pub fn program() -> Option<PathBuf> {
    let named = std::env::var_os(VARIABLE).map(PathBuf::from);
    let beside = || Some(std::env::current_exe().ok()?.with_file_name(PROGRAM));
    named.or_else(beside).filter(|path| path.is_file())
}

/// A held port's life beside its server's.
pub(crate) struct Kept {
    holding: Arc<Holding>,
    keep: Keep,
}

impl Kept {
    /// From now on the server is not started again.
    pub(crate) fn no_respawn(&self) {
        self.holding.set_respawn(None);
    }

    /// On return the port is closed, when the server's own listener is.
    pub(crate) async fn goodbye(&self) {
        let holding = Arc::clone(&self.holding);
        let _ = tokio::task::spawn_blocking(move || holding.goodbye()).await;
    }

    /// A server that is finishing is started again as one that is. Ends with the sender.
    pub(crate) fn follow(&self, mut finishing: watch::Receiver<bool>) {
        let (Some(respawn), Some(word)) = (self.keep.respawn.clone(), self.keep.finish) else { return };
        let holding = Arc::downgrade(&self.holding);
        tokio::spawn(async move {
            while finishing.changed().await.is_ok() {
                let Some(holding) = holding.upgrade() else { return };
                let now = *finishing.borrow();
                holding.set_respawn(Some(with_finish(respawn.clone(), word, now)));
            }
        });
    }
}

fn with_finish(mut respawn: Respawn, word: &str, finish: bool) -> Respawn {
    respawn.args.retain(|arg| arg != word);
    if finish {
        respawn.args.push(word.to_owned());
    }
    respawn
}

/// A listener for the server of `endpoint`, in the keeper's hands if there is one.
///
/// # Errors
/// The port is taken, or another server of this user serves the same files.
pub(crate) async fn listen(
    choice: PortChoice,
    keep: Option<Keep>,
    endpoint: &Endpoint,
    state_dir: &Path,
) -> Result<(TcpListener, Option<Kept>)> {
    let Some(keep) = keep else { return Ok((ports::listen(choice)?, None)) };
    let Some(place) = place()? else {
        tracing::warn!("{PROGRAM} is not installed beside this program: a crash closes the port");
        return Ok((ports::listen(choice)?, None));
    };
    let registration = Registration {
        key: state_dir.to_owned(),
        port: 0,
        pid: std::process::id(),
        serves: Serves {
            hub: endpoint.hub.clone(),
            bucket: endpoint.bucket_id.clone(),
            prefix: endpoint.prefix.clone(),
        },
        respawn: keep.respawn.clone(),
    };
    let asked = tokio::task::spawn_blocking(move || {
        ports::choose(choice, |port| have(&place, Registration { port, ..registration.clone() }))
    });
    let (listener, holding) = asked.await.map_err(|error| {
        EngineError::new(format!("Asking the keeper for a port failed ({error})."), "Try again.")
    })??;
    let listener = TcpListener::from_std(listener)
        .map_err(|error| EngineError::new(format!("The listener is of no use ({error})."), "Try again."))?;
    Ok((listener, holding.map(|holding| Kept { holding: Arc::new(holding), keep })))
}

fn have(
    place: &Place,
    wanted: Registration,
) -> std::result::Result<(std::net::TcpListener, Option<Holding>), NotHad> {
    let port = wanted.port;
    match place.keep(wanted) {
        Ok((listener, holding)) => Ok((listener, Some(holding))),
        Err(Failure::Refused(Refusal::PortTaken { .. })) => {
            Err(NotHad::Port(io::ErrorKind::AddrInUse.into()))
        }
        Err(Failure::Refused(Refusal::Bind { errno, .. })) => {
            Err(NotHad::Port(io::Error::from_raw_os_error(errno)))
        }
        Err(Failure::Refused(Refusal::Overlap { bucket, key })) => Err(NotHad::Any(overlap(&bucket, &key))),
        // Served without a keeper is better than not served.
        Err(Failure::Refused(Refusal::Bad { why })) => {
            tracing::warn!(why, "the keeper refused");
            plain(port)
        }
        Err(Failure::Away(error)) => {
            tracing::warn!(%error, "no keeper: a crash closes the port");
            plain(port)
        }
    }
}

fn plain(port: u16) -> std::result::Result<(std::net::TcpListener, Option<Holding>), NotHad> {
    let bound = std::net::TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, port))
        .and_then(|listener| listener.set_nonblocking(true).map(|()| listener));
    bound.map(|listener| (listener, None)).map_err(NotHad::Port)
}

/// Two states of one file would not see each other's changes.
fn overlap(bucket: &str, key: &Path) -> EngineError {
    EngineError::new(
        format!(
            "{bucket} is served already, with the state directory {}, and shares files with this.",
            key.display()
        ),
        "Use it there, or end that one first and let its uploads finish.",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finishing_server_comes_back_as_one() {
        let respawn = Respawn {
            program: "/b".into(),
            args: vec!["serve".into(), "u/b".into()],
            env: vec![],
            log: "/log".into(),
        };
        let change = |respawn, finish| with_finish(respawn, "--finish", finish);
        let finishing = change(change(respawn.clone(), true), true);
        assert_eq!(finishing.args, ["serve", "u/b", "--finish"]);
        assert_eq!(change(finishing, false), respawn);
    }
}
