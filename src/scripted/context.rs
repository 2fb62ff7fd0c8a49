//! What the service tells an agent about its run, as JSON.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{Failure, NO_INPUT};

/// The file that `SIGNALBOX_CONTEXT` names.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Context {
    /// The task.
    pub task: Task,
    /// Stage.
    pub stage: String,
    /// The stage's visit, from 1.
    #[serde(default)]
    pub visit: u32,
    /// The agent's name in the rules.
    pub agent: String,
    /// The run.
    pub run: i64,
    /// Try, from 1.
    #[serde(default)]
    pub attempt: u32,
    /// What a verdict must repeat.
    #[serde(default)]
    pub nonce: String,
    /// Artefact folder, below the checkout.
    #[serde(default)]
    pub artefacts: PathBuf,
    /// What is to be written there.
    #[serde(default)]
    pub expects: Vec<Expect>,
    /// What the agent is told besides its prompt.
    #[serde(default)]
    pub note: Option<String>,
}

/// The task of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Task {
    /// Row id.
    pub id: i64,
    /// Work item id.
    pub item: String,
    /// Title.
    #[serde(default)]
    pub title: String,
    /// Task branch.
    #[serde(default)]
    pub branch: String,
}

/// An artefact that is expected of the run.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Expect {
    /// Its name, below the artefact folder …
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// … or a pattern that at least one must match.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub glob: Option<String>,
    /// The front-matter key that carries the verdict.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Its values, the good one first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<String>,
    /// Whether it may be left out.
    #[serde(default)]
    pub optional: bool,
}

impl Expect {
    /// A file that satisfies it: its name, or one that matches its pattern.
    pub(super) fn name(&self) -> Option<String> {
        self.file.clone().or_else(|| {
            self.glob
                .as_ref()
                .map(|g| g.replace("**", "*").replace('*', "0001-scripted").replace('?', "x"))
        })
    }

    /// Whether it carries a verdict.
    pub(super) fn verdict(&self) -> bool {
        self.key.is_some()
    }
}

impl Context {
    pub(super) fn load() -> Result<Self, Failure> {
        let path = std::env::var_os("SIGNALBOX_CONTEXT")
            .ok_or_else(|| Failure::new(NO_INPUT, "SIGNALBOX_CONTEXT is not set; it must name the run's context file"))?;
        let path = PathBuf::from(path);
        let text = std::fs::read(&path).map_err(|e| Failure::new(NO_INPUT, format!("cannot read {}: {e}", path.display())))?;
        let context: Self =
            serde_json::from_slice(&text).map_err(|e| Failure::new(NO_INPUT, format!("{} is no context: {e}", path.display())))?;
        Ok(context.required())
    }

    /// Without what may be left out: questions and conflicts are written on order only.
    fn required(mut self) -> Self {
        self.expects.retain(|e| !e.optional);
        self
    }

    /// Names of the expected artefacts that carry a verdict.
    pub(super) fn verdicts(&self) -> Vec<String> {
        self.expects.iter().filter(|e| e.verdict()).filter_map(Expect::name).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_get_a_matching_name() {
        let glob = |g: &str| {
            Expect {
                glob: Some(g.into()),
                ..Expect::default()
            }
            .name()
        };
        assert_eq!(glob("06-adr/*.md").as_deref(), Some("06-adr/0001-scripted.md"));
        assert_eq!(glob("a/**/?.md").as_deref(), Some("a/0001-scripted/x.md"));
        assert_eq!(Expect::default().name(), None);
    }
}
