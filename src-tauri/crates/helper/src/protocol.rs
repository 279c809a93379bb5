//! What is said over the helper's socket: one line of at most 1,024 bytes in, one or more lines out.
//!
//! Words are separated by tabs; no word can hold one (numbers, hex digits, [`VolumeName`]s).
//! ```text
//! version                              → ok  PROTOCOL  PROGRAM_VERSION
//! mount  PORT  TOKEN  rw|ro  NAME      → ok  PATH
//! unmount  polite|force  NAME          → ok
//! list                                 → ok  COUNT, then COUNT lines: NAME
//! anything else                        → no  CODE  SENTENCE
//! ```
//! One request a connection. `version` is understood by every helper ever shipped, so that an app can tell an old
//! one from a broken one.

use std::fmt;

use crate::volume_name::VolumeName;

/// Raised when a request or an answer changes its meaning.
pub const PROTOCOL: u32 = 1;
/// A request, its newline included.
pub const MAX_REQUEST: usize = 1024;

/// Ports below belong to system services.
const LOWEST_PORT: u16 = 1024;

/// 32 hex digits, lower case: the secret component of an export path. Never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    pub fn parse(text: &str) -> Option<Token> {
        let is_hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        (text.len() == 32 && text.bytes().all(is_hex)).then(|| Token(text.to_owned()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

/// What may be asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    Version,
    Mount(Mount),
    Unmount { volume: VolumeName, force: bool },
    List,
}

/// The caller's server on 127.0.0.1:`port`, exporting `/token/volume`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    pub port: u16,
    pub token: Token,
    pub read_only: bool,
    pub volume: VolumeName,
}

impl Request {
    /// # Errors
    /// A [`Refusal`] with the code `bad-request`; it never repeats what was sent.
    pub fn parse(line: &str) -> Result<Request, Refusal> {
        let words: Vec<&str> = line.split('\t').collect();
        match words.as_slice() {
            ["version"] => Ok(Request::Version),
            ["list"] => Ok(Request::List),
            ["mount", port, token, access, name] => Ok(Request::Mount(Mount {
                port: parse_port(port)?,
                token: Token::parse(token).ok_or_else(|| bad("the token is not 32 hex digits"))?,
                read_only: parse_access(access)?,
                volume: parse_name(name)?,
            })),
            ["unmount", how, name] => {
                let force = match *how {
                    "polite" => false,
                    "force" => true,
                    _ => return Err(bad("it is neither polite nor force")),
                };
                Ok(Request::Unmount { volume: parse_name(name)?, force })
            }
            _ => Err(bad("it is no request of this protocol")),
        }
    }

    /// The line to send, with its newline.
    pub fn encode(&self) -> String {
        match self {
            Request::Version => "version\n".to_owned(),
            Request::List => "list\n".to_owned(),
            Request::Mount(mount) => {
                let access = if mount.read_only { "ro" } else { "rw" };
                format!("mount\t{}\t{}\t{access}\t{}\n", mount.port, mount.token.as_str(), mount.volume)
            }
            Request::Unmount { volume, force } => {
                format!("unmount\t{}\t{volume}\n", if *force { "force" } else { "polite" })
            }
        }
    }
}

fn bad(why: &str) -> Refusal {
    Refusal::new(Code::BadRequest, format!("The request was not understood: {why}."))
}

fn parse_port(word: &str) -> Result<u16, Refusal> {
    let plain = !word.is_empty() && word.bytes().all(|b| b.is_ascii_digit());
    match word.parse::<u16>() {
        Ok(port) if plain && port >= LOWEST_PORT => Ok(port),
        _ => Err(bad("the port is not a number from 1024 to 65535")),
    }
}

fn parse_access(word: &str) -> Result<bool, Refusal> {
    match word {
        "rw" => Ok(false),
        "ro" => Ok(true),
        _ => Err(bad("it is neither rw nor ro")),
    }
}

fn parse_name(word: &str) -> Result<VolumeName, Refusal> {
    VolumeName::parse(word).map_err(|why| Refusal::new(Code::BadRequest, why))
}

/// What is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    Version {
        protocol: u32,
        program: String,
    },
    /// Mounted there.
    Mounted {
        path: String,
    },
    Unmounted,
    /// Volumes mounted for the caller, by name.
    Volumes(Vec<VolumeName>),
    Refused(Refusal),
}

impl Reply {
    pub fn encode(&self) -> String {
        match self {
            Reply::Version { protocol, program } => format!("ok\t{protocol}\t{program}\n"),
            Reply::Mounted { path } => format!("ok\t{path}\n"),
            Reply::Unmounted => "ok\n".to_owned(),
            Reply::Volumes(volumes) => {
                let names: String = volumes.iter().map(|name| format!("{name}\n")).collect();
                format!("ok\t{}\n{names}", volumes.len())
            }
            Reply::Refused(refusal) => format!("no\t{}\t{}\n", refusal.code.word(), refusal.what),
        }
    }

    /// Reads the answer to `request`; `None` when it is none.
    pub fn parse(request: &Request, text: &str) -> Option<Reply> {
        let mut lines = text.strip_suffix('\n')?.split('\n');
        let words: Vec<&str> = lines.next()?.split('\t').collect();
        match (words.as_slice(), request) {
            (["no", code, what], _) => Some(Reply::Refused(Refusal::new(Code::of(code), *what))),
            (["ok", protocol, program, ..], Request::Version) => {
                Some(Reply::Version { protocol: protocol.parse().ok()?, program: (*program).to_owned() })
            }
            (["ok", path], Request::Mount(_)) => Some(Reply::Mounted { path: (*path).to_owned() }),
            (["ok"], Request::Unmount { .. }) => Some(Reply::Unmounted),
            (["ok", count], Request::List) => {
                let volumes: Vec<VolumeName> = lines.map_while(|line| VolumeName::parse(line).ok()).collect();
                (count.parse() == Ok(volumes.len())).then_some(Reply::Volumes(volumes))
            }
            _ => None,
        }
    }
}

/// Why something was not done. `code` is for programs, `what` a sentence for the person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    pub code: Code,
    pub what: String,
}

impl Refusal {
    /// `what` becomes one line: it may quote a system program.
    pub fn new(code: Code, what: impl Into<String>) -> Refusal {
        let what = what.into().chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        Refusal { code, what }
    }
}

/// The closed set of reasons.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    BadRequest,
    /// Not a program or a user the helper works for.
    NotAllowed,
    /// Another request of this caller is under way, or there are too many.
    Busy,
    /// Something of this name is there already.
    Exists,
    /// No mount of this name was made for this caller.
    NotMounted,
    /// Programs have files of it open.
    InUse,
    /// No end within the deadline.
    Timeout,
    /// The system refused; the sentence has its words.
    Failed,
}

const CODES: [(Code, &str); 8] = [
    (Code::BadRequest, "bad-request"),
    (Code::NotAllowed, "not-allowed"),
    (Code::Busy, "busy"),
    (Code::Exists, "exists"),
    (Code::NotMounted, "not-mounted"),
    (Code::InUse, "in-use"),
    (Code::Timeout, "timeout"),
    (Code::Failed, "failed"),
];

impl Code {
    pub fn word(self) -> &'static str {
        CODES.iter().find(|(code, _)| *code == self).map_or("failed", |(_, word)| word)
    }

    /// A code of a newer helper is a failure like any other.
    fn of(word: &str) -> Code {
        CODES.iter().find(|(_, known)| *known == word).map_or(Code::Failed, |(code, _)| *code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "0123456789abcdef0123456789abcdef";

    fn mount() -> Request {
        Request::Mount(Mount {
            port: 20490,
            token: Token::parse(TOKEN).unwrap(),
            read_only: true,
            volume: VolumeName::parse("My, Bucket").unwrap(),
        })
    }

    #[test]
    fn requests_read_back() {
        let unmount = |force| Request::Unmount { volume: VolumeName::parse("a b").unwrap(), force };
        for request in [Request::Version, Request::List, mount(), unmount(true), unmount(false)] {
            let line = request.encode();
            assert!(line.len() <= MAX_REQUEST && line.ends_with('\n'));
            assert_eq!(Request::parse(line.trim_end_matches('\n')), Ok(request));
        }
    }

    #[test]
    fn what_is_no_request_is_refused_without_repeating_it() {
        let bad = [
            "".to_owned(),
            "mount".to_owned(),
            format!("mount\t20490\t{TOKEN}\trw\ta\tb"),
            format!("mount\t80\t{TOKEN}\trw\ta"),
            format!("mount\t+20490\t{TOKEN}\trw\ta"),
            format!("mount\t65536\t{TOKEN}\trw\ta"),
            format!("mount\t20490,fh=00\t{TOKEN}\trw\ta"),
            format!("mount\t20490\t{}\trw\ta", &TOKEN[1..]),
            format!("mount\t20490\t{}\trw\ta", TOKEN.to_uppercase()),
            format!("mount\t20490\t{TOKEN}\trw,suid\ta"),
            format!("mount\t20490\t{TOKEN}\trw\t../secret"),
            format!("mount\t20490\t{TOKEN}\trw\t/etc"),
            "unmount\tpolite\t..".to_owned(),
            "unmount\tnow\ta".to_owned(),
            "VERSION".to_owned(),
        ];
        for line in bad {
            let refusal = Request::parse(&line).unwrap_err();
            assert_eq!(refusal.code, Code::BadRequest, "{line}");
            assert!(!refusal.what.contains("secret") && !refusal.what.contains(TOKEN), "{refusal:?}");
        }
    }

    #[test]
    fn replies_read_back() {
        let name = |name: &str| VolumeName::parse(name).unwrap();
        let pairs = [
            (Request::Version, Reply::Version { protocol: 1, program: "0.1.0".into() }),
            (mount(), Reply::Mounted { path: "/Volumes/My, Bucket".into() }),
            (Request::List, Reply::Volumes(vec![])),
            (Request::List, Reply::Volumes(vec![name("a b"), name("c")])),
            (Request::Unmount { volume: name("a"), force: false }, Reply::Unmounted),
            (mount(), Reply::Refused(Refusal::new(Code::Exists, "It is there."))),
        ];
        for (request, reply) in pairs {
            assert_eq!(Reply::parse(&request, &reply.encode()), Some(reply));
        }
    }

    #[test]
    fn a_reply_of_another_kind_or_cut_short_is_none() {
        for text in ["", "ok", "ok\t2\na\n", "ok\tx\n", "maybe\n", "no\tfailed\n"] {
            assert_eq!(Reply::parse(&Request::List, text), None, "{text:?}");
        }
        let newer = Reply::parse(&Request::List, "no\tsomething-new\tA sentence.\n");
        assert_eq!(newer, Some(Reply::Refused(Refusal::new(Code::Failed, "A sentence."))));
        let later = Reply::parse(&Request::Version, "ok\t9\t4.0.0\textra\n");
        assert_eq!(later, Some(Reply::Version { protocol: 9, program: "4.0.0".into() }));
    }

    #[test]
    fn a_token_is_never_printed_and_a_refusal_stays_one_line() {
        assert!(!format!("{:?}", mount()).contains(TOKEN));
        let said = Reply::Refused(Refusal::new(Code::Failed, "a\nok\t/x")).encode();
        assert_eq!(said.matches('\n').count(), 1);
        assert_eq!(said.matches('\t').count(), 2);
    }
}
