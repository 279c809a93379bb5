//! The RPC header (RFC 5531 9): what is called, by whom, and the answers to calls we can't serve.

use bytes::Bytes;

use crate::reply::Reply;
use crate::xdr::{Args, Out};

/// RFC 5531 8.2: the longest credential or verifier.
const MAX_AUTH: usize = 400;
/// RFC 5531 appendix A: bounds within AUTH_SYS.
const MAX_MACHINE_NAME: usize = 255;
const MAX_GROUPS: usize = 16;

const CALL: u32 = 0;
const REPLY: u32 = 1;
const RPC_VERSION: u32 = 2;

const MSG_ACCEPTED: u32 = 0;
const MSG_DENIED: u32 = 1;
const RPC_MISMATCH: u32 = 0;
const AUTH_ERROR: u32 = 1;

const AUTH_NONE: u32 = 0;
const AUTH_SYS: u32 = 1;

/// Who says to be calling.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Credential {
    /// AUTH_NONE: nobody in particular.
    Anonymous,
    /// AUTH_SYS: this uid, by its own word.
    Uid(u32),
}

/// All that AUTH_SYS says of a caller, for a server of many users.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    pub uid: u32,
    pub gid: u32,
    groups: [u32; MAX_GROUPS],
    in_groups: usize,
}

impl Caller {
    /// `groups` beyond the sixteen that AUTH_SYS has room for are left out.
    pub fn new(uid: u32, gid: u32, groups: &[u32]) -> Self {
        let in_groups = groups.len().min(MAX_GROUPS);
        let mut caller = Caller { uid, gid, groups: [0; MAX_GROUPS], in_groups };
        caller.groups[..in_groups].copy_from_slice(&groups[..in_groups]);
        caller
    }

    pub fn groups(&self) -> &[u32] {
        &self.groups[..self.in_groups]
    }
}

/// A well-formed call, procedure and arguments not yet looked at.
#[derive(Debug, Clone)]
pub struct Call {
    pub xid: u32,
    pub program: u32,
    pub version: u32,
    pub procedure: u32,
    pub credential: Credential,
    /// The credential's bytes, for the identity of the call.
    pub credential_bytes: Bytes,
    pub args: Args,
}

/// RFC 5531 9 `auth_stat`, as far as used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum AuthProblem {
    BadCredential = 1,
    BadVerifier = 3,
    TooWeak = 5,
}

/// RFC 5531 9: why a call that reached us is not carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rejection {
    RpcMismatch,
    Auth(AuthProblem),
    ProgramUnavailable,
    ProgramMismatch { low: u32, high: u32 },
    ProcedureUnavailable,
    GarbageArguments,
}

impl Rejection {
    pub fn reply(self) -> Reply {
        let mut out = Out::with_capacity(24);
        match self {
            Rejection::RpcMismatch => {
                denied(&mut out, RPC_MISMATCH);
                out.u32(RPC_VERSION);
                out.u32(RPC_VERSION);
            }
            Rejection::Auth(problem) => {
                denied(&mut out, AUTH_ERROR);
                out.u32(problem as u32);
            }
            Rejection::ProgramUnavailable => accepted(&mut out, 1),
            Rejection::ProgramMismatch { low, high } => {
                accepted(&mut out, 2);
                out.u32(low);
                out.u32(high);
            }
            Rejection::ProcedureUnavailable => accepted(&mut out, 3),
            Rejection::GarbageArguments => accepted(&mut out, 4),
        }
        out.into()
    }
}

/// The start of a successful reply, room for `more` bytes of results reserved.
pub fn success(more: usize) -> Out {
    let mut out = Out::with_capacity(20 + more);
    accepted(&mut out, 0);
    out
}

fn accepted(out: &mut Out, accept_stat: u32) {
    out.u32(REPLY);
    out.u32(MSG_ACCEPTED);
    // Our verifier is AUTH_NONE, empty.
    out.u32(AUTH_NONE);
    out.u32(0);
    out.u32(accept_stat);
}

fn denied(out: &mut Out, reject_stat: u32) {
    out.u32(REPLY);
    out.u32(MSG_DENIED);
    out.u32(reject_stat);
}

/// What a record turned out to be.
#[derive(Debug)]
pub enum Parsed {
    Call(Call),
    /// Answer this and go on.
    Reject {
        xid: u32,
        rejection: Rejection,
    },
    /// Not a call at all: the connection is of no use.
    Nonsense,
}

/// Takes the header of a record.
pub fn parse(record: Bytes) -> Parsed {
    let mut args = Args::new(record);
    let (Ok(xid), Ok(CALL), Ok(rpc_version)) = (args.u32(), args.u32(), args.u32()) else {
        return Parsed::Nonsense;
    };
    if rpc_version != RPC_VERSION {
        return Parsed::Reject { xid, rejection: Rejection::RpcMismatch };
    }
    let (Ok(program), Ok(version), Ok(procedure)) = (args.u32(), args.u32(), args.u32()) else {
        return Parsed::Nonsense;
    };
    match authentication(&mut args) {
        Ok((credential, credential_bytes)) => {
            Parsed::Call(Call { xid, program, version, procedure, credential, credential_bytes, args })
        }
        Err(problem) => Parsed::Reject { xid, rejection: Rejection::Auth(problem) },
    }
}

fn authentication(args: &mut Args) -> Result<(Credential, Bytes), AuthProblem> {
    let flavor = args.u32().map_err(|_| AuthProblem::BadCredential)?;
    let body = args.opaque(MAX_AUTH).map_err(|_| AuthProblem::BadCredential)?;
    let credential = match flavor {
        AUTH_NONE => Credential::Anonymous,
        AUTH_SYS => Credential::Uid(auth_sys(body.clone())?.uid),
        _ => return Err(AuthProblem::BadCredential),
    };
    // AUTH_NONE and AUTH_SYS have no verifier to check, only one to skip.
    args.u32().map_err(|_| AuthProblem::BadVerifier)?;
    args.opaque(MAX_AUTH).map_err(|_| AuthProblem::BadVerifier)?;
    Ok((credential, body))
}

/// An `authsys_parms` (RFC 5531 appendix A).
pub fn auth_sys(body: Bytes) -> Result<Caller, AuthProblem> {
    let decode = || {
        let mut args = Args::new(body);
        args.u32()?;
        args.opaque(MAX_MACHINE_NAME)?;
        let uid = args.u32()?;
        let gid = args.u32()?;
        let count = args.u32()? as usize;
        if count > MAX_GROUPS || args.rest().len() != count * 4 {
            return Err(crate::xdr::Garbage);
        }
        let mut groups = [0; MAX_GROUPS];
        for group in &mut groups[..count] {
            *group = args.u32()?;
        }
        Ok(Caller { uid, gid, groups, in_groups: count })
    };
    decode().map_err(|_| AuthProblem::BadCredential)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(words: &[u32], rest: &[u8]) -> Bytes {
        let mut bytes: Vec<u8> = words.iter().flat_map(|word| word.to_be_bytes()).collect();
        bytes.extend_from_slice(rest);
        bytes.into()
    }

    fn sys(uid: u32, groups: u32) -> Vec<u8> {
        let mut out = Out::default();
        out.u32(1);
        out.opaque(b"host");
        out.u32(uid);
        out.u32(20);
        out.u32(groups);
        (0..groups).for_each(|group| out.u32(group));
        out.0
    }

    fn call(flavor: u32, body: &[u8]) -> Parsed {
        let mut out = Out::default();
        out.u32(flavor);
        out.opaque(body);
        out.u32(AUTH_NONE);
        out.u32(0);
        out.u32(0xABCD);
        parse(record(&[7, CALL, 2, 100_003, 3, 1], &out.0))
    }

    #[test]
    fn a_call_with_auth_sys_gives_its_uid_and_arguments() {
        let Parsed::Call(mut call) = call(AUTH_SYS, &sys(501, 16)) else { panic!("a call") };
        assert_eq!((call.xid, call.program, call.version, call.procedure), (7, 100_003, 3, 1));
        assert_eq!(call.credential, Credential::Uid(501));
        assert_eq!(call.args.u32().unwrap(), 0xABCD);
    }

    #[test]
    fn broken_and_unknown_credentials_are_rejected_not_believed() {
        let mut short = sys(501, 2);
        short.truncate(short.len() - 4);
        for (flavor, body) in [(AUTH_SYS, sys(501, 17)), (AUTH_SYS, short), (AUTH_SYS, vec![]), (6, vec![])] {
            let Parsed::Reject { xid: 7, rejection } = call(flavor, &body) else { panic!("rejected") };
            assert_eq!(rejection, Rejection::Auth(AuthProblem::BadCredential));
        }
        let too_long = call(AUTH_NONE, &vec![0; MAX_AUTH + 1]);
        assert!(matches!(too_long, Parsed::Reject { .. }));
    }

    #[test]
    fn another_rpc_version_is_told_ours() {
        let Parsed::Reject { rejection, .. } = parse(record(&[7, CALL, 3, 1, 1, 1], &[])) else { panic!() };
        assert_eq!(rejection.reply().head, record(&[1, 1, 0, 2, 2], &[]));
    }

    #[test]
    fn replies_and_stumps_are_nonsense() {
        assert!(matches!(parse(record(&[7, REPLY, 2, 1, 1, 1], &[])), Parsed::Nonsense));
        assert!(matches!(parse(record(&[7, CALL], &[])), Parsed::Nonsense));
        assert!(matches!(parse(record(&[7, CALL, 2, 100_003], &[])), Parsed::Nonsense));
        assert!(matches!(parse(Bytes::new()), Parsed::Nonsense));
    }
}
