//! What a run does: a list of steps, drawn from a seed.
//!
//! A step names its object by a number that is taken modulo what there is at that moment, so that a list from
//! which steps were dropped still means something.

use serde::{Deserialize, Serialize};

use crate::disk::Luck;
use crate::far_side::{ROUTES, Weather, harms};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Step {
    /// CREATE GUARDED or EXCLUSIVE; nothing is written.
    Create {
        dir: u16,
        name: u8,
        exclusive: bool,
    },
    Mkdir {
        dir: u16,
        name: u8,
    },
    Symlink {
        dir: u16,
        name: u8,
    },
    Remove {
        node: u16,
    },
    Rmdir {
        node: u16,
    },
    Rename {
        node: u16,
        dir: u16,
        name: u8,
    },
    /// O_TRUNC, write, COMMIT: what a copy does.
    Save {
        dir: u16,
        name: u8,
        length: u32,
        fill: u32,
    },
    /// What an editor does: write aside, rename over.
    SafeSave {
        file: u16,
        length: u32,
        fill: u32,
    },
    /// At this many thousandths of the file's size.
    Write {
        file: u16,
        at: u16,
        length: u32,
        fill: u32,
        durable: bool,
    },
    Resize {
        file: u16,
        size: u32,
    },
    Commit {
        file: u16,
    },
    Touch {
        file: u16,
        back: bool,
    },
    /// GETATTR and READ.
    Look {
        file: u16,
    },
    List {
        dir: u16,
    },
    /// Many WRITEs and COMMITs at once; with `kill` the process is killed after that many answers.
    Burst {
        file: u16,
        writes: u8,
        fill: u32,
        kill: Option<u8>,
    },

    TheirPut {
        key: u16,
        length: u32,
        fill: u32,
    },
    TheirDelete {
        key: u16,
    },
    TheirRename {
        key: u16,
        to: u16,
    },
    Hub(Weather),
    /// Tokens and addresses expire, the feed forgets.
    Expire,
    Down,
    Clear,

    /// The next sync of the local disk fails, in a COMMIT.
    FailedCommit {
        file: u16,
        times: u8,
    },
    /// The local disk is full for one WRITE.
    FailedWrite {
        file: u16,
        at: u16,
        length: u32,
        fill: u32,
    },

    Kill,
    /// Killed in the middle of a change of names, which the client then sends again.
    KillIn {
        node: u16,
        dir: u16,
        name: u8,
        what: u8,
        after_us: u16,
    },
    /// The power goes; another boot.
    Cut(Luck),
    /// An orderly end and a new start.
    Restart,
    Nap {
        ms: u8,
    },
    Pause,
    /// If everything is said to be saved, it is.
    Status,
    /// All faults end, everything is saved: Hub, mount and model agree.
    Settle,
}

/// What kind of life a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Theme {
    Home,
    TwoSides,
    Weather,
    Crashes,
    Everything,
}

impl Theme {
    pub fn of(seed: u64) -> Self {
        [Theme::Home, Theme::TwoSides, Theme::Weather, Theme::Crashes, Theme::Everything][(seed % 5) as usize]
    }

    /// How often a kind of step comes, in parts: home, theirs, Hub faults, local faults, crashes.
    fn parts(self) -> [u64; 5] {
        match self {
            Theme::Home => [100, 0, 0, 2, 4],
            Theme::TwoSides => [100, 40, 0, 0, 4],
            Theme::Weather => [100, 0, 30, 0, 3],
            Theme::Crashes => [100, 0, 2, 8, 25],
            Theme::Everything => [100, 22, 12, 5, 10],
        }
    }
}

/// The steps of a seed: `rounds` times a handful of steps and a [`Step::Settle`].
pub fn draw(seed: u64, rounds: usize) -> Vec<Step> {
    let mut dice = Dice::new(seed);
    let theme = Theme::of(seed);
    let mut steps = Vec::new();
    for _ in 0..rounds {
        for _ in 0..6 + dice.below(22) {
            steps.push(one(theme, &mut dice));
        }
        steps.push(Step::Settle);
    }
    steps
}

fn one(theme: Theme, dice: &mut Dice) -> Step {
    let parts = theme.parts();
    let mut roll = dice.below(parts.iter().sum());
    let mut group = 0;
    while roll >= parts[group] {
        roll -= parts[group];
        group += 1;
    }
    match group {
        0 => at_home(dice),
        1 => theirs(dice),
        2 => weather(dice),
        3 => local_fault(dice),
        _ => crash(dice),
    }
}

fn at_home(dice: &mut Dice) -> Step {
    let (dir, name) = (dice.below(64) as u16, dice.below(NAMES.len() as u64) as u8);
    let (file, node, fill) = (dice.below(1000) as u16, dice.below(1000) as u16, dice.draw() as u32);
    let at = dice.below(1400) as u16;
    match dice.below(100) {
        0..4 => Step::Create { dir, name, exclusive: dice.percent(50) },
        4..10 => Step::Mkdir { dir, name },
        10..12 => Step::Symlink { dir, name },
        12..18 => Step::Remove { node },
        18..21 => Step::Rmdir { node },
        21..31 => Step::Rename { node, dir, name },
        31..43 => Step::Save { dir, name, length: length(dice), fill },
        43..47 => Step::SafeSave { file, length: length(dice), fill },
        47..63 => Step::Write { file, at, length: length(dice), fill, durable: dice.percent(20) },
        63..68 => Step::Resize { file, size: if dice.percent(30) { 0 } else { length(dice) } },
        68..75 => Step::Commit { file },
        75..78 => Step::Touch { file, back: dice.percent(50) },
        78..86 => Step::Look { file },
        86..90 => Step::List { dir },
        90..93 => Step::Burst { file, writes: 4 + dice.below(20) as u8, fill, kill: None },
        93..96 => Step::Nap { ms: dice.below(80) as u8 },
        96..97 => Step::Pause,
        97..99 => Step::Status,
        _ => Step::Settle,
    }
}

fn theirs(dice: &mut Dice) -> Step {
    let key = dice.below(1000) as u16;
    match dice.below(10) {
        0..6 => Step::TheirPut { key, length: length(dice), fill: dice.draw() as u32 },
        6..8 => Step::TheirDelete { key },
        _ => Step::TheirRename { key, to: dice.below(1000) as u16 },
    }
}

fn weather(dice: &mut Dice) -> Step {
    match dice.below(20) {
        0..16 => Step::Hub(Weather {
            route: dice.below(ROUTES.len() as u64) as u8,
            harm: dice.below(harms().len() as u64) as u8,
            after: dice.below(3) as u8,
            times: 1 + dice.below(3) as u8,
        }),
        16 => Step::Expire,
        17 => Step::Down,
        _ => Step::Clear,
    }
}

fn local_fault(dice: &mut Dice) -> Step {
    let (file, fill) = (dice.below(1000) as u16, dice.draw() as u32);
    match dice.below(2) {
        0 => Step::FailedCommit { file, times: 1 + dice.below(2) as u8 },
        _ => Step::FailedWrite { file, at: dice.below(1400) as u16, length: length(dice), fill },
    }
}

fn crash(dice: &mut Dice) -> Step {
    let (file, fill) = (dice.below(1000) as u16, dice.draw() as u32);
    match dice.below(10) {
        0..2 => Step::Kill,
        2 => Step::Restart,
        3..5 => {
            let writes = 4 + dice.below(20) as u8;
            Step::Burst { file, writes, fill, kill: Some(dice.below(u64::from(writes)) as u8) }
        }
        5 => Step::KillIn {
            node: dice.below(1000) as u16,
            dir: dice.below(64) as u16,
            name: dice.below(NAMES.len() as u64) as u8,
            what: dice.below(4) as u8,
            after_us: dice.below(1500) as u16,
        },
        _ => Step::Cut(match dice.below(4) {
            0 => Luck::Nothing,
            1 => Luck::Everything,
            _ => Luck::Percent([10, 50, 90][dice.below(3) as usize]),
        }),
    }
}

/// Mostly small, sometimes more than a page or a block.
fn length(dice: &mut Dice) -> u32 {
    let end = [40, 3000, 9000, 40_000, 150_000][dice.below(5) as usize];
    1 + dice.below(end) as u32
}

/// Few, so that they meet.
pub const NAMES: [&str; 9] = ["a.txt", "b.bin", "c", "d", "e", "sub", "Ünï", "long name.dat", "z.tmp"];

/// A small generator of our own, so that a seed means the same on every machine and with every version of
/// every library (splitmix64).
#[derive(Debug, Clone)]
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Dice(seed)
    }

    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// Less than `end`, which is not 0.
    pub fn below(&mut self, end: u64) -> u64 {
        self.draw() % end
    }

    pub fn percent(&mut self, chance: u8) -> bool {
        self.below(100) < u64::from(chance)
    }
}
