//! Who am I (hub-api.md 2.1).

use axum::Json;
use serde_json::{Value, json};

use crate::accounts::{Caller, Role};
use crate::hub_error::HubResult;

/// `GET /api/whoami-v2`
pub async fn whoami(caller: Caller) -> HubResult<Json<Value>> {
    let identity = caller.identity()?;
    let user = &identity.user;
    let org = |(name, role): &(String, Role)| {
        let role = if *role == Role::Write { "admin" } else { "read" };
        json!({"type": "org", "id": format!("org-{name}"), "name": name, "fullname": name, "avatarUrl": "",
            "roleInOrg": role, "isEnterprise": false})
    };
    let orgs: Vec<Value> = identity.orgs.iter().map(org).collect();
    let token = json!({"displayName": format!("{user}-{}", identity.role.name()), "role": identity.role.name(),
        "createdAt": "2026-01-01T00:00:00.000Z"});
    Ok(Json(json!({
        "type": "user", "id": format!("user-{user}"), "name": user, "fullname": user,
        "email": format!("{user}@example.com"), "emailVerified": true, "canPay": false, "isPro": false,
        "avatarUrl": "", "orgs": orgs, "auth": {"type": "access_token", "accessToken": token},
    })))
}
