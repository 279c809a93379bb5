//! The list of buckets: each account's own and its organisations'.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::future::join_all;
use hub::{BucketInfo, HubError};

use super::api::accounts::Account;
use super::api::buckets::{Bucket, OwnerKind};
use super::api::error::{AppError, AppResult, ErrorCode};
use super::api::event::Part;
use super::book::Listed;
use super::core::{App, now};
use super::shown;

impl App {
    /// Asks the Hub for the list again. What one owner's failure leaves out stays as it was.
    pub(super) async fn refresh_list(self: &Arc<Self>) -> AppResult<()> {
        {
            let mut listing = self.listing.lock();
            if listing.0 {
                return Ok(()); // its answer is on the way
            }
            listing.0 = true;
        }
        self.wake.urgent(Part::Buckets);
        let outcome = self.ask_for_list().await;
        *self.listing.lock() = (false, outcome.as_ref().err().cloned());
        self.wake.urgent(Part::Buckets);
        outcome
    }

    pub(super) async fn refresh_buckets_quietly(self: &Arc<Self>) {
        if let Err(error) = self.refresh_list().await {
            tracing::info!(%error, "the list of buckets was not brought");
        }
    }

    async fn ask_for_list(self: &Arc<Self>) -> AppResult<()> {
        let accounts = self.accounts.list();
        let mut owners: BTreeMap<String, (OwnerKind, Account)> = BTreeMap::new();
        for account in &accounts {
            for organization in &account.organizations {
                owners.entry(organization.clone()).or_insert((OwnerKind::Organization, account.clone()));
            }
        }
        for account in accounts {
            owners.insert(account.name.clone(), (OwnerKind::User, account));
        }
        let asked = owners.into_iter().map(|(owner, (kind, account))| async move {
            let answer = self.list_of(&owner, &account).await;
            (owner, kind, account, answer)
        });
        let mut listed = Vec::new();
        let mut failed = None;
        for (owner, kind, account, answer) in join_all(asked).await {
            match answer {
                Ok(buckets) => {
                    listed.extend(buckets.into_iter().map(|one| as_listed(one, &owner, kind, &account)))
                }
                Err(error) => {
                    let book = self.book.lock();
                    listed.extend(book.listed().iter().filter(|one| one.owner == owner).cloned());
                    failed = Some(error);
                }
            }
        }
        self.book.lock().list(listed, now());
        failed.map_or(Ok(()), |error| Err(error.into()))
    }

    async fn list_of(self: &Arc<Self>, owner: &str, account: &Account) -> Result<Vec<BucketInfo>, HubError> {
        let hub = self.accounts.hub(Some(&account.id)).map_err(|error| HubError::broken(error.what))?;
        hub.list_buckets(owner).await
    }

    pub(super) async fn make_bucket(
        self: &Arc<Self>,
        owner: &str,
        name: &str,
        private: bool,
    ) -> AppResult<Bucket> {
        let full: hub::BucketName = format!("{owner}/{}", name.trim()).parse().map_err(|_| {
            AppError::invalid(
                format!("“{name}” cannot be a bucket's name."),
                "Use letters, digits, and the signs - _ . between them.",
            )
        })?;
        let accounts = self.accounts.list();
        let account = accounts.iter().find(|a| a.name == owner || a.organizations.iter().any(|o| o == owner));
        let account = account.ok_or_else(|| {
            AppError::new(
                ErrorCode::Forbidden,
                format!("None of your accounts belongs to {owner}."),
                "Sign in first.",
            )
        })?;
        let created = self.accounts.hub(Some(&account.id))?.create_bucket(&full, private).await?;
        if created.existed {
            return Err(AppError::new(
                ErrorCode::Exists,
                format!("There is a bucket {full} already; nothing was changed."),
                "Choose another name.",
            ));
        }
        self.refresh_buckets_quietly().await;
        let slot = self.slot(&full.to_string())?;
        Ok(shown::bucket(self, &slot))
    }
}

fn as_listed(info: BucketInfo, owner: &str, kind: OwnerKind, account: &Account) -> Listed {
    Listed {
        id: info.id,
        owner: owner.to_owned(),
        kind,
        account: Some(account.id.clone()),
        private: info.private,
        size: info.size,
        files: info.total_files,
    }
}
