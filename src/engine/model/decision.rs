//! What follows: decisions, in the imperative; `perform` carries them out.

use serde::{Deserialize, Serialize};

use super::{Millis, Name, Signal, TaskId, Wanted};

/// Something to be done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// Bring the task to life: its row, its work item id, its seat in the lane.
    Create,
    /// Queue a job.
    Enqueue(JobSpec),
    /// Put a job whose run ended back into the queue.
    Requeue {
        /// Its visit.
        visit: u32,
        /// Its slot.
        slot: Name,
        /// Not before.
        available_at: Millis,
        /// Why.
        why: String,
    },
    /// Tell the jobs of a visit that have not begun what people said besides: behind what they are told
    /// already, and nothing twice.
    Tell {
        /// The visit.
        visit: u32,
        /// Who said what, the oldest first.
        words: Vec<String>,
    },
    /// Close a job whose run ended.
    CloseJob {
        /// Its visit.
        visit: u32,
        /// Its slot.
        slot: Name,
        /// Whether it ended well.
        ok: bool,
    },
    /// Cancel queued jobs and kill running ones: of one visit, or all.
    Withdraw {
        /// The visit, or all of the task's.
        visit: Option<u32>,
        /// Why.
        why: Kill,
    },
    /// Set a timer of the present visit.
    SetTimer {
        /// The visit.
        visit: u32,
        /// What it is for: the gate's or action's name.
        timer: Name,
        /// When it fires.
        due: Millis,
    },
    /// Drop all timers of the task.
    DropTimers,
    /// Show this status on the board (desired state: only the newest matters).
    ShowStatus {
        /// Status name.
        status: String,
    },
    /// Write a comment on the issue, once (by key).
    Comment {
        /// Idempotency key.
        key: String,
        /// Text for people, Markdown.
        text: String,
        /// The agent whose words it tells, where it is an agent's.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        agent: Option<Name>,
    },
    /// Tell the operators (may repeat).
    Alert {
        /// Idempotency key, where the channel knows one.
        key: String,
        /// Text for people.
        text: String,
    },
    /// Carry out an engine action; its outcome comes back as `ActionEnded`.
    Act(ActionIntent),
    /// Look again at another task of the repository.
    Wake {
        /// The task.
        task: TaskId,
        /// Why, for the record.
        by: Name,
    },
    /// Take up a `start` on the task's issue that waited for the stop to end.
    Restart(Signal),
    /// The task waits for these, as its issue says now; whatever the issue named before and names no
    /// more is forgotten. A circle is not made: `CircleRefused` comes back for it.
    Depend(Vec<Wanted>),
    /// Clean up after the task; `CleanedUp` comes back when it was stopped.
    CleanUp(CleanUp),
}

/// A job to be queued.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobSpec {
    /// The visit it belongs to.
    pub visit: u32,
    /// Agent, or gate for a gate's command.
    pub slot: Name,
    /// What it runs.
    pub kind: JobKind,
    /// The stage, for people.
    pub stage: Name,
    /// What the agent is told besides its prompt.
    pub note: Option<String>,
    /// Not before.
    pub available_at: Millis,
    /// Whether its claim is to take the task past a guard of the serial gate, for the record.
    pub entry: bool,
}

/// What a job runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobKind {
    /// An agent.
    Agent,
    /// A gate's command.
    Command,
}

/// Why something is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kill {
    /// Its own deadline.
    Deadline,
    /// The task was stopped.
    Stop,
    /// The task went elsewhere meanwhile.
    Superseded,
    /// A signal that the service did not send.
    Foreign,
}

impl Kill {
    /// How people read it.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Deadline => "its deadline passed",
            Self::Stop => "the task was stopped",
            Self::Superseded => "superseded",
            Self::Foreign => "by a signal or an order from outside the service",
        }
    }
}

/// An engine action to be carried out, with all that it may rely on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActionIntent {
    /// The visit it belongs to.
    pub visit: u32,
    /// `merge` or `update`.
    pub action: Name,
    /// The head that was reviewed, tested and confirmed.
    pub sha: String,
    /// Its subject.
    pub subject: String,
}

/// What is cleaned up after a task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CleanUp {
    /// Copy the artefact folder to the archive first.
    pub archive: bool,
    /// Remove the checkouts, after their processes are verified gone.
    pub checkout: bool,
    /// Delete the remote task branch, only at `sha`.
    pub branch: bool,
    /// The commit recorded for the branch.
    pub sha: Option<String>,
    /// Whether `CleanedUp` is awaited: the task is being stopped.
    pub report: bool,
}
