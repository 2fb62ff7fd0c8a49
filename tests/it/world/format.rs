//! Scenario files: what happens to a project, and what must come of it.
//!
//! ```toml
//! about = "A reviewer asks for changes once."
//! cases = ["B-ADV-2"]                      # of behaviour.md
//! pipeline = "orch"
//! steps = [
//!   { new = "Add a greeting" },
//!   { wait = "ORCH-001", until = "APPROVAL_WAIT", at = "analysis" },
//!   { approve = "ORCH-001" },
//!   { wait = "ORCH-001", until = "done" },
//! ]
//! [agents.reviewer]
//! do = ["changes", "ok"]                   # in its first and every later run
//! [set]
//! "retry.base" = "10ms"                    # over the pipeline, as in signalbox.toml
//! [[then]]
//! task = "ORCH-001"
//! mode = "done"
//! ```

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

/// A scenario file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// What it shows, in a sentence.
    pub about: String,
    /// The cases of the reference it stands for.
    pub cases: Vec<String>,
    /// The pipeline: shipped, or one of `rules`.
    pub pipeline: String,
    /// What people and the world do, in order.
    pub steps: Vec<Step>,
    /// What each agent does, run by run.
    #[serde(default)]
    pub agents: toml::Table,
    /// The project's `set`.
    #[serde(default)]
    pub set: toml::Table,
    /// Keys of `signalbox.toml`.
    #[serde(default)]
    pub config: toml::Table,
    /// Files of rules over the shipped ones.
    #[serde(default)]
    pub rules: BTreeMap<String, String>,
    /// What must have come of it, task by task.
    pub then: Vec<Then>,
    /// What the default branch must hold and must not hold.
    #[serde(default)]
    pub main: Main,
}

/// A step: one verb, and the words that go with it. Where a verb takes a task, it is its object.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// Makes an issue of this title (with `text`, `labels`) and starts it.
    pub new: Option<String>,
    /// Waits for a task `until` a blocker (`APPROVAL_WAIT`), a mode (`done`), `stage NAME`,
    /// `status NAME`, `comment TEXT`, `agent NAME` (at work, for the `nth` time) or `heard` (all that
    /// was said and done before is decided).
    pub wait: Option<String>,
    pub approve: Option<String>,
    /// Confirms the deployment.
    pub confirm: Option<String>,
    pub reject: Option<String>,
    pub answer: Option<String>,
    pub stop: Option<String>,
    pub retry: Option<String>,
    /// Has the task wait until the one named by `on` is over.
    pub depend: Option<String>,
    /// Comments on the issue.
    pub comment: Option<String>,
    /// Moves the issue `to` a status of the board.
    pub status: Option<String>,
    /// Adds the label `name`.
    pub label: Option<String>,
    /// A person pushes `file` with `content` to the task's branch.
    pub push: Option<String>,
    /// A person commits this file with `content` to the source repository's default branch.
    pub commit_base: Option<String>,
    /// CI reports that the check `name` of the task's head `is` success, failure or pending.
    pub ci: Option<String>,
    /// Someone reviews the task's change on the forge: `is` approved or changes, with a `text`.
    pub review: Option<String>,
    /// Agents that are `held` go on, now and later.
    pub let_go: Option<bool>,
    /// The service ends by `kill` or in good `order`, and starts again.
    pub restart: Option<String>,

    pub text: Option<String>,
    #[serde(default)]
    pub labels: Vec<String>,
    pub until: Option<String>,
    /// The stage that goes with `until`.
    pub at: Option<String>,
    pub nth: Option<usize>,
    pub to: Option<String>,
    pub on: Option<String>,
    pub name: Option<String>,
    pub file: Option<String>,
    pub content: Option<String>,
    pub is: Option<String>,
    /// Who does it, on a board outside: alice, where it does not say.
    pub by: Option<String>,
    /// The act is refused, in words that contain these.
    pub refused: Option<String>,
}

/// What must have come of a task.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Then {
    pub task: String,
    /// `done`, `cancelled`, `escalated`, `active`, `question`, `no_task`.
    pub mode: String,
    pub stage: Option<String>,
    /// The issue's status on the board.
    pub status: Option<String>,
    /// Returns used up.
    #[serde(default)]
    pub counters: BTreeMap<String, u64>,
    /// Runs that began, by agent, as the agents themselves recorded.
    #[serde(default)]
    pub runs: BTreeMap<String, usize>,
    /// Texts that its comments contain.
    #[serde(default)]
    pub comments: Vec<String>,
    /// Texts that none of its comments contains.
    #[serde(default)]
    pub no_comments: Vec<String>,
}

/// The default branch of the forge.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Main {
    #[serde(default)]
    pub has: Vec<String>,
    #[serde(default)]
    pub lacks: Vec<String>,
}

impl Scenario {
    /// Reads `tests/scenarios/NAME.toml`.
    pub fn load(name: &str) -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/scenarios")
            .join(format!("{name}.toml"));
        let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        toml::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
    }

    /// The world it plays in.
    pub fn setup(&self) -> super::Setup {
        super::Setup {
            forge: toml::Table::new(),
            pipeline: self.pipeline.clone(),
            agents: self.agents.clone(),
            set: self.set.clone(),
            config: self.config.clone(),
            rules: self.rules.clone().into_iter().collect(),
            ..super::Setup::default()
        }
    }
}
