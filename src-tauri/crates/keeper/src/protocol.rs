//! What a server and the keeper say to each other. Fields are only ever added, with defaults: a keeper and a
//! server of different versions must understand each other.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Raised when an old program could not make sense of a new one's words.
pub const PROTOCOL: u32 = 1;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Request {
    /// First on every connection. `program` is the caller's own keeper: one of a newer `version` takes the
    /// old one's place, in the same process and with the same sockets.
    Hello { protocol: u32, version: String, program: Option<PathBuf> },
    /// A listener, please: answered with [`Reply::Kept`] and the socket. From then on this connection stands
    /// for the server's life: its end without a goodbye is the server's death.
    Keep(Registration),
    /// The same, of a server whose keeper died: the listener comes with the request.
    Adopt(Registration),
    /// How this connection's server is started again from now on.
    Respawn(Option<Respawn>),
    /// This connection's server ends in order, or its listener is of no more use: the port is closed.
    Goodbye,
    /// Closes the port of a server that is not there any more, and starts it no more.
    Release { key: PathBuf },
    /// Answered with [`Reply::Held`].
    List,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    Welcome {
        protocol: u32,
        version: String,
        pid: u32,
    },
    /// With the socket, where one was asked for.
    Kept {
        port: u16,
    },
    Done,
    Held(Vec<Held>),
    Refused(Refusal),
}

/// A server and its port.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registration {
    /// The state directory: one server for each, whatever its port.
    pub key: PathBuf,
    /// On 127.0.0.1.
    pub port: u16,
    pub pid: u32,
    pub serves: Serves,
    /// Started again with this when it dies.
    pub respawn: Option<Respawn>,
}

/// What is served: two servers of overlapping files would not see each other's changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Serves {
    pub hub: String,
    pub bucket: String,
    pub prefix: String,
}

/// A command line, without anything secret in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Respawn {
    pub program: PathBuf,
    pub args: Vec<String>,
    /// All of the environment, see [`crate::environment`].
    pub env: Vec<(String, String)>,
    /// Where its stderr is appended to, and what the keeper has to say of it.
    pub log: PathBuf,
}

/// One port that is held.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    pub key: PathBuf,
    pub port: u16,
    pub pid: u32,
    pub serves: Serves,
    pub life: Life,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Life {
    /// The server runs.
    Alive,
    /// It died and is being started again.
    Reviving,
    /// It died and was not to be started again; its port waits for the next start.
    Dead,
    /// It died too often in a row and is not started any more.
    GivenUp,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    /// Somebody else has the port.
    PortTaken { port: u16 },
    /// The system does not let it be bound: `errno`.
    Bind { port: u16, errno: i32 },
    /// Another server serves the same files.
    Overlap { bucket: String, key: PathBuf },
    /// The request makes no sense, and why.
    Bad { why: String },
}
