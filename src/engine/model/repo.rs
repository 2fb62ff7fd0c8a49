//! What the tasks of one repository share.

use serde::{Deserialize, Serialize};

use super::{Millis, Name, RepoId, TaskId};

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
    /// Jobs in a row that failed for good, with no stage of any task passed between them.
    #[serde(default, skip_serializing_if = "none")]
    pub failures: u32,
}

/// Whether there is nothing to write down.
fn none(count: &u32) -> bool {
    *count == 0
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
    /// Whether it is past a guard of the serial gate: set by the first claim in a guarded stage.
    pub inside: bool,
    /// The guarded stages that it has entered. Empty for a task that came inside before there were
    /// several guards: it is past all of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub passed: Vec<Name>,
    /// When it took the seat.
    pub since: Millis,
}

impl Seat {
    /// Whether the task has entered this guarded stage once; it is never held there again.
    #[must_use]
    pub fn past(&self, guard: &str) -> bool {
        self.inside && (self.passed.is_empty() || self.passed.iter().any(|p| p == guard))
    }

    /// The guard that a job in `stage` would take the task past: the stage itself where it is
    /// guarded and was not entered yet; else, for a task that is past no guard at all, the last one
    /// before the stage, so that rules changed meanwhile let nobody slip by.
    #[must_use]
    pub fn gate<'g>(&self, guards: &'g [Name], flow: &[Name], stage: &str) -> Option<&'g Name> {
        if let Some(own) = guards.iter().find(|g| **g == *stage) {
            return (!self.past(stage)).then_some(own);
        }
        if self.inside {
            return None;
        }
        let mut before = flow.iter().take_while(|s| **s != *stage).collect::<Vec<_>>().into_iter().rev();
        before.find_map(|s| guards.iter().find(|g| *g == s))
    }

    /// Takes the task past the guard of this stage: its job is claimed.
    pub fn enter(&mut self, guard: &Name) {
        // Whoever came inside when there was one guard is past all of them, and stays so.
        let past_all = self.inside && self.passed.is_empty();
        if !past_all && !self.passed.contains(guard) {
            self.passed.push(guard.clone());
        }
        self.inside = true;
    }
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
    /// No merge, no deploy, no entry to a guarded stage.
    Merge,
    /// Nothing starts.
    All,
}
