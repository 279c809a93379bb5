//! Native questions, for what is asked from the menu where no window is open.

use std::path::Path;

use engine::app::api::commands::Asked;
use engine::app::api::error::AppError;
use tauri::{AppHandle, WebviewWindow};

use crate::platform;

/// Longer lists of facts end in "and N more".
const FACTS: usize = 8;

/// What a person says to a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    Yes,
    No,
}

/// Says what went wrong and waits until it is read.
pub async fn problem(app: &AppHandle, title: &str, error: &AppError) {
    let text = if error.advice.is_empty() {
        error.what.clone()
    } else {
        format!("{}\n\n{}", error.what, error.advice)
    };
    platform::message(app, title, &text, None).await;
}

/// Asks; without a `yes` (the engine says that it cannot be) it only tells why.
pub async fn ask(
    app: &AppHandle,
    title: &str,
    question: &str,
    facts: &[String],
    yes: Option<&'static str>,
) -> Answer {
    let said_yes = platform::message(app, title, &with_facts(question, facts), yes).await;
    if said_yes && yes.is_some() { Answer::Yes } else { Answer::No }
}

/// The consent to give for yes; `None` when nothing more is to be done (done already, or the person said no).
pub async fn consent(app: &AppHandle, title: &str, yes: &'static str, asked: Asked) -> Option<String> {
    let Asked::Question { question, facts, consent, possible, .. } = asked else { return None };
    let answer = ask(app, title, &question, &facts, possible.then_some(yes)).await;
    (answer == Answer::Yes).then_some(consent)
}

pub async fn pick_folder(window: &WebviewWindow, start: Option<&Path>) -> Option<String> {
    platform::pick_folder(window, "Choose a Folder", start).await
}

fn with_facts(question: &str, facts: &[String]) -> String {
    let mut text = question.to_owned();
    for fact in facts.iter().take(FACTS) {
        text += &format!("\n• {fact}");
    }
    if facts.len() > FACTS {
        text += &format!("\n… and {} more", facts.len() - FACTS);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_list_of_facts_is_counted_not_shown() {
        let facts: Vec<String> = (0..20).map(|n| format!("file {n}")).collect();
        let text = with_facts("Quit?", &facts);
        assert_eq!(text.lines().count(), 10);
        assert!(text.ends_with("… and 12 more"));
        assert_eq!(with_facts("Quit?", &[]), "Quit?");
    }
}
