//! Asking the root helper, with a deadline on everything.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use helper::VolumeName;
use helper::places::Places;
use helper::protocol::{Mount, PROTOCOL, Refusal, Reply, Request};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

/// For what the helper answers from memory; launchd may have to start it first.
const SHORT: Duration = Duration::from_secs(10);
/// Longer than the helper's own deadlines, so that its answer is heard.
const MOUNT: Duration = Duration::from_secs(45);
const UNMOUNT: Duration = Duration::from_secs(130);
/// The longest answer: a list of volumes.
const LONGEST: u64 = 64 << 10;

/// The helper of this machine, by its socket.
#[derive(Debug, Clone)]
pub struct HelperClient {
    socket: PathBuf,
}

/// What is known of the helper.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HelperState {
    /// It answers and speaks our protocol.
    Ready,
    /// It was never installed, or was removed.
    Absent,
    /// Installed, and the person has yet to allow it (System Settings, Login Items).
    NeedsApproval,
    /// It speaks an older protocol: an update replaced the app and not the helper.
    TooOld,
    /// It speaks a newer protocol: an older app is running.
    TooNew,
    /// It is there and does not answer, or not in words of any protocol.
    Silent(String),
}

/// Why a request came to nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unanswered {
    /// Nobody listens.
    Absent,
    Late,
    /// The connection broke, or the answer was none.
    Broken(String),
}

impl HelperClient {
    /// At the socket that this system's helper has.
    pub fn here() -> HelperClient {
        HelperClient { socket: Places::default().socket }
    }

    pub fn at(socket: impl Into<PathBuf>) -> HelperClient {
        HelperClient { socket: socket.into() }
    }

    /// Whether it can be used. Never fails: that it does not answer is an answer.
    pub async fn state(&self) -> HelperState {
        match self.ask(&Request::Version, SHORT).await {
            Ok(Reply::Version { protocol, .. }) => judge_version(protocol),
            Ok(Reply::Refused(refusal)) => HelperState::Silent(refusal.what),
            Ok(_) => HelperState::Silent("Its answer was none.".to_owned()),
            Err(Unanswered::Absent) => HelperState::Absent,
            Err(Unanswered::Late) => HelperState::Silent("It did not answer in time.".to_owned()),
            Err(Unanswered::Broken(why)) => HelperState::Silent(why),
        }
    }

    /// The version of its program; `None` when it does not answer.
    pub async fn version(&self) -> Option<String> {
        match self.ask(&Request::Version, SHORT).await {
            Ok(Reply::Version { program, .. }) => Some(program),
            _ => None,
        }
    }

    /// On return the caller's server is mounted there.
    pub async fn mount(&self, mount: Mount) -> Result<Result<PathBuf, Refusal>, Unanswered> {
        match self.ask(&Request::Mount(mount), MOUNT).await? {
            Reply::Mounted { path } => Ok(Ok(path.into())),
            Reply::Refused(refusal) => Ok(Err(refusal)),
            _ => Err(no_answer()),
        }
    }

    /// On return it is unmounted and its folder is gone; also when it had been ejected before.
    pub async fn unmount(&self, volume: VolumeName, force: bool) -> Result<Result<(), Refusal>, Unanswered> {
        match self.ask(&Request::Unmount { volume, force }, UNMOUNT).await? {
            Reply::Unmounted => Ok(Ok(())),
            Reply::Refused(refusal) => Ok(Err(refusal)),
            _ => Err(no_answer()),
        }
    }

    /// What it has mounted for this user.
    pub async fn list(&self) -> Result<Vec<VolumeName>, Unanswered> {
        match self.ask(&Request::List, SHORT).await? {
            Reply::Volumes(volumes) => Ok(volumes),
            Reply::Refused(refusal) => Err(Unanswered::Broken(refusal.what)),
            _ => Err(no_answer()),
        }
    }

    async fn ask(&self, request: &Request, limit: Duration) -> Result<Reply, Unanswered> {
        match tokio::time::timeout(limit, exchange(&self.socket, request)).await {
            Err(_) => Err(Unanswered::Late),
            Ok(Ok(text)) => Reply::parse(request, &text).ok_or_else(no_answer),
            Ok(Err(error)) => match error.kind() {
                io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => Err(Unanswered::Absent),
                _ => Err(Unanswered::Broken(error.to_string())),
            },
        }
    }
}

fn no_answer() -> Unanswered {
    Unanswered::Broken("its answer was not understood".to_owned())
}

async fn exchange(socket: &Path, request: &Request) -> io::Result<String> {
    let mut stream = UnixStream::connect(socket).await?;
    stream.write_all(request.encode().as_bytes()).await?;
    let mut text = String::new();
    stream.take(LONGEST).read_to_string(&mut text).await?;
    if text.is_empty() {
        return Err(io::Error::other("it ended the conversation"));
    }
    Ok(text)
}

fn judge_version(protocol: u32) -> HelperState {
    match protocol.cmp(&PROTOCOL) {
        std::cmp::Ordering::Equal => HelperState::Ready,
        std::cmp::Ordering::Less => HelperState::TooOld,
        std::cmp::Ordering::Greater => HelperState::TooNew,
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::UnixListener;

    use super::*;

    async fn answering(text: &'static str) -> (tempfile::TempDir, HelperClient) {
        let temp = tempfile::tempdir().unwrap();
        let socket = temp.path().join("s");
        let listener = UnixListener::bind(&socket).unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut asked = [0; 1024];
                let _ = stream.read(&mut asked).await;
                let _ = stream.write_all(text.as_bytes()).await;
            }
        });
        (temp, HelperClient::at(socket))
    }

    #[tokio::test]
    async fn the_state_is_what_the_helper_says_of_itself() {
        let (_here, client) = answering("ok\t1\t0.1.0\n").await;
        assert_eq!(client.state().await, HelperState::Ready);
        let (_here, client) = answering("ok\t0\t0.0.9\n").await;
        assert_eq!(client.state().await, HelperState::TooOld);
        let (_here, client) = answering("ok\t2\t1.0.0\tmore\n").await;
        assert_eq!(client.state().await, HelperState::TooNew);
        let (_here, client) = answering("hello\n").await;
        assert!(matches!(client.state().await, HelperState::Silent(_)));
        let (_here, client) = answering("").await;
        assert!(matches!(client.state().await, HelperState::Silent(_)));
        let nobody = HelperClient::at("/no/such/socket");
        assert_eq!(nobody.state().await, HelperState::Absent);
    }

    #[tokio::test]
    async fn a_refusal_keeps_its_sentence() {
        let (_here, client) = answering("no\texists\tThere is one already.\n").await;
        let refused = client.unmount(VolumeName::parse("a").unwrap(), false).await.unwrap().unwrap_err();
        assert_eq!(refused.what, "There is one already.");
    }
}
