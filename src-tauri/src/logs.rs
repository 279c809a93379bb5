//! The app's log: one file a day, two weeks of them, below the user's log directory. How much is written can be
//! changed while it runs. `RUST_LOG`, when set, wins over the setting.

use std::path::Path;

use engine::app::api::settings::LogLevel;
use tracing_appender::rolling::{InitError, RollingFileAppender, Rotation};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::{EnvFilter, Registry, fmt, reload};

const DAYS: usize = 14;

/// Changes how much is logged.
#[derive(Clone)]
pub struct Level {
    handle: reload::Handle<EnvFilter, Registry>,
    /// `RUST_LOG` was set: the setting has no say.
    fixed: bool,
}

impl Level {
    pub fn set(&self, level: LogLevel) {
        if self.fixed {
            return;
        }
        if let Err(error) = self.handle.reload(filter(level)) {
            tracing::warn!("the log's level could not be changed: {error}");
        }
    }
}

/// A subscriber that writes into `folder`, and the switch of its level. Lines are written as they come: the last
/// ones before a crash are those that matter.
///
/// # Errors
/// When the folder cannot be made or written to.
pub fn to_files(folder: &Path) -> Result<(impl tracing::Subscriber + Send + Sync, Level), InitError> {
    let files = RollingFileAppender::builder()
        .rotation(Rotation::DAILY)
        .filename_prefix("bucketbar")
        .filename_suffix("log")
        .max_log_files(DAYS)
        .build(folder)?;
    let asked = EnvFilter::try_from_default_env();
    let fixed = asked.is_ok();
    let (filter, handle) = reload::Layer::new(asked.unwrap_or_else(|_| filter(LogLevel::default())));
    let lines = fmt::layer().with_ansi(false).with_writer(files);
    Ok((Registry::default().with(filter).with(lines), Level { handle, fixed }))
}

/// Ours at `level`; libraries only what is wrong with them: they know addresses with signatures in them.
fn filter(level: LogLevel) -> EnvFilter {
    let level = match level {
        LogLevel::Error => "error",
        LogLevel::Warn => "warn",
        LogLevel::Info => "info",
        LogLevel::Debug => "debug",
    };
    let ours =
        ["bucketbar", "engine", "bucketfs", "nfs", "hub", "mounter"].map(|name| format!("{name}={level}"));
    EnvFilter::new(format!("error,{}", ours.join(",")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_logged_follows_the_level_at_once() -> Result<(), Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        let (subscriber, level) = to_files(folder.path())?;
        tracing::subscriber::with_default(subscriber, || {
            tracing::debug!(target: "engine", "too fine");
            level.set(LogLevel::Debug);
            tracing::debug!(target: "engine", "now heard");
            tracing::info!(target: "reqwest", "of a library");
            level.set(LogLevel::Error);
            tracing::warn!(target: "engine", "not an error");
            tracing::error!(target: "reqwest", "broken");
        });
        let mut text = String::new();
        for entry in std::fs::read_dir(folder.path())? {
            text += &std::fs::read_to_string(entry?.path())?;
        }
        let lines: Vec<_> =
            text.lines().filter_map(|line| line.rsplit_once(": ").map(|(_, said)| said)).collect();
        assert_eq!(lines, ["now heard", "broken"], "{text}");
        Ok(())
    }
}
