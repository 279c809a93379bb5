//! Ending: what is said before, in which order things end, and what stays for the next start.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use mounter::{Force, Reason};

use super::api::commands::{Asked, ConsentArgs};
use super::api::error::{AppError, AppResult, ErrorCode};
use super::api::event::{AppEvent, Part};
use super::commands::unsent_facts;
use super::core::{App, now};
use super::slot::Slot;
use crate::words;

/// A busy mount is tried again this often while the app waits for its end.
const BUSY_LOOK: Duration = Duration::from_secs(5);
/// Everything staged is durable within this.
const STOPPING: Duration = Duration::from_millis(3700);
/// How long a hurried end waits for polite unmounts.
const POLITE: Duration = Duration::from_millis(700);

impl App {
    pub async fn quit(self: &Arc<Self>, args: ConsentArgs) -> AppResult<Asked> {
        if !self.consents.given("quit", args.consent.as_deref(), now()) {
            let unsent = self.unsent(|_| true).await;
            let mut facts = unsent_facts(&unsent, "goes on at the next start");
            for (slot, names) in self.in_use().await {
                let who = words::some_of(&names, 3);
                facts.push(format!(
                    "{} is in use by {who}: BucketBar goes on serving it until it is free, then ends.",
                    slot.id
                ));
            }
            return Ok(Asked::Question {
                question: "Quit BucketBar?".to_owned(),
                facts,
                unsent,
                consent: self.consents.ask("quit", now()),
                possible: true,
            });
        }
        self.cancel_sign_in();
        let app = Arc::clone(self);
        // Not one of the app's tasks: it waits for those.
        tokio::spawn(async move {
            app.unmount_all_when_free().await;
            app.finish().await;
        });
        Ok(Asked::Done)
    }

    /// Ends within five seconds without a question, for SIGTERM and log-out: mounts that can be unmounted at
    /// once are; the others wait for the next start. Everything acknowledged is durable.
    pub async fn end(self: &Arc<Self>) {
        let polite = join_all(self.all_slots().into_iter().map(|slot| async move {
            if let Some(place) = slot.mount_point()
                && self.config.mounts.unmount(&place, Force::No).await.is_ok()
            {
                self.is_unmounted(&slot).await;
            }
        }));
        if tokio::time::timeout(POLITE, polite).await.is_err() {
            tracing::warn!("some mounts stay for the next start");
        }
        self.finish().await;
    }

    pub async fn remove_everything(self: &Arc<Self>, args: ConsentArgs) -> AppResult<Asked> {
        let unsent = self.unsent(|_| true).await;
        let nothing_unsent = unsent.buckets.is_empty();
        if !self.consents.given("remove everything", args.consent.as_deref(), now()) || !nothing_unsent {
            let mut facts = unsent_facts(&unsent, "would be lost");
            facts.extend(self.what_would_go());
            let consent =
                if nothing_unsent { self.consents.ask("remove everything", now()) } else { String::new() };
            let question = if nothing_unsent {
                "Remove everything of BucketBar from this machine? What is on the Hub stays there."
            } else {
                "Not everything is on the Hub yet: nothing is removed before."
            };
            return Ok(Asked::Question {
                question: question.to_owned(),
                facts,
                unsent,
                consent,
                possible: nothing_unsent,
            });
        }
        self.remove_all().await?;
        Ok(Asked::Done)
    }

    fn what_would_go(&self) -> Vec<String> {
        let mut facts = Vec::new();
        for slot in self.all_slots() {
            if let Some(place) = slot.mount_point() {
                facts.push(format!("The mount of {} on {}.", slot.id, place.display()));
            }
        }
        let known = self.home.all();
        let names: Vec<String> = known.iter().map(|(_, endpoint)| endpoint.bucket_path()).collect();
        if !names.is_empty() {
            facts.push(format!("The cache and state of {}.", words::some_of(&names, 5)));
        }
        for account in self.accounts.list() {
            facts.push(format!("The sign-in of {} in {}.", account.name, account.kept_in));
        }
        facts.push(format!("The settings in {}.", self.config.config_dir.display()));
        facts
    }

    async fn remove_all(self: &Arc<Self>) -> AppResult<()> {
        for slot in self.all_slots() {
            let _one = slot.ops.lock().await;
            if let Some(place) = slot.mount_point() {
                self.config.mounts.unmount(&place, Force::No).await?;
                self.is_unmounted(&slot).await;
            }
            // The last word on what is unsent is the one after the kernel gave everything up.
            if let Some(live) = slot.live()
                && !live.fs.status().all_saved
            {
                return Err(AppError::new(
                    ErrorCode::Unsent,
                    format!("{} has something that is not on the Hub yet; nothing was removed.", slot.id),
                    "Wait until everything is saved, then try again.",
                ));
            }
        }
        for slot in self.all_slots() {
            self.stop_slot(&slot).await;
        }
        for account in self.accounts.list() {
            if account.kind != super::api::accounts::AccountKind::Environment {
                self.accounts.sign_out(&account.id).await?;
            }
        }
        let _ = self.config.outside.start_at_login(false);
        self.give_helper_back().await;
        self.stop_all().await;
        for folder in
            [self.home.path().to_owned(), self.config.state_dir.clone(), self.config.config_dir.clone()]
        {
            let gone = tokio::task::spawn_blocking(move || std::fs::remove_dir_all(&folder)).await;
            if let Ok(Err(error)) = gone
                && error.kind() != std::io::ErrorKind::NotFound
            {
                tracing::error!(%error, "some files stayed");
            }
        }
        self.tell_the_end();
        Ok(())
    }

    /// Mounts in use, with the names of the programs.
    async fn in_use(&self) -> Vec<(Arc<Slot>, Vec<String>)> {
        let mut found = Vec::new();
        for slot in self.all_slots() {
            let Some(place) = slot.mount_point() else { continue };
            let names: Vec<String> =
                self.config.mounts.blockers(&place).await.into_iter().map(|blocker| blocker.name).collect();
            if !names.is_empty() {
                found.push((slot, names));
            }
        }
        found
    }

    /// Returns when nothing is mounted any more; busy mounts are served until they are free.
    async fn unmount_all_when_free(self: &Arc<Self>) {
        loop {
            let mut left = 0;
            for slot in self.all_slots() {
                let _one = slot.ops.lock().await;
                let Some(place) = slot.mount_point() else { continue };
                match self.config.mounts.unmount(&place, Force::No).await {
                    Ok(()) => self.is_unmounted(&slot).await,
                    Err(error) if error.reason == Reason::NotMounted => self.is_unmounted(&slot).await,
                    Err(error) => {
                        tracing::info!(bucket = slot.id, %error, "the end waits for a mount");
                        left += 1;
                    }
                }
            }
            self.wake.urgent(Part::Buckets);
            if left == 0 {
                return;
            }
            tokio::time::sleep(BUSY_LOOK).await;
        }
    }

    /// Servers end, tasks end, everybody is told.
    async fn finish(self: &Arc<Self>) {
        self.stop_all().await;
        if let Err(error) = self.ledger.lock().save() {
            tracing::error!(%error, "the Activity list could not be written");
        }
        self.tell_the_end();
    }

    fn tell_the_end(&self) {
        self.lock.lock().take();
        // Nobody may be listening.
        let _ = self.events.send(AppEvent::Ended);
        self.ended.send_replace(true);
    }

    async fn stop_all(self: &Arc<Self>) {
        self.signing.lock().cancel();
        self.stop.cancel();
        let stopping = join_all(self.all_slots().into_iter().map(|slot| async move {
            self.stop_slot(&slot).await;
        }));
        if tokio::time::timeout(STOPPING, stopping).await.is_err() {
            tracing::warn!("the disk was too slow for a tidy end; what was acknowledged is there");
        }
        self.tasks.close();
        // Tasks end by `stop`; one that is stuck in the disk is left behind.
        let _ = tokio::time::timeout(Duration::from_millis(300), self.tasks.wait()).await;
    }
}
