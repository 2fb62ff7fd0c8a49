//! Texts for people and prompts for agents, from templates.
//!
//! A template is text from the rules; what is put into it — titles, descriptions, what a person
//! or an artefact said — is not trusted. It is only ever a value, never a template, and the
//! filters [`fence`] brings let a template quote it so that it can neither end its quotation
//! nor pass for the service's own words.

mod card;
mod environment;
mod expects;
mod fence;
mod path;
mod prompt;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use minijinja::{Value, context};

pub use card::{CardWords, Link, Spent, Standing, card, check_card};
pub use environment::placeholders;
pub use expects::{Expect, expects};
pub use path::{path_template, slug};
pub use prompt::{PromptWords, check_prompt, prompt};

use crate::engine::rules::Ruleset;

/// What a text for people can say; every field is a placeholder of the same name.
#[derive(Debug, Clone, Copy)]
pub struct Words<'a> {
    /// Work item id.
    pub item: &'a str,
    /// The title.
    pub title: &'a str,
    /// The stage it stands at.
    pub stage: &'a str,
    /// The stage it goes to.
    pub to: &'a str,
    /// Task branch.
    pub branch: &'a str,
    /// Who did it.
    pub who: &'a str,
    /// `gate.outcome`.
    pub outcome: &'a str,
    /// Reason, files in conflict, failure.
    pub detail: &'a str,
    /// What the person or the artefact said.
    pub text: &'a str,
    /// Which try this is, from 1.
    pub attempt: u32,
    /// How many tries there are.
    pub max: u32,
    /// The stage it came from.
    pub previous: &'a str,
    /// What the board calls each signal; a signal that the board cannot give is not among them.
    pub board: &'a BTreeMap<String, String>,
    /// Free values of the project.
    pub vars: &'a BTreeMap<String, String>,
}

static NO_VARS: BTreeMap<String, String> = BTreeMap::new();

impl Default for Words<'_> {
    fn default() -> Self {
        Self {
            item: "",
            title: "",
            stage: "",
            to: "",
            branch: "",
            who: "",
            outcome: "",
            detail: "",
            text: "",
            attempt: 0,
            max: 0,
            previous: "",
            board: &NO_VARS,
            vars: &NO_VARS,
        }
    }
}

/// Placeholders of texts for people.
const WORDS: &[&str] = &[
    "item", "title", "stage", "to", "branch", "who", "outcome", "detail", "text", "attempt", "max", "previous", "board", "vars",
];

impl Words<'_> {
    fn context(&self) -> Value {
        context! {
            item => self.item, title => self.title, stage => self.stage, to => self.to, branch => self.branch,
            who => self.who, outcome => self.outcome, detail => self.detail, text => self.text,
            attempt => self.attempt, max => self.max, previous => self.previous, board => self.board, vars => self.vars,
        }
    }
}

/// What the board calls each signal: of several statuses that mean the same, the first.
#[must_use]
pub fn board(rules: &Ruleset) -> BTreeMap<String, String> {
    let statuses = rules.signals.status.iter().rev();
    statuses.map(|(status, signal)| (signal.to_string(), status.clone())).collect()
}

/// The text of a message, `section.key`. It never fails: where the template is missing or
/// broken, people get a plain sentence with the key, the outcome and the detail.
#[must_use]
pub fn message(rules: &Ruleset, key: &str, words: &Words<'_>) -> String {
    let Some(template) = rules.messages.get(key) else {
        return plain(key, words);
    };
    match environment::render(template, words.context()) {
        Ok(text) if !text.trim().is_empty() => text.trim().to_owned(),
        Ok(_) | Err(_) => plain(key, words),
    }
}

/// What people are told when a text cannot be made.
fn plain(key: &str, words: &Words<'_>) -> String {
    let mut parts = vec![key];
    parts.extend(
        [words.item, words.stage, words.outcome, words.detail]
            .into_iter()
            .filter(|part| !part.is_empty()),
    );
    fence::shorten(&fence::clean(&parts.join(": ")), fence::LONGEST)
}

/// Whether a text for people can be used.
///
/// # Errors
/// What is wrong with it: its syntax, an unknown placeholder, or what fails when it is tried out.
pub fn check_message(text: &str) -> Result<(), String> {
    let vars = environment::check_placeholders(text, WORDS)?;
    let board = environment::fields(text, "board");
    for (filled, number, board) in [("x", 2, &board), ("", 0, &NO_VARS)] {
        let words = Words {
            item: filled,
            title: filled,
            stage: filled,
            to: filled,
            branch: filled,
            who: filled,
            outcome: filled,
            detail: filled,
            text: filled,
            attempt: number,
            max: number,
            previous: filled,
            board,
            vars: &vars,
        };
        environment::render(text, words.context())?;
    }
    Ok(())
}
