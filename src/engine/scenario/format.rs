//! The format: what may be said in a scenario file.

use std::collections::BTreeMap;

use serde::Deserialize;
use toml::Spanned;

use super::Finding;

/// A word of the story and where it stands.
pub(super) type Word = Spanned<String>;

/// A scenario file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    /// The pipeline the stories are about …
    pub pipeline: Option<Word>,
    /// … or the project, with its overrides.
    pub project: Option<Word>,
    /// The stories.
    #[serde(default)]
    pub scenario: Vec<Spanned<Scenario>>,
}

/// A story.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Scenario {
    /// What it shows, as a sentence.
    pub name: String,
    /// How things stand when it begins.
    #[serde(default)]
    pub given: Given,
    /// What happens, and what is expected of it.
    #[serde(default)]
    pub steps: Vec<Spanned<Step>>,
}

/// How things stand when a story begins: unless told otherwise, a person has just started the issue.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Given {
    /// The task has just come to this stage, everything before it having gone well.
    pub stage: Option<Word>,
    /// Returns used up.
    #[serde(default)]
    pub counters: BTreeMap<String, Spanned<u8>>,
    /// The title.
    pub title: Option<String>,
    /// The description.
    pub description: Option<String>,
    /// The labels.
    #[serde(default)]
    pub labels: Vec<String>,
    /// Paths in which the branch differs from the default branch.
    #[serde(default)]
    pub touched: Vec<String>,
}

/// One thing that happens, and what is expected of it.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Step {
    /// An agent of the stage ends …
    pub agent: Option<Word>,
    /// … a person says this …
    pub person: Option<Word>,
    /// … a gate answers …
    pub gate: Option<Word>,
    /// … an engine action ends …
    pub action: Option<Word>,
    /// … time passes …
    pub after: Option<Word>,
    /// … someone pushes `"code"` or `"artefacts"` to the branch …
    pub push: Option<Word>,
    /// … the clean-up after a stop is done.
    #[serde(default)]
    pub cleaned_up: bool,

    /// How it came out; `"ok"` unless told otherwise.
    pub outcome: Option<Word>,
    /// Outcomes of gates, besides.
    #[serde(default)]
    pub gates: BTreeMap<String, Word>,
    /// The words of it: of the person, of the questions, of the action.
    pub says: Option<String>,
    /// The person's name.
    pub who: Option<String>,
    /// The person's only role: `"approver"`, `"operator"`, `"viewer"`; else all of them.
    #[serde(rename = "as")]
    pub role: Option<Word>,

    /// What is expected then.
    pub expect: Option<Spanned<Expect>>,
}

/// What is expected; what is not named may be anything.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Expect {
    /// The stage it stands at.
    pub stage: Option<Word>,
    /// `unborn`, `live`, `done` or `cancelled`.
    pub phase: Option<Word>,
    /// `active`, `question` or `escalated`.
    pub mode: Option<Word>,
    /// `entering`, `work`, `gates`, `action` or `updating`.
    pub at: Option<Word>,
    /// `no`, `deferred` or `cleaning`.
    pub stop: Option<Word>,
    /// What the board shows.
    pub status: Option<String>,
    /// Exactly these jobs are queued or at work.
    pub jobs: Option<Vec<Word>>,
    /// The engine action that is under way; `""` for none.
    pub action: Option<Word>,
    /// Returns used up.
    #[serde(default)]
    pub counters: BTreeMap<String, Spanned<u8>>,
    /// Words in the comments that this step wrote.
    pub comment: Option<Words>,
    /// Words in what the agents queued by this step are told; `""` for nothing.
    pub note: Option<Words>,
    /// Words in the sentence that says what is waited for; `""` for nothing.
    pub waits: Option<String>,
    /// Whether the operators were told something.
    pub alert: Option<bool>,
    /// Whether the repository is frozen.
    pub frozen: Option<bool>,
}

/// One text or several.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum Words {
    /// One.
    One(String),
    /// Each of these.
    All(Vec<String>),
}

impl Words {
    /// All of them.
    pub fn each(&self) -> &[String] {
        match self {
            Self::One(word) => std::slice::from_ref(word),
            Self::All(words) => words,
        }
    }
}

impl File {
    /// Reads a file; the first thing that is wrong with it, by line.
    pub fn read(text: &str) -> Result<Self, Finding> {
        let file: Self = toml::from_str(text).map_err(|e| {
            let at = e.span().map_or(0, |span| span.start);
            Finding::new(line(text, at), e.message().to_owned())
        })?;
        if file.scenario.is_empty() {
            return Err(Finding::new(1, "there is no [[scenario]] in it"));
        }
        Ok(file)
    }
}

/// The line of a place in a text, from 1.
pub(super) fn line(text: &str, at: usize) -> usize {
    let before = text.as_bytes().get(..at.min(text.len())).unwrap_or_default();
    before.iter().filter(|b| **b == b'\n').count() + 1
}
