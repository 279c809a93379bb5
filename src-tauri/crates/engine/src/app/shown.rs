//! The state as the faces see it, put together from its owners.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::api::BucketId;
use super::api::buckets::{Bucket, BucketSync, OwnerGroup, OwnerKind};
use super::api::state::{About, AppState, AppStatus, BucketList};
use super::core::App;
use super::pulse::Seen;
use super::reduce;
use super::slot::Slot;
use crate::sign_in;

pub(super) fn state(app: &App, seen: &[Seen], status: AppStatus) -> AppState {
    let syncs: HashMap<&str, &BucketSync> =
        seen.iter().map(|one| (one.slot.id.as_str(), &one.sync)).collect();
    let (asking, error) = app.listing.lock().clone();
    let mount_problem = app.mount_problem.lock().clone();
    let settings = app.settings.read().clone();
    AppState {
        revision: 0,
        status,
        accounts: app.accounts.list(),
        sign_in: app.sign_in.lock().clone(),
        hf_cli: app.accounts.hf_cli(),
        token_variable: app.accounts.token_variable(),
        buckets: groups(app, &syncs),
        bucket_list: BucketList { asked_ms: app.book.lock().asked_ms(), asking, error },
        conflicts: seen.iter().flat_map(|one| one.conflicts.clone()).collect(),
        held_deletes: seen.iter().filter_map(|one| one.held.clone()).collect(),
        activity: app.ledger.lock().entries(),
        about: About {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            hub: app.accounts.origin().to_owned(),
            os: std::env::consts::OS.to_owned(),
            machine: format!("this {}", reduce::machine()),
            can_mount: mount_problem.is_none(),
            mount_problem,
            can_oauth: sign_in::client_id_for(&app.config.endpoint, settings.client_id.as_deref()).is_ok(),
            started_ms: app.started_ms,
        },
        settings,
    }
}

/// One bucket as it is shown.
pub(super) fn bucket(app: &App, slot: &Arc<Slot>) -> Bucket {
    let sync =
        app.state().buckets.iter().flat_map(|group| &group.buckets).find(|one| one.id == slot.id).cloned();
    let syncs = HashMap::new();
    let mut all = groups(app, &syncs).into_iter().flat_map(|group| group.buckets);
    let mut bucket = all.find(|one| one.id == slot.id).unwrap_or_else(|| of_slot(app, slot));
    bucket.sync = sync.and_then(|one| one.sync);
    bucket
}

/// Everything listed, and everything in use that is not.
fn groups(app: &App, syncs: &HashMap<&str, &BucketSync>) -> Vec<OwnerGroup> {
    let mut buckets: BTreeMap<BucketId, (OwnerKind, Bucket)> = BTreeMap::new();
    {
        let book = app.book.lock();
        for one in book.listed() {
            let used = book.used(&one.id);
            let bucket = Bucket {
                id: one.id.clone(),
                owner: one.owner.clone(),
                name: one.id.split_once('/').map_or(one.id.as_str(), |(_, name)| name).to_owned(),
                account: used.account.or_else(|| one.account.clone()),
                private: one.private,
                size: Some(one.size),
                files: Some(one.files),
                last_used_ms: used.last_ms,
                mount: super::api::buckets::Mount::Off,
                sync: None,
            };
            buckets.insert(one.id.clone(), (one.kind, bucket));
        }
    }
    let own: Vec<String> = app.accounts.list().into_iter().map(|account| account.name).collect();
    for slot in app.all_slots() {
        let mount = slot.mount();
        let shown = buckets.get_mut(&slot.id);
        match shown {
            Some((_, bucket)) => bucket.mount = mount,
            None if mount == super::api::buckets::Mount::Off => {}
            None => {
                let bucket = of_slot(app, &slot);
                let kind = if own.contains(&bucket.owner) { OwnerKind::User } else { OwnerKind::Other };
                buckets.insert(slot.id.clone(), (kind, bucket));
            }
        }
    }
    let mut groups: BTreeMap<(u8, String), OwnerGroup> = BTreeMap::new();
    for (kind, mut bucket) in buckets.into_values() {
        bucket.sync = syncs.get(bucket.id.as_str()).map(|sync| (*sync).clone());
        let rank = match kind {
            OwnerKind::User => 0,
            OwnerKind::Organization => 1,
            OwnerKind::Other => 2,
        };
        let fresh = || OwnerGroup {
            owner: bucket.owner.clone(),
            kind,
            account: bucket.account.clone(),
            buckets: Vec::new(),
        };
        groups.entry((rank, bucket.owner.clone())).or_insert_with(fresh).buckets.push(bucket);
    }
    let mut groups: Vec<OwnerGroup> = groups.into_values().collect();
    for group in &mut groups {
        group.buckets.sort_by(|a, b| b.last_used_ms.cmp(&a.last_used_ms).then_with(|| a.name.cmp(&b.name)));
    }
    groups
}

fn of_slot(app: &App, slot: &Slot) -> Bucket {
    let used = app.book.lock().used(&slot.id);
    let name = slot.id.split_once('/').map_or(slot.id.as_str(), |(_, name)| name);
    Bucket {
        id: slot.id.clone(),
        owner: slot.path.bucket.owner().to_owned(),
        name: name.to_owned(),
        account: used.account,
        private: true,
        size: None,
        files: None,
        last_used_ms: used.last_ms,
        mount: slot.mount(),
        sync: None,
    }
}
