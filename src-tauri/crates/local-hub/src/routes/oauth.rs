//! Signing in over HTTP (hub-api.md part 3). What is decided lives in [`crate::oauth`].

use std::collections::HashMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::{OriginalUri, State};
use axum::response::{Html, IntoResponse, Redirect, Response};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::{StatusCode, Uri};
use serde_json::{Value, json};

use super::consent_page;
use crate::accounts::Caller;
use crate::arguments::Consent;
use crate::clock::now_ms;
use crate::hub::Hub;
use crate::hub_error::HubResult;
use crate::oauth::scopes::KNOWN;
use crate::oauth::{OAuthError, Tokens, refuse};
use crate::page::{encode, fields};

type Hubs = State<Arc<Hub>>;

/// `GET /.well-known/openid-configuration`
pub async fn discovery(State(hub): Hubs) -> Json<Value> {
    let at = |path: &str| format!("{}{path}", hub.endpoint);
    Json(json!({
        "issuer": hub.endpoint,
        "authorization_endpoint": at("/oauth/authorize"), "token_endpoint": at("/oauth/token"),
        "userinfo_endpoint": at("/oauth/userinfo"), "device_authorization_endpoint": at("/oauth/device"),
        "response_types_supported": ["code"], "code_challenge_methods_supported": ["S256"],
        "grant_types_supported": ["authorization_code", "refresh_token", "urn:ietf:params:oauth:grant-type:device_code"],
        "token_endpoint_auth_methods_supported": ["none"], "scopes_supported": KNOWN,
    }))
}

/// `GET /oauth/authorize`: the consent page, or an error sent back to the app.
pub async fn authorize(State(hub): Hubs, OriginalUri(uri): OriginalUri) -> Response {
    let query = query_of(&uri);
    let field = |name: &str| query.get(name).map_or("", String::as_str);
    let redirect = field("redirect_uri");
    // An answer may go only to where the app is: these two are shown to the person instead.
    if let Err(error) = hub.oauth.apps.check_redirect(field("client_id"), redirect) {
        return (StatusCode::BAD_REQUEST, Html(consent_page::failed(&error.description))).into_response();
    }
    let id = match hub.oauth.ask(&hub.store, &query) {
        Ok(id) => id,
        Err(error) => return back(redirect, query.get("state"), &failure(&error)),
    };
    if hub.arguments.consent == Consent::Auto {
        return decided(&hub, &id, Some(everything(&hub)));
    }
    let wanted = field("orgIds").split(',').map(str::to_string).collect::<Vec<_>>();
    match hub.oauth.request(&id) {
        Some(request) => Html(consent_page::authorize(&hub.accounts, &id, &request, &wanted)).into_response(),
        None => {
            (StatusCode::BAD_REQUEST, Html(consent_page::failed("this request has expired"))).into_response()
        }
    }
}

/// `POST /oauth/authorize/decision`: the page's form.
pub async fn decide(State(hub): Hubs, body: Bytes) -> Response {
    let form = Form::read(&body);
    decided(&hub, form.field("request"), form.decision(&hub))
}

/// `GET /oauth/device?user_code=…`: where a person types the code in.
pub async fn device_page(State(hub): Hubs, OriginalUri(uri): OriginalUri) -> Html<String> {
    let query = query_of(&uri);
    let code = query.get("user_code").map_or("", String::as_str);
    let request = hub.oauth.device_request(code);
    Html(consent_page::device(&hub.accounts, code, request.as_ref()))
}

/// `POST /oauth/device/decision`: the page's form.
pub async fn decide_device(State(hub): Hubs, body: Bytes) -> Response {
    let form = Form::read(&body);
    if hub.oauth.decide_device(&hub.store, form.field("user_code"), form.decision(&hub)) {
        Html(consent_page::done()).into_response()
    } else {
        (StatusCode::NOT_FOUND, Html(consent_page::failed("there is no such code, or it has expired")))
            .into_response()
    }
}

/// `POST /oauth/device`
pub async fn device(State(hub): Hubs, body: Bytes) -> Response {
    let code = match hub.oauth.device(&hub.store, &Form::read(&body).fields) {
        Ok(code) => code,
        Err(error) => return refused(&error),
    };
    let page = format!("{}/oauth/device", hub.endpoint);
    let complete = format!("{page}?user_code={}", code.user_code);
    Json(json!({"device_code": code.device_code, "user_code": code.user_code, "verification_uri": page,
        "verification_uri_complete": complete, "expires_in": code.expires_in, "interval": code.interval}))
    .into_response()
}

/// `POST /oauth/token`
pub async fn token(State(hub): Hubs, body: Bytes) -> Response {
    let form = Form::read(&body);
    let given = match form.field("grant_type") {
        "authorization_code" => hub.oauth.redeem(&hub.store, &form.fields),
        "refresh_token" => hub.oauth.refresh(&hub.store, &form.fields),
        "urn:ietf:params:oauth:grant-type:device_code" => {
            let by_itself = (hub.arguments.consent == Consent::Auto).then(|| everything(&hub));
            hub.oauth.poll_device(&hub.store, &form.fields, by_itself)
        }
        other => refuse("unsupported_grant_type", other),
    };
    match given {
        Ok(tokens) => Json(token_answer(&hub, &tokens)).into_response(),
        Err(error) => refused(&error),
    }
}

/// `GET /oauth/userinfo`
pub async fn userinfo(State(hub): Hubs, caller: Caller) -> HubResult<Json<Value>> {
    let identity = caller.identity()?;
    let org = |name: &String| json!({"sub": format!("org-{name}"), "name": name, "preferred_username": name, "picture": "", "isEnterprise": false});
    let orgs: Vec<Value> = identity.orgs.iter().map(|(name, _)| org(name)).collect();
    let user = &identity.user;
    Ok(Json(json!({"sub": format!("user-{user}"), "name": user, "preferred_username": user, "picture": "",
        "profile": format!("{}/{user}", hub.endpoint), "isPro": false, "orgs": orgs})))
}

/// A form; a field that comes several times is kept as a list.
struct Form {
    fields: HashMap<String, String>,
    orgs: Vec<String>,
}

impl Form {
    fn read(body: &[u8]) -> Self {
        let text = String::from_utf8_lossy(body);
        let orgs = text.split('&').filter(|pair| pair.starts_with("org="));
        let orgs = orgs.filter_map(|pair| fields(pair).remove("org")).collect();
        Self { fields: fields(&text).into_iter().collect(), orgs }
    }

    fn field(&self, name: &str) -> &str {
        self.fields.get(name).map_or("", String::as_str)
    }

    /// Who allows which organizations; `None` is no. A person can pick only their own organizations.
    fn decision(&self, hub: &Hub) -> Option<(String, Vec<String>)> {
        let user = self.field("user");
        if self.field("decision") != "allow" || !hub.accounts.users().contains(user) {
            return None;
        }
        let own = hub.accounts.orgs_of(user);
        let orgs = self.orgs.iter().filter(|org| own.iter().any(|(name, _)| name == *org));
        Some((user.to_string(), orgs.cloned().collect()))
    }
}

/// The first user with all their organizations.
fn everything(hub: &Hub) -> (String, Vec<String>) {
    let user = hub.accounts.first().user.clone();
    let orgs = hub.accounts.orgs_of(&user).into_iter().map(|(name, _)| name).collect();
    (user, orgs)
}

fn decided(hub: &Hub, id: &str, decision: Option<(String, Vec<String>)>) -> Response {
    match hub.oauth.decide(&hub.store, id, decision) {
        None => {
            (StatusCode::BAD_REQUEST, Html(consent_page::failed("this request has expired or was decided")))
                .into_response()
        }
        Some((request, Some(code))) => back(&request.redirect_uri, request.state.as_ref(), &[("code", code)]),
        Some((request, None)) => {
            let denied = OAuthError { error: "access_denied", description: "the person said no".into() };
            back(&request.redirect_uri, request.state.as_ref(), &failure(&denied))
        }
    }
}

fn failure(error: &OAuthError) -> [(&'static str, String); 2] {
    [("error", error.error.to_string()), ("error_description", error.description.clone())]
}

/// Sends the browser back to the app.
fn back(redirect: &str, state: Option<&String>, answer: &[(&str, String)]) -> Response {
    let state = state.map(|state| ("state", state.clone()));
    let pairs = answer.iter().cloned().chain(state);
    let query: Vec<String> = pairs.map(|(name, value)| format!("{name}={}", encode(&value))).collect();
    let join = if redirect.contains('?') { '&' } else { '?' };
    Redirect::to(&format!("{redirect}{join}{}", query.join("&"))).into_response()
}

fn refused(error: &OAuthError) -> Response {
    let status =
        if error.error == "invalid_client" { StatusCode::UNAUTHORIZED } else { StatusCode::BAD_REQUEST };
    (status, Json(json!({"error": error.error, "error_description": error.description}))).into_response()
}

fn token_answer(hub: &Hub, tokens: &Tokens) -> Value {
    let grant = &tokens.grant;
    let mut answer = json!({"access_token": tokens.access, "token_type": "bearer", "expires_in": tokens.expires_in,
        "scope": grant.scopes.join(" ")});
    if let Some(refresh) = &tokens.refresh {
        answer["refresh_token"] = refresh.as_str().into();
    }
    if grant.scopes.iter().any(|scope| scope == "openid") {
        answer["id_token"] = id_token(hub, tokens).into();
    }
    answer
}

/// An unsigned JWT: this Hub has no key that anybody would trust.
fn id_token(hub: &Hub, tokens: &Tokens) -> String {
    let (user, now) = (&tokens.grant.user, now_ms() / 1000);
    let claims = json!({"iss": hub.endpoint, "sub": format!("user-{user}"), "aud": tokens.grant.client, "iat": now,
        "exp": now.unsigned_abs() + tokens.expires_in, "name": user, "preferred_username": user});
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}.", part(&json!({"alg": "none", "typ": "JWT"})), part(&claims))
}

fn query_of(uri: &Uri) -> HashMap<String, String> {
    fields(uri.query().unwrap_or("")).into_iter().collect()
}
