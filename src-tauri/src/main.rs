//! The app. See `bucketbar::window`.

#![forbid(unsafe_code)]

use std::process::ExitCode;

use bucketbar::arguments::{self, Arguments};

fn main() -> ExitCode {
    match arguments::parse(std::env::args_os().skip(1)) {
        Arguments::Run { page, by } => bucketbar::window::run(page, by),
        Arguments::Help => print(arguments::HELP),
        Arguments::Version => print(concat!("bucketbar ", env!("CARGO_PKG_VERSION"))),
        Arguments::Wrong(sentence) => {
            eprintln!("bucketbar: {sentence}\n{}", arguments::HELP);
            ExitCode::from(2)
        }
    }
}

fn print(text: &str) -> ExitCode {
    println!("{text}");
    ExitCode::SUCCESS
}
