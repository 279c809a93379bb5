//! The desktop tests. Run by `tests/desktop/run`, which brings the display, the session bus and a kernel that mounts.
//!
//!     desktop-tests [--pictures DIR] [WORD]...     themes whose name holds a word; without words all
//!
//! One after the other: there is one screen, one session bus. The last line is 'N passed, N failed'.

#![forbid(unsafe_code)]

mod themes;

use std::path::PathBuf;
use std::process::ExitCode;

use desktop::home::Home;
use desktop::notifications::Dunst;
use desktop::panel::Panel;
use desktop::secrets::SecretService;
use testkit::LocalHub;

/// The desktop that all themes share.
pub struct Desktop {
    pub panel: Panel,
    pub dunst: Dunst,
    pub secrets: SecretService,
    pub pictures: Option<PathBuf>,
    pub home: Home,
}

impl Desktop {
    async fn start(pictures: Option<PathBuf>) -> Desktop {
        let hub = LocalHub::start();
        let home = Home::new(&hub);
        let _ = home.command("openbox").spawn(); // a window manager gives dialogs the keyboard
        Desktop {
            panel: Panel::start().await,
            dunst: Dunst::start(&home).await,
            secrets: SecretService::start(&home),
            pictures,
            home,
        }
    }

    /// Where a picture of that name goes; nowhere unless they were asked for.
    pub fn picture(&self, name: &str) -> Option<PathBuf> {
        self.pictures.as_ref().map(|folder| folder.join(format!("{name}.png")))
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let mut words: Vec<String> = std::env::args().skip(1).collect();
    let pictures =
        words.iter().position(|word| word == "--pictures").map(|at| words.drain(at..at + 2).nth(1));
    let desktop = std::sync::Arc::new(Desktop::start(pictures.flatten().map(PathBuf::from)).await);
    let (mut passed, mut failed) = (0, 0);
    for (name, theme) in themes::ALL {
        if !words.is_empty() && !words.iter().any(|word| name.contains(word.as_str())) {
            continue;
        }
        println!("--- {name}");
        let began = std::time::Instant::now();
        match tokio::spawn(theme(desktop.clone())).await {
            Ok(()) => passed += 1,
            Err(_) => failed += 1, // the panic is on stderr
        }
        println!("    {:.1} s", began.elapsed().as_secs_f64());
    }
    println!("{passed} passed, {failed} failed");
    if failed == 0 && passed > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
