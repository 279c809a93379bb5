//! The bytes: Xet storage behind a bucket, at the level of the `xet-data` crate (hub-api.md 4.2).

mod arriving;
mod composed;
mod edit;
mod failure;
mod plan;
mod planned_client;
mod plans;
mod read;
mod settings;
mod tokens;
mod upload;
mod windows;

use std::sync::Arc;

use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use xet_client::cas_client::auth::AuthConfig;
use xet_data::processing::configurations::{SessionContext, TranslatorConfig};
use xet_data::processing::{CasClient, create_remote_client};
use xet_runtime::core::XetContext;

pub use edit::DirtyRange;
pub use read::ByteStream;
pub(crate) use settings::XetSettings;
pub(crate) use tokens::Scope;
pub use upload::{Asking, UploadSession, Uploaded};

use crate::error::HubError;
use crate::http::Http;
use crate::single_flight::Flights;
use crate::store_name::StoreName;
use plans::Plans;
use tokens::{Refresher, StorageToken, Tokens};

/// The storage of one bucket: tokens, one client for reading, one for writing, plans.
pub(crate) struct XetBucket {
    pub(crate) settings: Arc<XetSettings>,
    tokens: Arc<Tokens>,
    pub(crate) plans: Arc<Plans>,
    sides: Mutex<Sides>,
    connecting: Flights<Scope, Result<Arc<Side>, HubError>>,
}

#[derive(Default)]
struct Sides {
    read: Option<Arc<Side>>,
    write: Option<Arc<Side>>,
}

/// A way to the storage for one scope. Made anew when the Hub names another storage address.
pub(crate) struct Side {
    address: String,
    context: XetContext,
    translator: Arc<TranslatorConfig>,
    /// For uploads that ask nothing.
    unasked: Arc<TranslatorConfig>,
    client: Arc<dyn CasClient>,
}

impl XetBucket {
    pub fn new(http: Http, name: StoreName, settings: Arc<XetSettings>) -> XetBucket {
        let plans = Arc::new(Plans::new(&http.config.limits));
        let tokens = Arc::new(Tokens::new(http, name));
        XetBucket { settings, tokens, plans, sides: Mutex::default(), connecting: Flights::default() }
    }

    /// A valid token of the storage, from memory while it lasts.
    pub async fn token(&self, scope: Scope) -> Result<StorageToken, HubError> {
        self.tokens.get(scope).await
    }

    /// The connection for `scope`; its token is valid now. All that can fail for want of a right fails
    /// here, with the Hub's own words.
    pub(crate) async fn side(&self, scope: Scope) -> Result<Arc<Side>, HubError> {
        let token = self.tokens.get(scope).await?;
        if let Some(side) = self.sides.lock().get(scope).filter(|side| side.address == token.address) {
            return Ok(side);
        }
        let side = self.connecting.join(scope, || self.connect(scope, token)).await?;
        self.sides.lock().set(scope, side.clone());
        Ok(side)
    }

    /// The storage refused a token or an address that should be good: all is asked for anew.
    pub(crate) fn forget_access(&self) {
        self.tokens.forget();
        *self.sides.lock() = Sides::default();
    }

    fn connect(&self, scope: Scope, token: StorageToken) -> BoxFuture<'static, Result<Arc<Side>, HubError>> {
        let (context, unasked) = (self.settings.context(scope).clone(), self.settings.unasked().clone());
        let refresher = Arc::new(Refresher { tokens: self.tokens.clone(), scope });
        let session = SessionContext {
            endpoint: token.address.clone(),
            auth: AuthConfig::maybe_new(None, None, Some(refresher)),
            custom_headers: Some(self.settings.headers.clone()),
            repo_paths: vec![String::new()],
            session_id: None,
            cache_root: Some(self.settings.directory.clone()),
        };
        Box::pin(async move {
            let failed = |e| failure::of_data(e, "Setting up the connection to the storage failed");
            let unasked = Arc::new(TranslatorConfig::new(&unasked, session.clone()).map_err(failed)?);
            let translator = Arc::new(TranslatorConfig::new(&context, session).map_err(failed)?);
            let client = create_remote_client(&translator, "bucketbar", false).await.map_err(failed)?;
            Ok(Arc::new(Side { address: token.address, context, translator, unasked, client }))
        })
    }
}

impl Sides {
    fn get(&self, scope: Scope) -> Option<Arc<Side>> {
        match scope {
            Scope::Read => self.read.clone(),
            Scope::Write => self.write.clone(),
        }
    }

    fn set(&mut self, scope: Scope, side: Arc<Side>) {
        match scope {
            Scope::Read => self.read = Some(side),
            Scope::Write => self.write = Some(side),
        }
    }
}
