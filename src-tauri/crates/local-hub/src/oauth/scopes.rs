//! Scopes, and what each lets a token do with buckets (hub-api.md part 3; that buckets go by the
//! `-repos` scopes is inferred there).

use crate::accounts::Role;

/// Every scope the Hub documents.
pub const KNOWN: [&str; 18] = [
    "openid",
    "profile",
    "email",
    "read-billing",
    "read-memberships",
    "read-repos",
    "gated-repos",
    "contribute-repos",
    "write-repos",
    "manage-repos",
    "read-collections",
    "write-collections",
    "inference-api",
    "read-endpoints",
    "write-endpoints",
    "jobs",
    "webhooks",
    "write-discussions",
];

/// What an app gets that asks for nothing.
pub const DEFAULT: [&str; 5] = ["openid", "profile", "read-memberships", "write-repos", "manage-repos"];

/// The most a token of these scopes may do.
pub fn role(scopes: &[String]) -> Role {
    let has = |scope: &str| scopes.iter().any(|one| one == scope);
    if has("manage-repos") {
        Role::Manage
    } else if has("write-repos") {
        Role::Write
    } else if has("read-repos") {
        Role::Read
    } else {
        Role::Public
    }
}
