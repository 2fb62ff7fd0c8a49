//! What an agent is told.

use std::collections::BTreeMap;

use minijinja::{Value, context};

use super::environment;
use super::expects::Expect;
use crate::engine::rules::Ruleset;

/// What every agent must know of its surroundings, where the rules do not bring their own
/// `common` prompt.
const COMMON: &str = include_str!("../../../prompts/common.md");

/// What a prompt can say; every field is a placeholder of the same name.
#[derive(Debug, Clone, Copy)]
pub struct PromptWords<'a> {
    /// Work item id.
    pub item: &'a str,
    /// The title: not trusted.
    pub title: &'a str,
    /// The description: not trusted.
    pub description: &'a str,
    /// The stage.
    pub stage: &'a str,
    /// Number of the visit, from 1.
    pub visit: u32,
    /// Which try of this visit it is, from 1.
    pub attempt: u32,
    /// The agent's name.
    pub agent: &'a str,
    /// Task branch.
    pub branch: &'a str,
    /// The artefact folder, below the checkout.
    pub artefacts: &'a str,
    /// What this run's front-matters must repeat.
    pub nonce: &'a str,
    /// What the last round left to be done; empty in a first round. Not trusted.
    pub note: &'a str,
    /// What the stage's gates will look for.
    pub expects: &'a [Expect],
    /// What lies in the artefact folder already.
    pub artefact_files: &'a [String],
    /// Free values of the project.
    pub vars: &'a BTreeMap<String, String>,
}

/// Most files of the artefact folder that are listed.
const FILES: usize = 100;

/// Placeholders of prompts. `common` is the text that all prompts share.
const WORDS: &[&str] = &[
    "item",
    "title",
    "description",
    "stage",
    "visit",
    "attempt",
    "agent",
    "branch",
    "artefacts",
    "nonce",
    "note",
    "expects",
    "artefact_files",
    "vars",
    "common",
];

impl PromptWords<'_> {
    fn context(&self, common: &str) -> Value {
        context! {
            item => self.item, title => self.title, description => self.description, stage => self.stage,
            visit => self.visit, attempt => self.attempt, agent => self.agent, branch => self.branch,
            artefacts => self.artefacts, nonce => self.nonce, note => self.note,
            expects => Value::from_serialize(self.expects), artefact_files => self.listed(),
            vars => self.vars, common => common,
        }
    }

    /// The files that lie there already; of very many, the first ones.
    fn listed(&self) -> Vec<String> {
        let mut listed: Vec<String> = self
            .artefact_files
            .iter()
            .take(FILES)
            .map(|file| super::fence::line(file))
            .collect();
        match self.artefact_files.len().saturating_sub(FILES) {
            0 => {}
            more => listed.push(format!("… and {more} more")),
        }
        listed
    }

    fn render(&self, template: &str, common: &str) -> Result<String, String> {
        let common = environment::render(common, self.context("")).map_err(|error| format!("prompt `common`: {error}"))?;
        let text = environment::render(template, self.context(common.trim()))?;
        if speaks_of_the_run(template) {
            return Ok(text);
        }
        Ok(format!("{}\n\n{}\n", text.trim_end(), common.trim()))
    }
}

/// Whether a prompt tells the agent by itself what its verdict must repeat.
fn speaks_of_the_run(template: &str) -> bool {
    let asked = environment::placeholders(template);
    asked.contains("common") || asked.contains("nonce")
}

/// The prompt of an agent. Where its template mentions neither `common` nor `nonce`, the common
/// part is added at the end: without it no verdict of the run could count.
///
/// # Errors
/// The agent or its prompt does not exist, or the template cannot be rendered; the text says why.
pub fn prompt(rules: &Ruleset, agent: &str, words: &PromptWords<'_>) -> Result<String, String> {
    let Some(found) = rules.agents.get(agent) else {
        return Err(format!("there is no agent `{agent}`"));
    };
    let Some(template) = rules.prompts.get(&found.prompt) else {
        return Err(format!(
            "agent `{agent}` asks for the prompt `{}`, but there is no prompts/{}.md",
            found.prompt, found.prompt
        ));
    };
    let common = rules.prompts.get("common").map_or(COMMON, String::as_str);
    words
        .render(template, common)
        .map_err(|error| format!("prompts/{}.md: {error}", found.prompt))
}

/// Whether a prompt can be used.
///
/// # Errors
/// What is wrong with it: its syntax, an unknown placeholder, or what fails when it is tried out.
pub fn check_prompt(text: &str) -> Result<(), String> {
    let vars = environment::check_placeholders(text, WORDS)?;
    let file = Expect {
        file: Some("x.md".to_owned()),
        glob: None,
        key: Some("k".to_owned()),
        values: vec!["v".to_owned()],
        optional: false,
    };
    let glob = Expect {
        file: None,
        glob: Some("*.md".to_owned()),
        key: None,
        values: Vec::new(),
        optional: true,
    };
    let expects = [file, glob];
    let files = ["x.md".to_owned()];
    for (filled, number) in [("x", 2), ("", 1)] {
        let words = PromptWords {
            item: filled,
            title: filled,
            description: filled,
            stage: filled,
            visit: number,
            attempt: number,
            agent: filled,
            branch: filled,
            artefacts: filled,
            nonce: filled,
            note: filled,
            expects: if filled.is_empty() { &[] } else { &expects },
            artefact_files: if filled.is_empty() { &[] } else { &files },
            vars: &vars,
        };
        environment::render(text, words.context("x"))?;
    }
    Ok(())
}
