//! Everything one running Hub is made of.

use std::net::SocketAddr;

use anyhow::Context;

use crate::accounts::Accounts;
use crate::arguments::Arguments;
use crate::cas::Cas;
use crate::collected::Collected;
use crate::counters::Counters;
use crate::faults::Faults;
use crate::feed::Feed;
use crate::network::Network;
use crate::oauth::OAuth;
use crate::rate_limit::RateLimits;
use crate::seal::Seals;
use crate::storage_url::StorageUrls;
use crate::store::Store;
use crate::xet_token::XetTokens;

/// One running Hub.
pub struct Hub {
    pub arguments: Arguments,
    /// `http://ADDRESS:PORT`, where it is reached.
    pub endpoint: String,
    pub accounts: Accounts,
    pub oauth: OAuth,
    pub store: Store,
    pub feed: Feed,
    pub cas: Cas,
    pub collected: Collected,
    pub xet_tokens: XetTokens,
    pub storage_urls: StorageUrls,
    pub faults: Faults,
    pub network: Network,
    pub counters: Counters,
    pub rate_limits: RateLimits,
}

impl Hub {
    /// Opens the data directory (made if missing) and brings the CAS up.
    pub async fn open(arguments: Arguments, address: SocketAddr) -> anyhow::Result<Self> {
        let data = &arguments.data;
        std::fs::create_dir_all(data).with_context(|| format!("{} can't be made", data.display()))?;
        let store = Store::open(data).with_context(|| format!("{} can't be opened", data.display()))?;
        let cas = Cas::start(data).await.with_context(|| {
            format!("the content in {} can't be opened (another local-hub on it?)", data.display())
        })?;
        let secret = store.secret()?;
        // Another origin than the Hub's, as the real storage is.
        let storage = format!("http://localhost:{}", address.port());
        Ok(Self {
            endpoint: format!("http://{address}"),
            accounts: Accounts::new(&arguments.tokens, &arguments.orgs),
            oauth: OAuth::open(&store, &arguments)?,
            store,
            feed: Feed::new(),
            cas,
            collected: Collected::default(),
            xet_tokens: XetTokens::new(Seals::new(secret, "xet-token"), arguments.xet_token_seconds),
            storage_urls: StorageUrls::new(Seals::new(secret, "storage"), arguments.url_seconds, storage),
            faults: Faults::default(),
            network: Network::default(),
            counters: Counters::default(),
            rate_limits: RateLimits::new(&arguments),
            arguments,
        })
    }
}
