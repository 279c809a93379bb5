//! The routes: one file for each group, one function for each call.

mod account;
mod batch;
mod buckets;
mod cas;
mod consent_page;
mod control;
mod control_repos;
mod events;
mod oauth;
mod paths_info;
mod repo_files;
pub mod repos;
mod resolve;
pub mod storage;
mod tree;
mod xet_tokens;

pub use control_repos::RepoContent;

use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, FromRequestParts};
use axum::middleware::from_fn_with_state;
use axum::routing::{any, delete, get, head, post, put};
use http::HeaderMap;
use http::request::Parts;

use crate::accounts::{Caller, Role, bearer};
use crate::front::front;
use crate::hub::Hub;
use crate::hub_error::{HubError, HubResult};
use crate::store::Bucket;

/// Every route of the Hub, its CAS, its storage and its control endpoint.
pub fn router(hub: Arc<Hub>) -> Router {
    Router::new()
        .merge(hub_routes())
        .merge(cas_routes())
        .merge(oauth_routes())
        .merge(control_routes())
        .route("/_storage/xorbs/{hash}", get(storage::xorb))
        .route("/_storage/files/{hash}", get(storage::file))
        .fallback(repo_files::resolve)
        .layer(from_fn_with_state(hub.clone(), front))
        .layer(DefaultBodyLimit::disable())
        .with_state(hub)
}

fn hub_routes() -> Router<Arc<Hub>> {
    let bucket = get(buckets::info).post(buckets::create).delete(buckets::delete);
    Router::new()
        .route("/api/whoami-v2", get(account::whoami))
        .route("/api/repos/move", post(buckets::rename))
        .route("/api/buckets/{ns}", get(buckets::list))
        .route("/api/buckets/{ns}/{name}", bucket)
        .route("/api/buckets/{ns}/{name}/settings", put(buckets::settings))
        .route("/api/buckets/{ns}/{name}/tree", get(tree::root))
        .route("/api/buckets/{ns}/{name}/tree/{*prefix}", get(tree::below))
        .route("/api/buckets/{ns}/{name}/paths-info", post(paths_info::paths_info))
        .route("/api/buckets/{ns}/{name}/batch", post(batch::batch))
        .route("/api/buckets/{ns}/{name}/events", get(events::events))
        .route("/api/buckets/{ns}/{name}/xet-read-token", get(xet_tokens::read))
        .route("/api/buckets/{ns}/{name}/xet-write-token", get(xet_tokens::write))
        .route("/buckets/{ns}/{name}/resolve/{*path}", get(resolve::resolve))
        .route("/api/models", get(repos::api))
        .route("/api/models/{*rest}", any(repos::api))
        .route("/api/datasets", get(repos::api))
        .route("/api/datasets/{*rest}", any(repos::api))
        .route("/api/spaces", get(repos::api))
        .route("/api/spaces/{*rest}", any(repos::api))
}

fn cas_routes() -> Router<Arc<Hub>> {
    Router::new()
        .route("/v1/reconstructions", get(cas::reconstruction_batch))
        .route("/v1/reconstructions/{file}", get(cas::reconstruction_v1))
        .route("/v2/reconstructions/{file}", get(cas::reconstruction_v2))
        .route("/v2/file-chunk-hashes/{file}", get(cas::chunk_hashes))
        .route("/v1/chunks/{prefix}/{hash}", get(cas::read))
        .route("/v1/files/{file}", head(cas::read))
        .route("/v1/xorbs/{prefix}/{hash}", head(cas::read).post(cas::write))
        .route("/v1/xorb-grants/{prefix}/{hash}", post(cas::write))
        .route("/v1/xorb-commits/{prefix}/{hash}/grant/{grant}", post(cas::write))
        .route("/v1/shards", post(cas::shard))
        .route("/v2/shards", post(cas::shard))
        .route("/v1/telemetry", post(cas::read))
        .route("/simulation/xorb-uploads/{grant}", put(cas::open))
        .route("/simulation/{*rest}", any(cas::open))
}

fn oauth_routes() -> Router<Arc<Hub>> {
    Router::new()
        .route("/.well-known/openid-configuration", get(oauth::discovery))
        .route("/oauth/authorize", get(oauth::authorize))
        .route("/oauth/authorize/decision", post(oauth::decide))
        .route("/oauth/device", get(oauth::device_page).post(oauth::device))
        .route("/oauth/device/decision", post(oauth::decide_device))
        .route("/oauth/token", post(oauth::token))
        .route("/oauth/userinfo", get(oauth::userinfo).post(oauth::userinfo))
}

fn control_routes() -> Router<Arc<Hub>> {
    Router::new()
        .route("/_control/put", post(control::put))
        .route("/_control/put-many", post(control::put_many))
        .route("/_control/repo", post(control_repos::create))
        .route("/_control/repo-commit", post(control_repos::commit))
        .route("/_control/repo-ref", post(control_repos::set_ref))
        .route("/_control/counters", get(control::counters).delete(control::reset_counters))
        .route(
            "/_control/faults",
            get(control::faults).post(control::add_fault).delete(control::clear_faults),
        )
        .route("/_control/network", put(control::network))
        .route("/_control/quotas", put(control::quotas))
        .route("/_control/expire", post(control::expire))
        .route("/_control/feed", post(control::feed))
        .route("/_control/revoke", post(control::revoke))
        .route("/_control/collect", post(control::collect))
        .route("/_control/{*unknown}", delete(control::unknown).get(control::unknown).post(control::unknown))
}

impl FromRequestParts<Arc<Hub>> for Caller {
    type Rejection = HubError;

    async fn from_request_parts(parts: &mut Parts, hub: &Arc<Hub>) -> HubResult<Self> {
        hub.caller(&parts.headers)
    }
}

impl Hub {
    /// Who calls. No token is anonymous; one that nobody has, or that has expired, is a refusal.
    fn caller(&self, headers: &HeaderMap) -> HubResult<Caller> {
        let Some(token) = bearer(headers) else { return Ok(Caller::Anonymous) };
        let by_oauth = || self.oauth.grant_of(token).map(|grant| self.accounts.identity_of_grant(&grant));
        let identity = self.accounts.identity_of_token(token).or_else(by_oauth);
        identity.map(Caller::User).ok_or_else(HubError::bad_credentials)
    }

    /// The bucket, when the caller may read it. `me` as a namespace is the caller's own.
    fn readable(&self, caller: &Caller, namespace: &str, name: &str) -> HubResult<Bucket> {
        let namespace = own_namespace(caller, namespace)?;
        let found = self.store.bucket(namespace, name)?;
        let visible = found.filter(|bucket| !bucket.private || caller.role_in(namespace) >= Role::Read);
        visible.ok_or_else(|| HubError::no_bucket(caller.is_anonymous()))
    }

    /// The bucket, when the caller may read it and has at least `role` in its namespace.
    fn allowed(&self, caller: &Caller, namespace: &str, name: &str, role: Role) -> HubResult<Bucket> {
        let bucket = self.readable(caller, namespace, name)?;
        if caller.role_in(&bucket.namespace) >= role {
            return Ok(bucket);
        }
        caller.identity()?;
        let doing = if role == Role::Manage { "manage" } else { "write to" };
        Err(HubError::forbidden(format!("You don't have the rights to {doing} this bucket with this token")))
    }
}

/// `me` is the caller.
fn own_namespace<'a>(caller: &'a Caller, namespace: &'a str) -> HubResult<&'a str> {
    if namespace == "me" { Ok(&caller.identity()?.user) } else { Ok(namespace) }
}

/// `namespace/name`, from a body.
fn split_id(id: &str) -> HubResult<(&str, &str)> {
    id.split_once('/')
        .filter(|(namespace, name)| !namespace.is_empty() && !name.is_empty() && !name.contains('/'))
        .ok_or_else(|| HubError::bad_request(format!("{id} is no bucket id: namespace/name")))
}
