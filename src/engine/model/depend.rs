//! Dependencies: a task that waits until another is over.

use serde::{Deserialize, Serialize};

use super::{Millis, TaskId};

/// Where a dependency was declared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// A relation between two issues of the tracker.
    Relation,
    /// A line of the issue's text.
    Text,
    /// A person, from the command line or the API.
    Command,
}

impl Source {
    /// How people read it.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Relation => "a relation on the board",
            Self::Text => "the issue's text",
            Self::Command => "an operator's word",
        }
    }
}

/// What an issue says its task waits for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Wanted {
    /// A work item id, as `ORCH-012`.
    Item(String),
    /// An issue of the same tracker project, by the tracker's id.
    Issue(String),
}

/// A dependency that counts: `task` starts no job before `on` is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dependency {
    /// The task that waits.
    pub task: TaskId,
    /// The task it waits for; none while what was named is not started.
    pub on: Option<TaskId>,
    /// What was named, for sentences: a work item id, or the tracker's id of an issue.
    pub name: String,
    /// Where it was declared.
    pub source: Source,
    /// Since when.
    pub since: Millis,
}
