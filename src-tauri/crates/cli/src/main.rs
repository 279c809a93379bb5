//! `bucketbarctl`: the engine on the command line, for scripts, servers and tests.
//!
//! Exit codes: 0 done; 1 not done, with a sentence on stderr; 2 the command line was not understood.

#![forbid(unsafe_code)]

mod arguments;
mod commands;
mod format;
mod log;
#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod memory;
mod place;
mod server;
mod signals;

use std::process::ExitCode;

use clap::Parser;
use engine::EngineError;

use crate::arguments::{Arguments, Command};

/// What a command came to. Its output is already printed.
pub enum Outcome {
    Done,
    /// Not everything was done; what is missing has been said.
    NotDone,
}

pub type CommandResult = Result<Outcome, EngineError>;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    if matches!(arguments.command, Command::Mount(_) | Command::Serve(_)) {
        memory::hold();
    }
    log::start();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("bucketbarctl: The program could not start ({error}).");
            return ExitCode::from(1);
        }
    };
    let outcome = runtime.block_on(Box::pin(run(arguments.command)));
    // A thread that is stuck in the disk does not hold up the end.
    runtime.shutdown_timeout(std::time::Duration::from_millis(200));
    match outcome {
        Ok(Outcome::Done) => ExitCode::SUCCESS,
        Ok(Outcome::NotDone) => ExitCode::from(1),
        Err(error) => {
            // It may quote a name of the bucket's.
            eprintln!("bucketbarctl: {}", format::harmless(&error.to_string()));
            ExitCode::from(1)
        }
    }
}

async fn run(command: Command) -> CommandResult {
    match command {
        Command::Login(args) => commands::login::run(args).await,
        Command::Logout(args) => commands::logout::run(args).await,
        Command::Whoami(args) => commands::whoami::run(args).await,
        Command::Bucket(args) => commands::bucket::run(args).await,
        Command::Doctor(args) => commands::doctor::run(args).await,
        Command::Ls(args) => commands::ls::run(args).await,
        Command::Mount(args) => commands::mount::run(args).await,
        Command::Unmount(args) => commands::unmount::run(args).await,
        Command::Serve(args) => Box::pin(commands::serve::run(args)).await,
        Command::Sync(args) => commands::sync::run(args).await,
        Command::Pause(args) => commands::pause::pause(args).await,
        Command::Resume(args) => commands::pause::resume(args).await,
        Command::Status(args) => commands::status::run(args).await,
        Command::Queue(args) => commands::queue::run(args).await,
        Command::Events(args) => commands::events::run(args).await,
        Command::Retry(args) => commands::retry::run(args).await,
        Command::ResumeUploads => commands::resume_uploads::run().await,
        Command::App(args) => Box::pin(commands::app::run(args)).await,
        Command::Limits(args) => commands::limits::run(args).await,
        Command::Deletes(args) => commands::deletes::run(args).await,
        Command::Conflicts(args) => commands::conflicts::list(args).await,
        Command::Resolve(args) => commands::conflicts::resolve(args).await,
        Command::Discard(args) => commands::conflicts::discard(args).await,
        Command::RecentDeletes(args) => commands::undo::list(args).await,
        Command::Pin(args) => commands::pins::pin(args).await,
        Command::Unpin(args) => commands::pins::unpin(args).await,
        Command::Pins(args) => commands::pins::list(args).await,
        Command::Restore(args) => commands::undo::restore(args).await,
    }
}
