//! Who am I (hub-api.md 2.1).

use axum::Json;
use serde_json::{Value, json};

use crate::accounts::{Caller, Identity, Role};
use crate::hub_error::HubResult;

/// `GET /api/whoami-v2`
pub async fn whoami(caller: Caller) -> HubResult<Json<Value>> {
    let identity = caller.identity()?;
    let user = &identity.user;
    let org = |(name, role): &(String, Role)| {
        let role = if *role >= Role::Write { "admin" } else { "read" };
        json!({"type": "org", "id": format!("org-{name}"), "name": name, "fullname": name, "avatarUrl": "",
            "roleInOrg": role, "isEnterprise": false})
    };
    let orgs: Vec<Value> = identity.orgs.iter().map(org).collect();
    let auth = if identity.oauth { json!({"type": "oauth"}) } else { access_token(identity) };
    Ok(Json(json!({
        "type": "user", "id": format!("user-{user}"), "name": user, "fullname": user,
        "email": format!("{user}@example.com"), "emailVerified": true, "canPay": false, "isPro": false,
        "avatarUrl": "", "orgs": orgs, "auth": auth,
    })))
}

fn access_token(identity: &Identity) -> Value {
    let role = identity.role.name();
    let token = json!({"displayName": format!("{}-{role}", identity.user), "role": role, "createdAt": "2026-01-01T00:00:00.000Z"});
    json!({"type": "access_token", "accessToken": token})
}
