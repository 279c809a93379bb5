//! One file for each command.

pub mod app;
pub mod bucket;
pub mod conflicts;
pub mod deletes;
pub mod doctor;
pub mod events;
pub mod limits;
pub mod login;
pub mod logout;
pub mod ls;
pub mod mount;
pub mod pause;
pub mod pins;
pub mod queue;
pub mod resume_uploads;
pub mod retry;
pub mod serve;
pub mod status;
pub mod sync;
pub mod undo;
pub mod unmount;
pub mod whoami;

use std::path::PathBuf;

use engine::{EngineError, StateHome};
use serde::Serialize;

use crate::format;

/// Prints one JSON document on stdout.
fn print_json(value: &impl Serialize) -> Result<(), EngineError> {
    let text = serde_json::to_string_pretty(value)
        .map_err(|error| EngineError::new(format!("The answer cannot be shown as JSON ({error})."), ""))?;
    print_line(&text);
    Ok(())
}

/// Prints to stdout, line by line harmless to a terminal; a closed pipe (`| head`) is nobody's fault and ends in
/// silence.
fn print_line(text: &str) {
    use std::io::Write;
    let lines: Vec<_> = text.trim_end_matches('\n').split('\n').map(format::harmless).collect();
    let _ = writeln!(std::io::stdout(), "{}", lines.join("\n"));
}

/// Where Xet's own files go for commands that serve nothing.
fn xet_cache() -> Result<PathBuf, EngineError> {
    let home = StateHome::discover()?;
    Ok(home.path().parent().unwrap_or(home.path()).join("xet"))
}
