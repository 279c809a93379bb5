//! Every command as a typed method, and the one way to call them by name.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::api::accounts::{Account, SignIn, Unsent};
use super::api::buckets::{Bucket, Unmounted};
use super::api::commands::*;
use super::api::error::{AppError, AppResult, ErrorCode};
use super::api::event::Part;
use super::api::queue::{QueuePage, QueueRow, RowState};
use super::api::settings::Settings;
use super::api::state::AppState;
use super::book::Pause;
use super::core::{App, now};
use super::slot::{Live, Slot};
use super::{decisions, diagnosis, settings, shown, store};

const LONGEST_PAGE: u64 = 1000;
const DONE: Nothing = Nothing {};
/// Uploads that were asked for go on by themselves; nobody waits.
const SYNC_WAIT: Duration = Duration::from_secs(600);

impl App {
    pub async fn snapshot(self: &Arc<Self>, _: Nothing) -> AppResult<AppState> {
        Ok((*self.state()).clone())
    }

    pub async fn queue(self: &Arc<Self>, args: QueueArgs) -> AppResult<QueuePage> {
        let rows = Arc::clone(&*self.rows.read());
        let mut all: Vec<&QueueRow> = rows
            .iter()
            .filter(|(bucket, _)| args.bucket.as_ref().is_none_or(|wanted| wanted == *bucket))
            .flat_map(|(_, rows)| rows.iter())
            .collect();
        all.sort_by_key(|row| (rank(&row.state), row.bucket.as_str(), row.path.as_str()));
        let page = all.iter().skip(usize::try_from(args.offset).unwrap_or(usize::MAX));
        let limit = usize::try_from(args.limit.min(LONGEST_PAGE)).unwrap_or(0);
        let rows = page.take(limit).map(|row| (*row).clone()).collect();
        Ok(QueuePage { offset: args.offset, total: all.len() as u64, rows })
    }

    pub async fn saved(self: &Arc<Self>, _: Nothing) -> AppResult<SavedList> {
        let mut rows = Vec::new();
        for slot in self.all_slots() {
            let Some(live) = slot.live() else { continue };
            rows.extend(decisions::saved(&slot.id, &live.fs));
        }
        rows.sort_by_key(|row| std::cmp::Reverse(row.at_ms));
        rows.truncate(200);
        Ok(SavedList { rows })
    }

    pub async fn refresh_buckets(self: &Arc<Self>, _: Nothing) -> AppResult<Nothing> {
        self.refresh_list().await.map(|()| DONE)
    }

    pub async fn mount(self: &Arc<Self>, args: MountArgs) -> AppResult<Bucket> {
        let slot = self.mount_bucket(&args.bucket, args.read_only, args.account).await?;
        if args.open
            && let Err(error) = self.open_slot(&slot, None)
        {
            // It is mounted, which is what counts.
            tracing::warn!(bucket = slot.id, %error, "it could not be opened");
        }
        Ok(shown::bucket(self, &slot))
    }

    pub async fn unmount(self: &Arc<Self>, args: UnmountArgs) -> AppResult<Unmounted> {
        self.unmount_bucket(&args.bucket, args.consent.as_deref()).await
    }

    pub async fn set_read_only(self: &Arc<Self>, args: ReadOnlyArgs) -> AppResult<Bucket> {
        let slot = self.slot(&args.bucket)?;
        if slot.is_mounted() {
            match self.unmount_bucket(&args.bucket, None).await? {
                Unmounted::Done => {}
                Unmounted::InUse { by, .. } => {
                    let names: Vec<String> = by.into_iter().map(|program| program.name).collect();
                    let who =
                        if names.is_empty() { "a program".into() } else { crate::words::some_of(&names, 3) };
                    return Err(AppError::new(
                        ErrorCode::Busy,
                        format!("{} is in use by {who}.", args.bucket),
                        "Close what is open there, then try again.",
                    ));
                }
            }
            let slot = self.mount_bucket(&args.bucket, Some(args.read_only), None).await?;
            return Ok(shown::bucket(self, &slot));
        }
        self.book.lock().change(&slot.id, |used| used.read_only = Some(args.read_only));
        Ok(shown::bucket(self, &slot))
    }

    pub async fn sync_now(self: &Arc<Self>, args: SyncArgs) -> AppResult<Nothing> {
        for (_, live) in self.served(args.bucket.as_deref())? {
            let stop = self.stop.clone();
            self.tasks.spawn(async move {
                tokio::select! {
                    _ = live.fs.sync(Some(SYNC_WAIT)) => {}
                    () = stop.cancelled() => {}
                }
            });
        }
        self.wake.urgent(Part::Queue);
        Ok(DONE)
    }

    pub async fn show(self: &Arc<Self>, args: OfFile) -> AppResult<Nothing> {
        let slot = self.slot(&args.bucket)?;
        self.open_slot(&slot, args.path.as_deref())?;
        Ok(DONE)
    }

    fn open_slot(&self, slot: &Slot, path: Option<&str>) -> AppResult<()> {
        let Some(place) = slot.mount_point() else {
            return Err(AppError::invalid(format!("{} is not mounted.", slot.id), "Mount it first."));
        };
        let Some(path) = path else { return self.config.outside.open_folder(&place, None) };
        check_path(path)?;
        let file = place.join(path);
        let folder = file.parent().map_or(place.clone(), PathBuf::from);
        self.config.outside.open_folder(&folder, Some(&file))
    }

    pub async fn reveal(self: &Arc<Self>, args: OfFile) -> AppResult<Link> {
        let slot = self.slot(&args.bucket)?;
        let mut url = self.config.endpoint.clone();
        let failed = || AppError::new(ErrorCode::Internal, "The Hub's address cannot have pages.", "");
        {
            let mut parts = url.path_segments_mut().map_err(|()| failed())?;
            let bucket = &slot.path.bucket;
            parts.pop_if_empty().extend(bucket.page());
            let inside = [slot.path.prefix.as_str(), args.path.as_deref().unwrap_or_default()];
            let inside: Vec<&str> =
                inside.into_iter().flat_map(|part| part.split('/')).filter(|p| !p.is_empty()).collect();
            // The only addresses below a bucket's page that are documented are its files'.
            if args.path.is_some() && !inside.is_empty() {
                parts.push("resolve").extend(inside);
            }
        }
        let url = url.to_string();
        if !self.is_at_the_hub(&url) {
            return Err(failed());
        }
        self.config.outside.open_url(&url)?;
        Ok(Link { url })
    }

    pub async fn pause(self: &Arc<Self>, args: PauseArgs) -> AppResult<Nothing> {
        if args.minutes.is_some_and(|minutes| minutes == 0 || minutes > 7 * 24 * 60) {
            return Err(AppError::invalid(
                "A pause lasts between a minute and a week, or until resumed.",
                "",
            ));
        }
        let until_ms = args.minutes.map(|minutes| now() + i64::from(minutes) * 60_000);
        self.set_pause(Some(Pause { until_ms }));
        Ok(DONE)
    }

    pub async fn resume(self: &Arc<Self>, _: Nothing) -> AppResult<Nothing> {
        self.set_pause(None);
        Ok(DONE)
    }

    fn set_pause(&self, pause: Option<Pause>) {
        let paused = pause.is_some();
        self.book.lock().set_pause(pause);
        for slot in self.all_slots() {
            if let Some(live) = slot.live() {
                if paused { live.fs.pause() } else { live.fs.resume() }
            }
        }
        self.wake.urgent(Part::Status);
    }

    /// A pause whose time is over is none.
    pub(super) fn end_pause_in_time(&self, now_ms: i64) {
        let over =
            self.book.lock().pause().and_then(|pause| pause.until_ms).is_some_and(|until| until <= now_ms);
        if over {
            self.set_pause(None);
        }
    }

    pub async fn retry(self: &Arc<Self>, args: RetryArgs) -> AppResult<Count> {
        if args.path.is_some() && args.bucket.is_none() {
            return Err(AppError::invalid("A path is one of a bucket.", "Name the bucket too."));
        }
        let served = self.served(args.bucket.as_deref())?;
        let count = served.iter().map(|(_, live)| live.fs.retry(args.path.as_deref())).sum();
        self.wake.urgent(Part::Queue);
        Ok(Count { count })
    }

    pub async fn discard(self: &Arc<Self>, args: DiscardArgs) -> AppResult<Asked> {
        let live = self.one(&args.bucket)?;
        check_path(&args.path)?;
        let what = format!("discard {} {}", args.bucket, args.path);
        if !self.consents.given(&what, args.consent.as_deref(), now()) {
            let name = crate::words::file_name(&args.path);
            return Ok(Asked::Question {
                question: format!("Give up what was changed in “{name}” here? It cannot be brought back."),
                facts: vec![format!("The Hub's version of {} stays as it is.", args.path)],
                unsent: Unsent::default(),
                consent: self.consents.ask(&what, now()),
                possible: true,
            });
        }
        decisions::discard(&live.fs, &args.path).await?;
        self.wake.urgent(Part::Queue);
        Ok(Asked::Done)
    }

    pub async fn resolve(self: &Arc<Self>, args: ResolveArgs) -> AppResult<Nothing> {
        decisions::resolve(&self.one(&args.bucket)?.fs, args.id, args.how).await?;
        self.wake.urgent(Part::Decisions);
        Ok(DONE)
    }

    pub async fn answer_deletes(self: &Arc<Self>, args: AnswerDeletesArgs) -> AppResult<Count> {
        let count = decisions::answer(&self.one(&args.bucket)?.fs, args.answer).await?;
        self.wake.urgent(Part::Decisions);
        Ok(Count { count })
    }

    pub async fn recent_deletes(self: &Arc<Self>, args: OfBucket) -> AppResult<RemovedList> {
        let live = self.one(&args.bucket)?;
        let rows = tokio::task::spawn_blocking(move || decisions::removed(&args.bucket, &live.fs)).await;
        Ok(RemovedList { rows: rows.map_err(|_| broke())?? })
    }

    pub async fn restore(self: &Arc<Self>, args: RestoreArgs) -> AppResult<Place> {
        let path =
            decisions::restore(&self.one(&args.bucket)?.fs, &args.path, args.as_name.as_deref()).await?;
        self.wake.urgent(Part::Queue);
        Ok(Place { path })
    }

    pub async fn create_bucket(self: &Arc<Self>, args: CreateBucketArgs) -> AppResult<Bucket> {
        self.make_bucket(&args.owner, &args.name, args.private).await
    }

    pub async fn set_settings(self: &Arc<Self>, args: SettingsArgs) -> AppResult<Settings> {
        let _one = self.settings_change.lock();
        let before = self.settings.read().clone();
        let after = settings::changed(&before, &args.change)?;
        if after.start_at_login != before.start_at_login {
            self.config.outside.start_at_login(after.start_at_login)?;
        }
        self.keep_settings(after.clone())?;
        Ok(after)
    }

    pub async fn snooze(self: &Arc<Self>, args: SnoozeArgs) -> AppResult<Settings> {
        let _one = self.settings_change.lock();
        let mut settings = self.settings.read().clone();
        settings.snooze_until_ms = (args.minutes > 0).then(|| now() + i64::from(args.minutes) * 60_000);
        self.keep_settings(settings.clone())?;
        Ok(settings)
    }

    fn keep_settings(&self, settings: Settings) -> AppResult<()> {
        store::write(&self.config.config_dir.join("settings.json"), &settings)
            .map_err(|error| AppError::of(ErrorCode::Disk, error))?;
        *self.settings.write() = settings;
        for (_, live) in self.served(None)? {
            self.set_limits(&live.fs);
        }
        self.wake.urgent(Part::Settings);
        Ok(())
    }

    pub async fn sign_in_browser(self: &Arc<Self>, _: Nothing) -> AppResult<SignIn> {
        self.begin_browser()
    }

    pub async fn sign_in_device(self: &Arc<Self>, _: Nothing) -> AppResult<SignIn> {
        self.begin_device()
    }

    pub async fn sign_in_cancel(self: &Arc<Self>, _: Nothing) -> AppResult<Nothing> {
        self.cancel_sign_in();
        Ok(DONE)
    }

    pub async fn sign_in_hf_cli(self: &Arc<Self>, _: Nothing) -> AppResult<Account> {
        self.sign_in_with_hf_cli().await
    }

    pub async fn sign_in_token(self: &Arc<Self>, args: TokenArgs) -> AppResult<Account> {
        self.sign_in_pasted(&args.token).await
    }

    pub async fn set_default_account(self: &Arc<Self>, args: AccountArgs) -> AppResult<Nothing> {
        self.accounts.set_default(&args.account)?;
        Ok(DONE)
    }

    pub async fn sign_out(self: &Arc<Self>, args: SignOutArgs) -> AppResult<Asked> {
        let account = self.accounts.list().into_iter().find(|one| one.id == args.account);
        let account = account
            .ok_or_else(|| AppError::new(ErrorCode::NotFound, "There is no such account here.", ""))?;
        let what = format!("sign out {}", account.id);
        if !self.consents.given(&what, args.consent.as_deref(), now()) {
            let unsent = self.unsent(|used| used.account.as_deref().is_none_or(|id| id == account.id)).await;
            let mut facts = vec![match account.kind {
                super::api::accounts::AccountKind::HfCli => "The hf command line stays signed in.".to_owned(),
                _ => format!("The token is deleted from {}.", account.kept_in),
            }];
            facts.push(
                "The Hub goes on accepting it until you take it back in your account's settings there."
                    .to_owned(),
            );
            facts.extend(unsent_facts(&unsent, "waits on this machine until you sign in again"));
            return Ok(Asked::Question {
                question: format!("Sign {} out?", account.name),
                facts,
                unsent,
                consent: self.consents.ask(&what, now()),
                possible: true,
            });
        }
        self.accounts.sign_out(&account.id).await?;
        self.refresh_buckets_quietly().await;
        Ok(Asked::Done)
    }

    pub async fn dismiss(self: &Arc<Self>, args: EntryArgs) -> AppResult<Nothing> {
        if !self.ledger.lock().dismiss(args.entry) {
            return Err(AppError::new(ErrorCode::NotFound, "There is no such row any more.", ""));
        }
        self.wake.urgent(Part::Activity);
        Ok(DONE)
    }

    pub async fn diagnostics(self: &Arc<Self>, _: Nothing) -> AppResult<Text> {
        Ok(Text { text: diagnosis::text(self) })
    }

    /// Looks at mounts, Hub and files now.
    pub async fn check(self: &Arc<Self>, _: Nothing) -> AppResult<Nothing> {
        self.check_mounts().await;
        for (_, live) in self.served(None)? {
            // Whoever waits for a back-off is tried at once; what had failed for good stays so.
            let fs = live.fs;
            let stop = self.stop.clone();
            self.tasks.spawn(async move {
                tokio::select! {
                    _ = fs.sync(Some(Duration::from_millis(1))) => {}
                    () = stop.cancelled() => {}
                }
            });
        }
        let _ = self.look_whether_to_mount().await;
        self.accounts.probe().await;
        self.wake.urgent(Part::Status);
        Ok(DONE)
    }

    /// The served buckets, or the one named.
    fn served(&self, bucket: Option<&str>) -> AppResult<Vec<(Arc<Slot>, Live)>> {
        match bucket {
            Some(bucket) => Ok(vec![(self.slot(bucket)?, self.one(bucket)?)]),
            None => Ok(self
                .all_slots()
                .into_iter()
                .filter_map(|slot| Some((slot.clone(), slot.live()?)))
                .collect()),
        }
    }

    pub(super) fn one(&self, bucket: &str) -> AppResult<Live> {
        self.slot(bucket)?.live().ok_or_else(|| {
            AppError::new(ErrorCode::NotFound, format!("{bucket} is not in use here."), "Mount it first.")
        })
    }

    /// What is not on the Hub, of the buckets for which `which` says yes to how they were used.
    pub(super) async fn unsent(&self, which: impl Fn(&super::book::Used) -> bool) -> Unsent {
        let mut unsent = Unsent::default();
        for (_, endpoint) in self.home.all() {
            let id = endpoint.bucket_path();
            let used = self.book.lock().used(&id);
            let ours = endpoint.hub == self.accounts.origin();
            if !endpoint.opened || (ours && !which(&used)) {
                continue;
            }
            let live = if ours { self.slot(&id).ok().and_then(|slot| slot.live()) } else { None };
            let one = match live {
                Some(live) => {
                    let status =
                        tokio::task::spawn_blocking(move || live.fs.status()).await.unwrap_or_default();
                    let files = status.queued + status.uploading + status.waiting + status.failed;
                    (files, status.unsent_bytes, false)
                }
                None => (0, 0, !(ours && used.clean)),
            };
            if one.0 > 0 || one.2 {
                unsent.files += one.0;
                unsent.bytes += one.1;
                unsent.buckets.push(super::api::accounts::UnsentBucket {
                    bucket: id,
                    files: one.0,
                    bytes: one.1,
                    unknown: one.2,
                });
            }
        }
        unsent
    }

    /// Whether everything of every bucket is on the Hub; true only when that is known. Good after the end too.
    pub async fn all_on_the_hub(&self) -> bool {
        self.unsent(|_| true).await.buckets.is_empty()
    }

    /// Calls a command by its name.
    ///
    /// # Errors
    /// `Invalid` for an unknown name or arguments that do not fit; else the command's own.
    pub async fn call(self: &Arc<Self>, name: &str, args: serde_json::Value) -> AppResult<serde_json::Value> {
        macro_rules! dispatch {
            ($($(#[$doc:meta])* $command:ident($args:ty) -> $answer:ty;)*) => {
                match name {
                    $(stringify!($command) => {
                        let args: $args = serde_json::from_value(args).map_err(|error| misfit(name, &error))?;
                        let answer = Box::pin(self.$command(args)).await?;
                        serde_json::to_value(answer).map_err(|_| broke())
                    })*
                    _ => Err(AppError::invalid(format!("There is no command “{name}”."), "")),
                }
            };
        }
        all_commands!(dispatch)
    }
}

/// What is unsent, as facts for a question.
pub(super) fn unsent_facts(unsent: &Unsent, fate: &str) -> Vec<String> {
    let fact = |one: &super::api::accounts::UnsentBucket| {
        if one.unknown {
            return format!("{}: it is not known whether everything is on the Hub.", one.bucket);
        }
        let files = crate::words::files(one.files);
        format!("{}: {files} ({}) not on the Hub yet {fate}.", one.bucket, crate::words::size(one.bytes))
    };
    unsent.buckets.iter().map(fact).collect()
}

/// What needs somebody first, then what moves, then what waits, then what stays.
fn rank(state: &RowState) -> u8 {
    match state {
        RowState::Failed { .. } => 0,
        RowState::Held { .. } => 1,
        RowState::Uploading { .. } | RowState::Committing => 2,
        RowState::Queued => 3,
        RowState::Waiting { .. } => 4,
        RowState::LocalOnly { .. } => 5,
    }
}

/// A path inside a bucket: it must not lead out of the mount.
fn check_path(path: &str) -> AppResult<()> {
    let bad = path.is_empty()
        || path.starts_with('/')
        || path.split('/').any(|part| matches!(part, "" | "." | ".."));
    if bad || path.contains('\0') {
        return Err(AppError::invalid(format!("“{path}” is no path inside a bucket."), ""));
    }
    Ok(())
}

/// The parser may quote what was sent; a token's place must not be in an error.
fn misfit(name: &str, error: &serde_json::Error) -> AppError {
    let detail = if name == "sign_in_token" { String::new() } else { format!(" ({error})") };
    AppError::invalid(format!("The arguments of {name} do not fit{detail}."), "")
}

fn broke() -> AppError {
    AppError::new(
        ErrorCode::Internal,
        "Something broke inside BucketBar.",
        "Please report this with the diagnostics.",
    )
}
