//! What the tasks of one repository share.

use serde::{Deserialize, Serialize};

use super::{Millis, RepoId, TaskId};

/// A repository: versioned; a commit that saw an older version is decided again.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Repo {
    /// Row id.
    pub id: RepoId,
    /// Raised by every commit that changes it.
    pub version: i64,
    /// Unfinished tasks in order of their ids: the lane of the serial gate.
    pub lane: Vec<Seat>,
    /// The merge lease: at most one task inside the irreversible part.
    pub lease: Option<Lease>,
    /// A freeze in force.
    pub freeze: Option<Freeze>,
}

impl Repo {
    /// The seat of a task, if it is unfinished.
    #[must_use]
    pub fn seat(&self, task: TaskId) -> Option<&Seat> {
        self.lane.iter().find(|s| s.task == task)
    }
}

/// An unfinished task's place in the lane.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seat {
    /// The task.
    pub task: TaskId,
    /// Its work item id, for sentences.
    pub item: String,
    /// Whether it is past the serial gate: set by its first claim.
    pub inside: bool,
    /// When it took the seat.
    pub since: Millis,
}

/// The merge lease.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// Its holder.
    pub task: TaskId,
    /// The holder's work item id, for sentences.
    pub item: String,
    /// The visit it was taken in.
    pub visit: u32,
    /// Since when.
    pub since: Millis,
    /// Tasks waiting for it, first come first.
    pub queue: Vec<TaskId>,
}

/// A freeze.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Freeze {
    /// How much it holds back.
    pub level: FreezeLevel,
    /// Why.
    pub reason: String,
    /// Since when.
    pub since: Millis,
    /// Who set it.
    pub by: String,
}

/// How much a freeze holds back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FreezeLevel {
    /// No merge, no deploy, no entry to the guarded stage.
    Merge,
    /// Nothing starts.
    All,
}
