//! Random runs, recorded ones first.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use model::steps::{Step, Theme, draw};
use model::world::{Outcome, Tally, World};

pub fn program() -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_model-fs"))
}

/// Carries all steps out; on failure what was said up to there.
fn run(seed: u64, steps: &[Step]) -> Result<Tally, String> {
    run_for(seed, steps, Duration::from_secs(20))
}

fn run_for(seed: u64, steps: &[Step], patience: Duration) -> Result<Tally, String> {
    let mut world = World::new(&program(), seed)?;
    world.patience = patience;
    for (number, step) in steps.iter().enumerate() {
        world.trace.push(format!("{number}: {step:?}"));
        if let Err(broken) = world.step(*step) {
            let from = world.trace.len().saturating_sub(60);
            return Err(format!(
                "{}\nSTEP {number}: {step:?}\nBROKEN: {broken}",
                world.trace[from..].join("\n")
            ));
        }
    }
    Ok(world.tally)
}

/// Shortens a failing run, keeps it in a file and says how to replay it.
fn fail(seed: u64, steps: Vec<Step>, why: &str) -> ! {
    let patience = if std::env::var_os("MODEL_NO_SHRINK").is_some() { 0 } else { 90 };
    let until = Instant::now() + Duration::from_secs(patience);
    let whole = steps.len();
    let short = model::shrink::shrink(steps, 200, |steps| {
        Instant::now() < until && run_for(seed, steps, Duration::from_secs(5)).is_err()
    });
    let why =
        if short.len() == whole { None } else { run(seed, &short).err() }.unwrap_or_else(|| why.to_owned());
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("model");
    std::fs::create_dir_all(&folder).expect("a folder for it");
    let file = folder.join(format!("{seed}.json"));
    let lines: Vec<String> =
        short.iter().map(|step| serde_json::to_string(step).expect("steps are plain data")).collect();
    std::fs::write(&file, format!("{{\"seed\":{seed},\"steps\":[\n{}\n]}}\n", lines.join(",\n")))
        .expect("room for the steps");
    panic!(
        "{why}\n\nseed {seed} ({:?}), {} steps, kept in {}.\nReplay it: MODEL_REPLAY={} cargo nextest run --release --locked \
         --workspace --exclude local-hub -E 'package(model) & test(a_recorded_run)'\nThe whole of it: MODEL_SEED={seed} \
         cargo nextest run --release --locked --workspace --exclude local-hub -E 'package(model) & test(random_runs)'",
        Theme::of(seed),
        short.len(),
        file.display(),
        file.display(),
    )
}

#[derive(serde::Deserialize)]
struct Recorded {
    seed: u64,
    steps: Vec<Step>,
}

/// Every run in `regressions` once broke a promise.
#[test]
fn a_recorded_run_keeps_its_promise() {
    let one = std::env::var_os("MODEL_REPLAY").map(PathBuf::from);
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("regressions");
    let is_run = |path: &PathBuf| path.extension().is_some_and(|end| end == "json");
    let mut files: Vec<PathBuf> = match one {
        Some(file) => vec![file],
        None => {
            std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).filter(is_run).collect()
        }
    };
    files.sort();
    assert!(!files.is_empty(), "no run is recorded");
    for file in &files {
        let recorded: Recorded = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
        if let Err(why) = run(recorded.seed, &recorded.steps) {
            panic!("{}: {why}", file.display());
        }
    }
}

/// Seeds of the short form.
const SHORT: u64 = 30;

/// Seeds in turn until the time is up: MODEL_SECONDS, else 60 (10 minutes with BUCKETBAR_FULL).
#[test]
fn random_runs_agree_with_the_model() {
    let full = std::env::var_os("BUCKETBAR_FULL").is_some();
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let seconds = number("MODEL_SECONDS").unwrap_or(if full { 600 } else { 60 });
    let rounds = number("MODEL_ROUNDS").unwrap_or(3) as usize;
    if let Some(seed) = number("MODEL_SEED") {
        let steps = draw(seed, rounds);
        if let Err(why) = run(seed, &steps) {
            fail(seed, steps, &why);
        }
        return;
    }
    let first = number("MODEL_FROM").unwrap_or(1);
    // Short: a fixed set, so that a red run means a change of the code and not of the dice.
    let last = if full || number("MODEL_SECONDS").is_some() { u64::MAX } else { first + SHORT };
    let until = Instant::now() + Duration::from_secs(seconds);
    let (mut all, mut seed) = (Tally::default(), first);
    let mut steps_done = 0;
    while seed < last && Instant::now() < until {
        let steps = draw(seed, rounds);
        steps_done += steps.len();
        match run(seed, &steps) {
            Ok(tally) => add(&mut all, tally),
            Err(why) => fail(seed, steps, &why),
        }
        seed += 1;
    }
    println!("{} runs, {steps_done} steps: {all:?}", seed - first);
}

fn add(all: &mut Tally, one: Tally) {
    all.calls += one.calls;
    all.kills += one.kills;
    all.cuts += one.cuts;
    all.settled += one.settled;
    all.theirs += one.theirs;
    all.conflicts += one.conflicts;
}

#[test]
fn a_seed_means_the_same_everywhere() -> Outcome {
    let steps = draw(4, 1);
    if steps == draw(4, 1) && steps.last() == Some(&Step::Settle) {
        return Ok(());
    }
    Err("the steps of a seed change".into())
}
