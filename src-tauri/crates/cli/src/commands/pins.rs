//! `pin`, `unpin` and `pins`: what is kept offline.

use std::io::{IsTerminal, Write};
use std::time::Duration;

use engine::control::ControlClient;
use engine::{EngineError, PinCost, PinReport, PinState};

use super::{print_json, print_line};
use crate::arguments::{Pin, Shown, Unpin};
use crate::{CommandResult, Outcome, format, place};

const LOOK: Duration = Duration::from_millis(500);

pub async fn pin(args: Pin) -> CommandResult {
    let target = place::inside(&args.target, args.state.as_deref()).await?;
    let client = target.client;
    let cost = client.pin_cost(&target.path).await?;
    let name = shown(&cost.path);
    print_line(&format!("{name}: {}", sentence(&cost)));
    if cost.fits()
        && !args.yes
        && std::io::stdin().is_terminal()
        && cost.download_bytes > 0
        && !agreed(&cost)?
    {
        print_line("Nothing was changed.");
        return Ok(Outcome::NotDone);
    }
    client.pin(&target.path).await?;
    if args.wait {
        return wait(&client, &cost.path).await;
    }
    match cost.download_bytes {
        0 => print_line(&format!("{name} is kept offline.")),
        _ => print_line(&format!(
            "{name} is being downloaded; `bucketbarctl pins {}` says how far it is.",
            target.bucket
        )),
    }
    Ok(Outcome::Done)
}

pub async fn unpin(args: Unpin) -> CommandResult {
    let target = place::inside(&args.target, args.state.as_deref()).await?;
    target.client.unpin(&target.path).await?;
    print_line(&format!("{} is kept offline no longer; its space comes back now.", shown(&target.path)));
    Ok(Outcome::Done)
}

pub async fn list(args: Shown) -> CommandResult {
    let answer = place::client(&args.running)?.pins().await?;
    if args.json {
        print_json(&answer)?;
        return Ok(Outcome::Done);
    }
    let row = |pin: &PinReport| {
        let size = format!("{}, {}", format::files(pin.files), format::size(pin.bytes));
        vec![shown(&pin.path).to_owned(), size, state(pin)]
    };
    if answer.pins.is_empty() {
        print_line(&format!(
            "Nothing is kept offline. Keep something: bucketbarctl pin {}:PATH",
            args.running.bucket
        ));
    }
    let rows: Vec<Vec<String>> = answer.pins.iter().map(row).collect();
    print_line(&format::table(&rows));
    let cache = answer.cache;
    let rows: Vec<Vec<String>> = [
        ("kept offline", cache.kept_bytes, "never given up by itself".to_owned()),
        ("read lately", cache.read_bytes, format!("at most {}", format::size(cache.read_limit))),
        ("saved lately", cache.saved_bytes, format!("at most {}", format::size(cache.saved_limit))),
        ("not on the Hub yet", cache.unsent_bytes, "never given up".to_owned()),
    ]
    .into_iter()
    .map(|(what, bytes, why)| vec![what.to_owned(), format::size(bytes), why])
    .collect();
    print_line(&format!("On this machine:\n{}", format::table(&rows)));
    Ok(Outcome::Done)
}

async fn wait(client: &ControlClient, path: &str) -> CommandResult {
    let bar = std::io::stderr().is_terminal();
    loop {
        let all = client.pins().await?.pins;
        let Some(pin) = all.into_iter().find(|pin| pin.path == path) else {
            return Err(EngineError::new(format!("{} is not kept offline any more.", shown(path)), ""));
        };
        if bar {
            eprint!("\r\x1b[K{}", format::harmless(&format!("{}: {}", shown(path), state(&pin))));
        }
        let over = match &pin.state {
            PinState::Kept => Some(Outcome::Done),
            PinState::Failed { .. } | PinState::Gone => Some(Outcome::NotDone),
            _ => None,
        };
        if let Some(outcome) = over {
            if bar {
                eprintln!();
            }
            print_line(&format!("{}: {}", shown(path), state(&pin)));
            return Ok(outcome);
        }
        tokio::time::sleep(LOOK).await;
    }
}

fn sentence(cost: &PinCost) -> String {
    let files = format::files(cost.files);
    let all = format::size(cost.bytes);
    match cost.download_bytes {
        0 => format!("{files}, {all}, all of it on this machine."),
        download => format!(
            "{files}, {all}; {} to download, {} free.",
            format::size(download),
            format::size(cost.available_bytes)
        ),
    }
}

fn agreed(cost: &PinCost) -> Result<bool, EngineError> {
    let failed =
        |error: std::io::Error| EngineError::new(format!("The terminal could not be read ({error})."), "");
    print!("Download {} and keep it offline? [Y/n] ", format::size(cost.download_bytes));
    std::io::stdout().flush().map_err(failed)?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer).map_err(failed)?;
    Ok(matches!(answer.trim().to_ascii_lowercase().as_str(), "" | "y" | "yes"))
}

fn state(pin: &PinReport) -> String {
    let done = || format!("{} of {}", format::size(pin.bytes_here), format::size(pin.bytes));
    match &pin.state {
        PinState::Kept => "kept".to_owned(),
        PinState::Looking => format!("being listed, {} so far", format::files(pin.files)),
        PinState::Downloading => format!("downloading, {}", done()),
        PinState::Waiting { why } => format!("{}, waiting: {why}", done()),
        PinState::Failed { why, advice } => {
            format!("{}, failed: {why} {advice}", done()).trim_end().to_owned()
        }
        PinState::Gone => "not in the bucket any more".to_owned(),
    }
}

fn shown(path: &str) -> &str {
    if path.is_empty() { "everything" } else { path }
}
