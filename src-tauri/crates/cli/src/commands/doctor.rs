//! `doctor`: everything a support person would ask, checked.

use engine::doctor::{self, Level};

use super::{print_json, print_line};
use crate::arguments::Doctor;
use crate::{CommandResult, Outcome};

pub async fn run(args: Doctor) -> CommandResult {
    let report = Box::pin(doctor::examine()).await;
    if args.json {
        print_json(&report)?;
    } else {
        for check in &report.checks {
            let level = match check.level {
                Level::Ok => "ok",
                Level::Note => "note",
                Level::Problem => "PROBLEM",
            };
            print_line(&format!("{level:8}{}: {}", check.name, check.found));
            if !check.advice.is_empty() {
                print_line(&format!("        {}", check.advice));
            }
        }
        print_line(&report.summary());
    }
    Ok(if report.is_healthy() { Outcome::Done } else { Outcome::NotDone })
}
