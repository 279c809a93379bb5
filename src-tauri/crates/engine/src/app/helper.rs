//! The root helper as the app sees it: its state for the person, registering it, bringing it up to date.

use std::sync::Arc;
use std::time::Duration;

use mounter::{HelperState, Os, Registration, Step, cure, judge, step_at_start, step_when_asked};

use super::api::commands::Nothing;
use super::api::error::{AppError, AppResult, ErrorCode};
use super::api::event::Part;
use super::api::helper::{Helper, HelperStatus};
use super::core::App;
use super::outside::Outside;

/// The system's own services answer at once, or something is wrong with them.
const PATIENCE: Duration = Duration::from_secs(10);

impl App {
    pub async fn helper_status(self: &Arc<Self>, _: Nothing) -> AppResult<Helper> {
        let (registration, state) = self.helper().await;
        Ok(shown(Os::here(), registration, &state))
    }

    /// Registers the helper, or does what else brings it: mends one that does not answer, opens the settings where
    /// only the person can go on.
    pub async fn helper_register(self: &Arc<Self>, _: Nothing) -> AppResult<Helper> {
        let (registration, state) = self.helper().await;
        self.helper_step(step_when_asked(registration, &state)).await?;
        self.wake.urgent(Part::Status);
        self.helper_status(Nothing {}).await
    }

    pub async fn helper_open_settings(self: &Arc<Self>, _: Nothing) -> AppResult<Nothing> {
        self.helper_step(Step::OpenSettings).await.map(|()| Nothing {})
    }

    /// A helper that an update left behind is replaced. Nothing is asked of anybody.
    pub(super) async fn mend_helper(self: &Arc<Self>) {
        let (registration, state) = self.helper().await;
        let step = step_at_start(registration, &state);
        if step == Step::Nothing {
            return;
        }
        tracing::info!(?registration, ?state, "the helper is registered anew");
        if let Err(error) = self.helper_step(step).await {
            tracing::warn!(%error, "the helper stays as it is; buckets are mounted without it");
        }
    }

    /// Nothing of the app stays registered; what was never registered is as good.
    pub(super) async fn give_helper_back(&self) {
        let registration = registration(&self.config.outside).await;
        if !matches!(registration, Registration::Enabled | Registration::NeedsApproval) {
            return;
        }
        let outside = Arc::clone(&self.config.outside);
        if let Ok(Err(error)) = blocking(move || outside.unregister_helper()).await {
            tracing::error!(%error, "the helper stays registered");
        }
    }

    async fn helper(&self) -> (Registration, HelperState) {
        let registration = registration(&self.config.outside).await;
        (registration, judge(registration, self.config.mounts.helper().await))
    }

    async fn helper_step(&self, step: Step) -> AppResult<()> {
        let outside = Arc::clone(&self.config.outside);
        blocking(move || match step {
            Step::Nothing => Ok(()),
            Step::Register => outside.register_helper(),
            Step::RegisterAnew => {
                // It may be gone already, which is as good.
                if let Err(error) = outside.unregister_helper() {
                    tracing::info!(%error, "the old helper was not taken away");
                }
                outside.register_helper()
            }
            Step::OpenSettings => outside.open_login_items(),
        })
        .await?
    }
}

/// The system's word; `Unmanaged` when it gives none in time.
pub(super) async fn registration(outside: &Arc<dyn Outside>) -> Registration {
    let outside = Arc::clone(outside);
    blocking(move || outside.registration()).await.unwrap_or_default()
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> AppResult<T> {
    let late = || {
        AppError::new(
            ErrorCode::Timeout,
            "The system did not answer about the helper.",
            "Try again in a moment.",
        )
    };
    let work = tokio::task::spawn_blocking(work);
    tokio::time::timeout(PATIENCE, work).await.map_err(|_| late())?.map_err(|_| late())
}

/// What a person is told of it.
fn shown(os: Os, registration: Registration, state: &HelperState) -> Helper {
    let status = match (registration, state) {
        (_, HelperState::Ready) => HelperStatus::Enabled,
        (Registration::Unmanaged, _) => HelperStatus::Unmanaged,
        (_, HelperState::NeedsApproval) => HelperStatus::RequiresApproval,
        (Registration::NotFound, _) => HelperStatus::NotFound,
        (_, HelperState::Absent) => HelperStatus::NotRegistered,
        (_, HelperState::TooOld | HelperState::TooNew | HelperState::Silent(_)) => HelperStatus::Broken,
    };
    let what = match status {
        HelperStatus::Enabled => "Buckets are volumes of their own.",
        _ => "Buckets are folders. With the helper each would be a volume of its own.",
    };
    let advice = match status {
        HelperStatus::NotFound => {
            "macOS does not find the helper in this copy of BucketBar: move the app to Applications, open it there, \
             and try again."
                .to_owned()
        }
        _ => cure(os, state),
    };
    Helper { status, what: what.to_owned(), advice }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_has_its_word_and_its_way_out() {
        let status = |registration, socket: HelperState| {
            let shown = shown(Os::MacOs, registration, &judge(registration, socket));
            let needs_somebody = !matches!(shown.status, HelperStatus::Enabled);
            assert_eq!(!shown.advice.is_empty(), needs_somebody, "{shown:?}");
            shown.status
        };
        let absent = || HelperState::Absent;
        assert_eq!(status(Registration::Enabled, HelperState::Ready), HelperStatus::Enabled);
        assert_eq!(status(Registration::Unmanaged, HelperState::Ready), HelperStatus::Enabled);
        assert_eq!(status(Registration::Unmanaged, absent()), HelperStatus::Unmanaged);
        assert_eq!(status(Registration::NotRegistered, absent()), HelperStatus::NotRegistered);
        assert_eq!(status(Registration::NeedsApproval, absent()), HelperStatus::RequiresApproval);
        assert_eq!(status(Registration::NotFound, absent()), HelperStatus::NotFound);
        assert_eq!(status(Registration::Enabled, absent()), HelperStatus::Broken);
        assert_eq!(status(Registration::Enabled, HelperState::TooOld), HelperStatus::Broken);
    }
}
