//! Who is calling, and what they may do.
//!
//! A namespace (the part of a bucket's id before `/`) is a user or an organization. Own buckets and
//! those of one's organizations may be written, when both the token and the membership say so; public
//! buckets may be read by everybody; a private one of somebody else does not exist. An OAuth token does
//! what its scopes say, in the organizations its user picked.

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;

use http::HeaderMap;

use crate::hub_error::HubError;
use crate::oauth::{Grant, scopes};

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

/// What a token, or a membership, allows at most. Each includes those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// See public buckets.
    Public,
    /// See private ones too.
    Read,
    /// Change files.
    Write,
    /// Create, move, delete buckets and change their settings.
    Manage,
}

impl Role {
    /// As whoami-v2 says it of a token.
    pub fn name(self) -> &'static str {
        if self >= Role::Write { "write" } else { "read" }
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
    /// Signed in by OAuth, not with an access token.
    pub oauth: bool,
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

    /// What the caller may do with buckets of `namespace`.
    pub fn role_in(&self, namespace: &str) -> Role {
        match self {
            Caller::Anonymous => Role::Public,
            Caller::User(identity) => identity.role_in(namespace),
        }
    }
}

impl Identity {
    /// The lesser of what the token and the membership allow.
    fn role_in(&self, namespace: &str) -> Role {
        if namespace == self.user {
            return self.role;
        }
        let membership = self.orgs.iter().find(|(name, _)| name == namespace);
        membership.map_or(Role::Public, |(_, role)| self.role.min(*role))
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

    /// Whose access token this is.
    pub fn identity_of_token(&self, token: &str) -> Option<Identity> {
        let known = self.tokens.iter().find(|known| known.token == token)?;
        let orgs = self.orgs_of(&known.user);
        Some(Identity { user: known.user.clone(), role: known.role, orgs, oauth: false })
    }

    /// Who an OAuth sign-in stands for: no organization but those the person picked.
    pub fn identity_of_grant(&self, grant: &Grant) -> Identity {
        let mut orgs = self.orgs_of(&grant.user);
        orgs.retain(|(name, _)| grant.orgs.contains(name));
        Identity { user: grant.user.clone(), role: scopes::role(&grant.scopes), orgs, oauth: true }
    }

    /// Every user's name, once.
    pub fn users(&self) -> BTreeSet<&str> {
        self.tokens.iter().map(|token| token.user.as_str()).collect()
    }

    /// The organizations of a user, with the role in each.
    pub fn orgs_of(&self, user: &str) -> Vec<(String, Role)> {
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
        None => (text, Role::Manage),
        Some((user, "read")) => (user, Role::Read),
        Some((user, "write")) => (user, Role::Manage),
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
