//! Mounting, unmounting, serving without a mount, and what an earlier run left of it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use mounter::{Force, Reason, Token, VolumeName, Wanted};

use super::api::activity::{ActivityAction, ActivityKind};
use super::api::buckets::{Program, Unmounted};
use super::api::error::{AppError, AppResult, ErrorCode};
use super::api::event::Part;
use super::core::{App, now};
use super::decisions;
use super::ledger::Happening;
use super::leftovers::{Fate, Found, Ground, fate};
use super::mount_host::Mounted;
use super::slot::{Phase, Slot};
use crate::bucket_path::BucketPath;
use crate::control::ControlClient;
use crate::endpoint::Endpoint;
use crate::keeping::Keep;
use crate::serving::{MountWindow, ServeConfig, Served};
use crate::state_home::prefixes_overlap;

/// The window in which our own MNT is let in.
const WINDOW: Duration = Duration::from_secs(40);
/// Looks at a file system under way at its end are over by then.
const LET_GO: Duration = Duration::from_secs(2);
/// How long another process may take to end before its bucket is taken over.
const TAKE_OVER: Duration = Duration::from_secs(10);

impl App {
    /// The slot of a bucket; made on the first call.
    ///
    /// # Errors
    /// `Invalid` when that is no bucket's name.
    pub(super) fn slot(&self, bucket: &str) -> AppResult<Arc<Slot>> {
        let path: BucketPath = bucket.parse().map_err(|error| AppError::of(ErrorCode::Invalid, error))?;
        let id = path.to_string();
        if let Some(slot) = self.slots.read().get(&id) {
            return Ok(Arc::clone(slot));
        }
        let state_dir = self.home.of(self.accounts.origin(), &path);
        let mut slots = self.slots.write();
        let slot = slots.entry(id).or_insert_with(|| Slot::new(path, state_dir));
        Ok(Arc::clone(slot))
    }

    pub(super) fn all_slots(&self) -> Vec<Arc<Slot>> {
        self.slots.read().values().cloned().collect()
    }

    /// On return it is mounted; one that is stays as it is.
    pub(super) async fn mount_bucket(
        self: &Arc<Self>,
        bucket: &str,
        read_only: Option<bool>,
        account: Option<String>,
    ) -> AppResult<Arc<Slot>> {
        let slot = self.slot(bucket)?;
        let _one = slot.ops.lock().await;
        if self.stop.is_cancelled() {
            return Err(AppError::new(ErrorCode::Cancelled, "BucketBar is ending.", "Start it again."));
        }
        if slot.is_mounted() && slot.live().is_some() {
            self.book.lock().change(&slot.id, |used| used.last_ms = Some(now()));
            return Ok(slot.clone());
        }
        slot.set_phase(Phase::Mounting);
        self.wake.urgent(Part::Buckets);
        let outcome = self.mount_slot(&slot, read_only, account).await;
        slot.set_phase(Phase::Still);
        if let Err(error) = &outcome {
            slot.set_failed(error.clone());
        }
        self.wake.urgent(Part::Buckets);
        outcome.map(|()| slot.clone())
    }

    async fn mount_slot(
        self: &Arc<Self>,
        slot: &Arc<Slot>,
        read_only: Option<bool>,
        account: Option<String>,
    ) -> AppResult<()> {
        self.look_whether_to_mount().await?;
        self.refuse_overlap(slot)?;
        let used = self.book.lock().used(&slot.id);
        let by_default = self.settings.read().read_only_by_default;
        let read_only = read_only.or(used.read_only).unwrap_or(by_default);
        let account = account.or(used.account).or_else(|| self.account_of(slot));
        self.book.lock().change(&slot.id, |used| {
            used.read_only = Some(read_only);
            used.account.clone_from(&account);
            used.clean = false;
        });
        let served_so = slot.live().is_some_and(|live| live.fs.read_only() == read_only);
        if !served_so {
            self.stop_slot(slot).await;
            self.serve(slot, read_only, account).await?;
        }
        slot.with_served(|served| served.set_finishing(false));
        self.mount_served(slot).await?;
        self.book.lock().change(&slot.id, |used| used.last_ms = Some(now()));
        Ok(())
    }

    /// Puts the kernel's mount on what is served already.
    async fn mount_served(self: &Arc<Self>, slot: &Arc<Slot>) -> AppResult<()> {
        let Some(live) = slot.live() else {
            return Err(AppError::new(ErrorCode::Internal, "The bucket's server is gone.", "Try again."));
        };
        // A kernel that still has it mounted found its server again.
        if let Some(place) = self.place_of(&live.mount_token)? {
            slot.set_mounted(Some((place, now())));
            return Ok(());
        }
        let wanted = slot.with_served(|served| {
            served.open_mount_window(WINDOW);
            let token = Token::parse(served.mount_token())?;
            let name = VolumeName::nearest(slot.path.volume(), "Bucket");
            Some(Wanted {
                port: served.first_line().port,
                token,
                read_only: served.read_only().is_some(),
                name,
            })
        });
        let Some(wanted) = wanted.flatten() else {
            return Err(AppError::new(ErrorCode::Internal, "The bucket's server is gone.", "Try again."));
        };
        let folder = PathBuf::from(&self.settings.read().mount_folder);
        match self.config.mounts.mount(&wanted, &folder).await {
            Ok((place, notes)) => {
                notes.iter().for_each(|note| tracing::info!(bucket = slot.id, "{note}"));
                slot.set_mounted(Some((place, now())));
                Ok(())
            }
            Err(error) => {
                // Served for nothing; what an earlier mount left unsent goes on.
                slot.with_served(|served| served.set_finishing(true));
                Err(error.into())
            }
        }
    }

    /// Two states of one file would not see each other's changes.
    fn refuse_overlap(&self, slot: &Slot) -> AppResult<()> {
        for other in self.all_slots() {
            let same = other.id != slot.id && other.path.bucket == slot.path.bucket;
            let served = other.live().is_some() || other.is_mounted();
            if same && served && prefixes_overlap(&other.path.prefix, &slot.path.prefix) {
                return Err(AppError::new(
                    ErrorCode::Exists,
                    format!("{} is in use here and shares files with {}.", other.id, slot.id),
                    format!("Use it there, or unmount {} first and let its uploads finish.", other.id),
                ));
            }
        }
        Ok(())
    }

    /// Whether mounting is possible here; kept for the state.
    pub(super) async fn look_whether_to_mount(&self) -> AppResult<()> {
        let problem = self.config.mounts.check().await.err().map(AppError::from);
        self.mount_problem.lock().clone_from(&problem);
        problem.map_or(Ok(()), Err)
    }

    /// Read-only or not, and as whom it was served last.
    fn as_before(&self, slot: &Slot) -> (bool, Option<String>) {
        let endpoint = Endpoint::read(&slot.state_dir).ok().flatten();
        let account = self.book.lock().used(&slot.id).account.or_else(|| self.account_of(slot));
        (endpoint.is_some_and(|endpoint| endpoint.read_only), account)
    }

    /// Who sees the bucket in the list; else the default account.
    fn account_of(&self, slot: &Slot) -> Option<String> {
        let bucket = slot.path.bucket.to_string();
        let listed =
            self.book.lock().listed().iter().find(|one| one.id == bucket).and_then(|one| one.account.clone());
        listed.or_else(|| self.accounts.list().into_iter().find(|one| one.is_default).map(|one| one.id))
    }

    fn place_of(&self, token: &str) -> AppResult<Option<PathBuf>> {
        let mounts = self.config.mounts.mounts()?;
        Ok(mounts.into_iter().find(|mount| mount.token == token).map(|mount| mount.mount_point))
    }

    /// Starts the bucket's server; another process that serves it gives way first.
    async fn serve(
        self: &Arc<Self>,
        slot: &Arc<Slot>,
        read_only: bool,
        account: Option<String>,
    ) -> AppResult<()> {
        take_over(slot).await;
        let mut config = ServeConfig::new(slot.path.clone(), slot.state_dir.clone());
        config.read_only = read_only;
        config.window = MountWindow::Once;
        config.access = Some(self.accounts.access(account.as_deref()));
        {
            let settings = self.settings.read();
            config.cache_bytes = settings.cache_bytes;
            config.reserve_bytes = settings.reserve_bytes;
        }
        if let Some((uid, gid)) = Endpoint::read(&slot.state_dir).ok().flatten().and_then(|known| known.owner)
        {
            // A kernel's mount lives on with whoever owned it.
            (config.uid, config.gid) = (uid, gid);
        }
        config.debounce = self.config.debounce.unwrap_or(config.debounce);
        config.poll = self.config.poll.unwrap_or(config.poll);
        config.keep = Some(Keep { respawn: self.config.respawn.clone(), finish: None });
        let served = Box::pin(Served::start(config)).await.map_err(serving_failed)?;
        for warning in served.warnings() {
            tracing::warn!(bucket = slot.id, "{warning}");
        }
        let over = served.watch_end();
        let live = slot.set_served(served);
        // One more shares the line.
        self.all_slots().iter().filter_map(|slot| slot.live()).for_each(|live| self.set_limits(&live.fs));
        self.watch(slot, live, over);
        self.wake.urgent(Part::Buckets);
        Ok(())
    }

    pub(super) fn set_limits(&self, fs: &bucketfs::BucketFs) {
        if self.book.lock().pause().is_some() {
            fs.pause();
        } else {
            fs.resume();
        }
        let served = self.all_slots().iter().filter(|slot| slot.live().is_some()).count() as u64;
        decisions::set_limits(fs, &self.settings.read(), served);
    }

    /// Passes the news of a served bucket on, and ends its server when its work is done.
    fn watch(
        self: &Arc<Self>,
        slot: &Arc<Slot>,
        live: super::slot::Live,
        over: impl Future<Output = ()> + Send + 'static,
    ) {
        let (app, slot) = (Arc::clone(self), Arc::clone(slot));
        self.tasks.spawn(async move {
            let mut news = live.fs.news();
            let mut notices = live.notices.watch();
            drop(live);
            let mut over = over.boxed();
            loop {
                tokio::select! {
                    () = &mut over => {
                        app.server_is_over(&slot).await;
                        // Mounted again in the very moment: it goes on.
                        match slot.with_served(|served| served.watch_end().boxed()) {
                            Some(next) => over = next,
                            None => return,
                        }
                    }
                    () = app.stop.cancelled() => return,
                    told = news.changed() => match told {
                        // "Everything is saved" is taken back at once, everything else in its time.
                        Ok(()) if app.state.borrow().status.all_saved => app.wake.urgent(Part::Queue),
                        Ok(()) => app.wake.part(Part::Queue),
                        Err(_) => return,
                    },
                    told = notices.changed() => match told {
                        Ok(()) => app.wake.part(Part::Activity),
                        Err(_) => return,
                    },
                }
            }
        });
    }

    /// The server wants to end: its uploads are done, or somebody asked it over its socket.
    async fn server_is_over(self: &Arc<Self>, slot: &Arc<Slot>) {
        let _one = slot.ops.lock().await;
        let finishing = slot.with_served(|served| served.is_ending()).unwrap_or(false);
        if !finishing {
            return; // it was mounted again meanwhile
        }
        if slot.is_mounted() {
            slot.set_lost("Its server was ended from outside.".to_owned());
        }
        self.stop_slot(slot).await;
        self.wake.urgent(Part::Buckets);
    }

    /// Ends the server, if there is one. Everything staged is durable on return.
    pub(super) async fn stop_slot(&self, slot: &Slot) {
        let Some(served) = slot.take_served() else { return };
        let fs = Arc::downgrade(served.fs());
        let status = served.stop().await;
        // Whoever still looks at it keeps its state directory locked: the next start would find it busy.
        let deadline = Instant::now() + LET_GO;
        while fs.strong_count() > 0 && Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        self.book.lock().change(&slot.id, |used| used.clean = status.all_saved);
    }

    /// Unmounts; uploads go on, and when they are done the server ends.
    pub(super) async fn unmount_bucket(
        self: &Arc<Self>,
        bucket: &str,
        consent: Option<&str>,
    ) -> AppResult<Unmounted> {
        let slot = self.slot(bucket)?;
        let _one = slot.ops.lock().await;
        let Some(place) = slot.mount_point() else {
            return Err(AppError::invalid(format!("{bucket} is not mounted."), ""));
        };
        let what = format!("unmount {}", slot.id);
        let force = if self.consents.given(&what, consent, now()) { Force::Yes } else { Force::No };
        slot.set_phase(Phase::Unmounting);
        self.wake.urgent(Part::Buckets);
        if slot.live().is_none() {
            // What the kernel still holds can be written only to its server.
            let (read_only, account) = self.as_before(&slot);
            if let Err(error) = self.serve(&slot, read_only, account).await {
                tracing::warn!(bucket = slot.id, %error, "it is unmounted without its server");
            }
        }
        let outcome = self.config.mounts.unmount(&place, force).await;
        slot.set_phase(Phase::Still);
        self.wake.urgent(Part::Buckets);
        match outcome {
            Ok(()) => {
                self.is_unmounted(&slot).await;
                Ok(Unmounted::Done)
            }
            Err(error) if error.reason == Reason::NotMounted => {
                self.is_unmounted(&slot).await;
                Ok(Unmounted::Done)
            }
            Err(error) if error.reason == Reason::Busy => {
                let by = self.config.mounts.blockers(&place).await;
                let by: Vec<Program> = by.into_iter().map(|b| Program { pid: b.pid, name: b.name }).collect();
                let names: Vec<String> = by.iter().map(|program| program.name.clone()).collect();
                let who =
                    if names.is_empty() { "A program".to_owned() } else { crate::words::some_of(&names, 3) };
                let uses = if names.len() > 1 { "use" } else { "uses" };
                let question = format!(
                    "{who} still {uses} {}. Unmount all the same? What they have not saved is lost.",
                    slot.id
                );
                Ok(Unmounted::InUse { by, question, consent: self.consents.ask(&what, now()) })
            }
            Err(error) => Err(error.into()),
        }
    }

    /// The mount is gone, politely or not: what its kernel left open is closed. The server goes on as long as
    /// something is to be sent.
    pub(super) async fn is_unmounted(&self, slot: &Slot) {
        slot.set_mounted(None);
        if let Some(live) = slot.live()
            && let Err(error) = live.fs.client_is_gone().await
        {
            tracing::warn!(bucket = slot.id, %error, "what the kernel left is tidied up at the next start");
        }
        slot.with_served(|served| served.set_finishing(true));
    }

    /// Compares what we think is mounted with what the system says. Touches no mount.
    pub(super) async fn check_mounts(self: &Arc<Self>) {
        let Ok(mounts) = self.config.mounts.mounts() else { return };
        for slot in self.all_slots() {
            // Whoever mounts or unmounts now sets it right.
            let Ok(_one) = slot.ops.try_lock() else { continue };
            let Some(live) = slot.live() else {
                if slot
                    .mount_point()
                    .is_some_and(|place| !mounts.iter().any(|mount| mount.mount_point == place))
                {
                    slot.set_mounted(None);
                    self.wake.urgent(Part::Buckets);
                }
                continue;
            };
            let there = mounts.iter().find(|mount| mount.token == live.mount_token);
            match (slot.mount_point(), there) {
                (Some(_), None) => {
                    let politely = slot.take_umnt();
                    self.is_unmounted(&slot).await;
                    if !politely {
                        self.tell_lost(&slot, "It was unmounted by force from outside.");
                    }
                    self.wake.urgent(Part::Buckets);
                }
                (None, Some(mount)) => {
                    slot.with_served(|served| served.set_finishing(false));
                    slot.set_mounted(Some((mount.mount_point.clone(), now())));
                    self.wake.urgent(Part::Buckets);
                }
                _ => {
                    slot.take_umnt();
                }
            }
        }
    }

    pub(super) fn tell_lost(&self, slot: &Slot, why: &str) {
        let happening = Happening {
            kind: ActivityKind::MountLost,
            bucket: Some(slot.id.clone()),
            path: None,
            cause: String::new(),
            what: format!("{} is not mounted any more. {why}", slot.id),
            advice: "Mount it again; what is not on the Hub yet goes on being uploaded.".to_owned(),
            actions: vec![ActivityAction::Mount],
        };
        self.ledger.lock().tell(now(), happening, 1);
    }

    /// Mounts of a crashed run: their servers come back on the same ports. [`leftovers`](super::leftovers) decides
    /// which are ours, and which are dead for ever.
    pub(super) async fn adopt_mounts(self: &Arc<Self>) {
        let mounts = match self.config.mounts.mounts() {
            Ok(mounts) => mounts,
            Err(error) => return tracing::error!(%error, "mounts of an earlier run could not be looked for"),
        };
        let known = self.home.all();
        let folder = PathBuf::from(&self.settings.read().mount_folder);
        let (volumes, made) = self.config.mounts.volumes().await;
        for mount in mounts {
            let found = Found {
                place: &mount.mount_point,
                token: &mount.token,
                served: self.config.mounts.is_served(&mount).await,
            };
            let ground =
                Ground { origin: self.accounts.origin(), folder: &folder, volumes: &volumes, made: &made };
            match fate(&found, &known, &ground) {
                Fate::Adopt(at) => self.adopt(&mount, &known[at].1).await,
                Fate::Leave => {}
                Fate::Clear => self.clear(&mount).await,
            }
        }
    }

    async fn adopt(self: &Arc<Self>, mount: &Mounted, endpoint: &Endpoint) {
        let Ok(slot) = self.slot(&endpoint.bucket_path()) else { return };
        let _one = slot.ops.lock().await;
        slot.set_mounted(Some((mount.mount_point.clone(), now())));
        let (read_only, account) = self.as_before(&slot);
        match self.serve(&slot, read_only, account).await {
            Ok(()) => tracing::info!(bucket = slot.id, "a mount of an earlier run is served again"),
            Err(error) => {
                tracing::error!(bucket = slot.id, %error, "a mount of an earlier run is not served");
                slot.set_lost(error.to_string());
                self.tell_lost(&slot, &error.what);
            }
        }
        self.wake.urgent(Part::Buckets);
    }

    /// Nobody can ever serve this mount again: whoever touches it would hang.
    async fn clear(&self, mount: &Mounted) {
        let place = mount.mount_point.display();
        match self.config.mounts.unmount(&mount.mount_point, Force::Yes).await {
            Ok(()) => tracing::warn!(%place, "a dead mount was removed: its state is gone"),
            Err(error) => tracing::warn!(%place, %error, "a dead mount could not be removed"),
        }
    }

    /// Buckets of an earlier run that may have unsent files are served until those are on the Hub.
    pub(super) async fn serve_unsent(self: &Arc<Self>) {
        for (state_dir, endpoint) in self.home.all() {
            let id = endpoint.bucket_path();
            let clean = self.book.lock().used(&id).clean;
            if self.stop.is_cancelled() || clean || endpoint.hub != self.accounts.origin() || !endpoint.opened
            {
                continue;
            }
            let Ok(slot) = self.slot(&id) else { continue };
            let _one = slot.ops.lock().await;
            if slot.live().is_some()
                || slot.state_dir != state_dir
                || ControlClient::new(&state_dir, &id).is_running().await
            {
                continue;
            }
            let (read_only, account) = self.as_before(&slot);
            match self.serve(&slot, read_only, account).await {
                Ok(()) => {
                    slot.with_served(|served| served.set_finishing(true));
                }
                Err(error) => {
                    tracing::warn!(bucket = id, %error, "unsent files of an earlier run wait");
                    slot.set_failed(error);
                }
            }
        }
    }
}

/// Another process's engine of this bucket gives way: what it has is durable, its port is free then.
async fn take_over(slot: &Slot) {
    let client = ControlClient::new(&slot.state_dir, &slot.id);
    if client.shutdown().await.is_err() {
        return;
    }
    let deadline = Instant::now() + TAKE_OVER;
    while client.is_running().await && Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn serving_failed(error: crate::error::EngineError) -> AppError {
    let code = if error.may_retry { ErrorCode::Offline } else { ErrorCode::System };
    AppError::of(code, error)
}
