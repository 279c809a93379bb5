//! `serve`: one bucket over NFS until somebody ends it.

use std::io::Write;
use std::time::Duration;

use engine::keeping::{Keep, Respawn};
use engine::serving::{MountWindow, ReadOnly};
use engine::{EngineError, Result, ServeConfig, Served, Status};

use crate::arguments::Serve;
use crate::signals::Signals;
use crate::{CommandResult, Outcome, format};

/// The promise is five seconds in all.
const LONGEST_END: Duration = Duration::from_millis(4700);

pub async fn run(args: Serve) -> CommandResult {
    // Whatever is made from here on is this user's alone.
    rustix::process::umask(rustix::fs::Mode::RWXG | rustix::fs::Mode::RWXO);
    if args.detached {
        // Fails only for a group's leader, which a program just started by another is not.
        let _ = rustix::process::setsid();
    }
    // Before the start: a signal in its midst ends it as well.
    let mut signals = Signals::listen()?;
    let (bucket, finish) = (args.bucket.to_string(), args.finish);
    let served = tokio::select! {
        served = Box::pin(Served::start(config(args))) => served?,
        () = signals.received() => return Ok(Outcome::NotDone),
    };
    say_what_to_know(&served, &bucket);
    print_first_line(&served)?;
    if finish {
        served.set_finishing(true);
    }
    tokio::select! {
        () = signals.received() => {}
        () = served.wanted_to_end() => {}
    }
    match tokio::time::timeout(LONGEST_END, served.stop()).await {
        Ok(status) => say_what_is_left(&status, &bucket),
        Err(_) => eprintln!(
            "bucketbarctl: The disk was too slow for a tidy end. What was acknowledged is in the state \
             directory."
        ),
    }
    Ok(Outcome::Done)
}

fn config(args: Serve) -> ServeConfig {
    let keep = (!args.no_keeper)
        .then(|| Keep { respawn: args.detached.then(|| respawn(&args)).flatten(), finish: Some("--finish") });
    let mut config = ServeConfig::new(args.bucket, args.state);
    config.keep = keep;
    config.port = args.port;
    config.read_only = args.read_only;
    config.window = if args.mount_once { MountWindow::Once } else { MountWindow::WhileRunning };
    config.any_uid = args.any_uid;
    if let Some((uid, gid)) = args.owner {
        (config.uid, config.gid) = (uid, gid);
    }
    config.debounce = args.debounce_ms;
    config.poll = args.poll_ms;
    config.delete_hold = args.delete_hold_ms;
    config.ask_deletes = !args.do_not_ask;
    config.cache_bytes = args.cache_bytes;
    config.reserve_bytes = args.reserve_bytes;
    config
}

/// How this very server is started again. `None` where its command line is not text: then a `mount` by hand
/// brings it back, as before.
fn respawn(args: &Serve) -> Option<Respawn> {
    Some(Respawn {
        program: std::env::current_exe().ok()?,
        args: std::env::args_os().skip(1).map(|arg| arg.into_string().ok()).collect::<Option<_>>()?,
        env: engine::keeping::environment(),
        log: std::path::absolute(&args.state).ok()?.join(crate::server::LOG),
    })
}

fn say_what_to_know(served: &Served, bucket: &str) {
    for warning in served.warnings() {
        eprintln!("bucketbarctl: {warning}");
    }
    if served.read_only() == Some(ReadOnly::Token) {
        eprintln!(
            "bucketbarctl: Your token may not write to {bucket}: it is served read-only. Sign in with a token \
             that may write, and start again, to change it."
        );
    }
}

fn print_first_line(served: &Served) -> Result<()> {
    let failed = |error: std::io::Error| {
        EngineError::new(format!("The first line could not be printed ({error})."), "Keep stdout open.")
    };
    let line = serde_json::to_string(served.first_line()).map_err(|error| failed(error.into()))?;
    let mut stdout = std::io::stdout();
    writeln!(stdout, "{line}").and_then(|()| stdout.flush()).map_err(failed)
}

fn say_what_is_left(status: &Status, bucket: &str) {
    let left = status.queued + status.uploading + status.waiting + status.failed + status.held_deletes;
    if left > 0 {
        eprintln!(
            "bucketbarctl: {} of {bucket} ({}) not on the Hub yet; kept in the state directory and uploaded \
             after the next start.",
            format::files(left),
            format::size(status.unsent_bytes)
        );
    }
}
