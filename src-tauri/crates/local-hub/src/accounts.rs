//! Who is calling, and what they may do.
//!
//! A namespace (the part of a bucket's id before `/`) is a user or an organization. Own buckets and
//! those of one's organizations may be written, when both the token and the membership say so; public
//! buckets may be read by everybody; a private one of somebody else does not exist.

use std::collections::BTreeMap;
use std::str::FromStr;

use http::HeaderMap;

use crate::hub_error::HubError;

/// `TOKEN=USER[:read]`
#[derive(Clone, Debug)]
pub struct TokenArgument {
    pub token: String,
    pub user: String,
    pub role: Role,
}

/// `NAME=USER[:read],…`
#[derive(Clone, Debug)]
pub struct OrgArgument {
    name: String,
    members: Vec<(String, Role)>,
}

/// What a token, or a membership, allows at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    Read,
    Write,
}

impl Role {
    /// As whoami-v2 says it of a token.
    pub fn name(self) -> &'static str {
        match self {
            Role::Read => "read",
            Role::Write => "write",
        }
    }
}

/// The caller of one request.
#[derive(Clone, Debug)]
pub enum Caller {
    Anonymous,
    User(Identity),
}

/// A signed-in caller.
#[derive(Clone, Debug)]
pub struct Identity {
    pub user: String,
    pub role: Role,
    /// Organizations and the caller's role in each.
    pub orgs: Vec<(String, Role)>,
}

impl Caller {
    pub fn is_anonymous(&self) -> bool {
        matches!(self, Caller::Anonymous)
    }

    /// The signed-in caller, or the refusal for those who are not.
    pub fn identity(&self) -> Result<&Identity, HubError> {
        match self {
            Caller::Anonymous => Err(HubError::sign_in()),
            Caller::User(identity) => Ok(identity),
        }
    }

    /// Whether private buckets of `namespace` can be seen.
    pub fn belongs_to(&self, namespace: &str) -> bool {
        match self {
            Caller::Anonymous => false,
            Caller::User(identity) => identity.role_in(namespace).is_some(),
        }
    }

    /// Whether buckets of `namespace` may be changed.
    pub fn may_write(&self, namespace: &str) -> bool {
        match self {
            Caller::Anonymous => false,
            Caller::User(identity) => identity.role_in(namespace) == Some(Role::Write),
        }
    }
}

impl Identity {
    /// The lesser of what the token and the membership allow; `None` for a stranger.
    fn role_in(&self, namespace: &str) -> Option<Role> {
        if namespace == self.user {
            return Some(self.role);
        }
        let (_, role) = self.orgs.iter().find(|(name, _)| name == namespace)?;
        Some(self.role.min(*role))
    }
}

/// Every user, token and organization this Hub knows.
pub struct Accounts {
    tokens: Vec<TokenArgument>,
    orgs: BTreeMap<String, Vec<(String, Role)>>,
}

impl Accounts {
    /// `tokens` is not empty (the command line has a default).
    pub fn new(tokens: &[TokenArgument], orgs: &[OrgArgument]) -> Self {
        let orgs = orgs.iter().map(|org| (org.name.clone(), org.members.clone())).collect();
        Self { tokens: tokens.to_vec(), orgs }
    }

    /// The token named first: what the first line on stdout tells.
    pub fn first(&self) -> &TokenArgument {
        &self.tokens[0]
    }

    /// A user or an organization of that name exists.
    pub fn has_namespace(&self, name: &str) -> bool {
        self.orgs.contains_key(name) || self.tokens.iter().any(|token| token.user == name)
    }

    /// Who calls. A token that nobody has is a refusal, no token is anonymous.
    pub fn caller(&self, headers: &HeaderMap) -> Result<Caller, HubError> {
        let Some(token) = bearer(headers) else { return Ok(Caller::Anonymous) };
        let known =
            self.tokens.iter().find(|known| known.token == token).ok_or_else(HubError::bad_credentials)?;
        Ok(Caller::User(Identity {
            user: known.user.clone(),
            role: known.role,
            orgs: self.orgs_of(&known.user),
        }))
    }

    fn orgs_of(&self, user: &str) -> Vec<(String, Role)> {
        let role =
            |members: &[(String, Role)]| members.iter().find(|(name, _)| name == user).map(|(_, role)| *role);
        self.orgs.iter().filter_map(|(name, members)| Some((name.clone(), role(members)?))).collect()
    }
}

/// The bearer token of a request.
pub fn bearer(headers: &HeaderMap) -> Option<&str> {
    headers.get("authorization")?.to_str().ok()?.strip_prefix("Bearer ")
}

fn user_and_role(text: &str) -> Result<(String, Role), String> {
    let (user, role) = match text.split_once(':') {
        None => (text, Role::Write),
        Some((user, "read")) => (user, Role::Read),
        Some((user, "write")) => (user, Role::Write),
        Some((_, other)) => return Err(format!("{other} is no role: read or write")),
    };
    if user.is_empty() || user.contains('/') {
        Err("a user's name is needed".into())
    } else {
        Ok((user.into(), role))
    }
}

impl FromStr for TokenArgument {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (token, user) = text.split_once('=').ok_or("TOKEN=USER or TOKEN=USER:read")?;
        let (user, role) = user_and_role(user)?;
        Ok(Self { token: token.into(), user, role })
    }
}

impl FromStr for OrgArgument {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, members) = text.split_once('=').ok_or("NAME=USER,USER:read")?;
        let members = members.split(',').map(user_and_role).collect::<Result<_, _>>()?;
        Ok(Self { name: name.into(), members })
    }
}
