//! Looking for updates while the app runs, and installing one at its end. What is decided is in [`crate::update`].

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use engine::app::App;
use semver::Version;
use tauri::{AppHandle, Manager};

use super::{engine_of, tray};
use crate::bundle::{self, Place};
use crate::update::decision::{End, Facts, Offer, Verdict, is_wanted, may_install_now};
use crate::update::{Source, fetch, install};
use crate::{IDENTIFIER, platform};

/// The start has more urgent things to do.
const FIRST_LOOK: Duration = Duration::from_secs(120);
const BETWEEN: Duration = Duration::from_secs(6 * 3600);
/// Set by `scripts/package-macos`; also the team that the app is signed with.
const TEAM: Option<&str> = option_env!("BUCKETBAR_TEAM_ID");
/// In the folder of updates: why the last one was not installed.
const FAILED: &str = "failed.txt";

/// Tauri keeps one, in builds that have updates.
pub struct Updates {
    source: Source,
    place: Place,
    line: Mutex<Option<String>>,
}

/// Looks from now on; a build without updates, or one that is no installed app, never does.
pub fn start(app: &AppHandle, folder: &std::path::Path) {
    let Some(source) = Source::of_build(folder.to_owned()) else { return };
    let place = std::env::current_exe().map_or(Place::Loose, |program| bundle::place(&program));
    if !matches!(place, Place::Installed(_)) {
        tracing::info!(?place, "from here the app does not update itself");
        return;
    }
    let failed = std::fs::read_to_string(source.folder.join(FAILED)).ok();
    let _ = std::fs::remove_file(source.folder.join(FAILED));
    app.manage(Updates { source, place, line: Mutex::new(failed) });
    let app = app.clone();
    tauri::async_runtime::spawn(async move {
        tokio::time::sleep(FIRST_LOOK).await;
        loop {
            if let Err(why) = look(&app).await {
                tracing::info!("no update could be looked for: {why}");
            }
            tokio::time::sleep(BETWEEN).await;
        }
    });
}

/// What the menu says about an update, if there is something to say.
pub fn line(app: &AppHandle) -> Option<String> {
    let updates = app.try_state::<Updates>()?;
    updates.line.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

async fn look(app: &AppHandle) -> Result<(), String> {
    let updates = app.state::<Updates>();
    let offer = fetch::look(&updates.source).await?;
    let macos = platform::system_version();
    let wanted = is_wanted(&Offer {
        current: &current()?,
        offered: &offer.0.version,
        macos: macos.as_deref(),
        minimum_macos: &offer.0.minimum_macos,
        place: &updates.place,
    });
    if !wanted {
        return Ok(());
    }
    let version = offer.0.version.clone();
    if kept(&updates.source).await.is_none_or(|kept| kept.manifest.version != version) {
        fetch::take(&updates.source, offer).await?;
        tracing::info!("version {version} is here and is installed when the app is quit");
    }
    let line = format!("Version {version} Is Installed at Quit");
    *updates.line.lock().unwrap_or_else(PoisonError::into_inner) = Some(line);
    if let Some(engine) = engine_of(app) {
        tray::show(app, &engine.state());
    }
    Ok(())
}

/// After the last server has ended. Installs, or leaves it for another time; a failure is said at the next start.
pub async fn at_end(app: &AppHandle, engine: &Arc<App>, end: End) {
    let Some(updates) = app.try_state::<Updates>() else { return };
    let Ok(current) = current() else { return };
    let fetched = kept(&updates.source).await;
    let mounted = engine::mounter::own_mounts().map_or(usize::MAX, |mounts| mounts.len());
    let verdict = may_install_now(&Facts {
        end,
        current: &current,
        fetched: fetched.as_ref().map(|fetched| &fetched.manifest.version),
        place: &updates.place,
        all_on_the_hub: engine.all_on_the_hub().await,
        mounted,
    });
    let (Verdict::Install, Some(fetched), Place::Installed(bundle)) = (verdict, fetched, &updates.place)
    else {
        return tracing::info!(?verdict, "no update is installed");
    };
    let (version, bundle) = (fetched.manifest.version.clone(), bundle.clone());
    let installed = tokio::task::spawn_blocking(move || put(&fetched.archive, bundle)).await;
    match installed.map_err(|error| error.to_string()).and_then(|done| done) {
        Ok(()) => {
            tracing::info!("version {version} is installed");
            fetch::forget(&updates.source.folder);
        }
        Err(why) => {
            tracing::error!("version {version} was not installed: {why}");
            // Only a line of the menu at the next start.
            let line = format!("Version {version} Was Not Installed: {why}");
            let _ = std::fs::write(updates.source.folder.join(FAILED), line);
        }
    }
}

fn put(archive: &std::path::Path, bundle: PathBuf) -> Result<(), String> {
    let team = TEAM.ok_or("this build has no team to check it against")?;
    install::install(archive, &bundle, |new| install::is_ours(new, team, IDENTIFIER))
}

fn current() -> Result<Version, String> {
    Version::parse(env!("CARGO_PKG_VERSION")).map_err(|error| error.to_string())
}

async fn kept(source: &Source) -> Option<fetch::Fetched> {
    let source = source.clone();
    tokio::task::spawn_blocking(move || fetch::kept(&source)).await.ok().flatten()
}
