//! What the store takes and gives back.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::{Guard, NoticeRow, SpentTask};
use crate::engine::breaker::Breaker;
use crate::engine::budget::Sum;
use crate::engine::model::{
    Actor, AgentNotes, Because, Body, Containment, Decision, Dependency, Facts, JobId, JobKind, Kill, Millis, Name, Repo, RepoId, RunEnd,
    RunId, Seq, Task, TaskId, Usage,
};
use crate::engine::progress::Past;

/// What an event or effect is aimed at: a task, or an issue that has none yet.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Target {
    /// The project.
    pub project: Name,
    /// Its repository.
    pub repo: RepoId,
    /// The task.
    pub task: Option<TaskId>,
    /// The tracker's id of the issue.
    pub issue: Option<String>,
}

/// An event to be recorded.
#[derive(Debug, Clone, PartialEq)]
pub struct NewEvent {
    /// What it is aimed at.
    pub target: Target,
    /// When it happened.
    pub at: Millis,
    /// The event it follows from.
    pub cause: Option<Seq>,
    /// Who did it.
    pub actor: Actor,
    /// What happened.
    pub body: Body,
    /// Two events with the same key are one: the second is not recorded.
    pub dedupe: Option<String>,
}

/// A target with events to be worked on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pending {
    /// The target.
    pub target: Target,
    /// Its oldest pending event.
    pub seq: Seq,
    /// Whether a stop is among its pending events: it goes first.
    pub stop: bool,
}

/// All that one step writes.
#[derive(Debug, Clone, PartialEq)]
pub struct StepCommit {
    /// The event.
    pub seq: Seq,
    /// Version of the task and of the repository that the step was decided on.
    pub before: (i64, i64),
    /// The stage the task stood at.
    pub stage_before: Name,
    /// The task afterwards; its id is 0 while it is not born.
    pub task: Task,
    /// The repository afterwards.
    pub repo: Repo,
    /// What follows.
    pub decisions: Vec<Decision>,
    /// Why.
    pub because: Vec<Because>,
    /// What was known.
    pub facts: Facts,
    /// An event that follows at once.
    pub follow: Option<Body>,
    /// When it was decided.
    pub now: Millis,
    /// Version of the engine's meaning.
    pub semantics: u32,
    /// The machine whose worker owns what is queued.
    pub host: String,
    /// Whether the task's card in the chat shows something else from now on.
    pub card: bool,
}

/// A step was committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Committed {
    /// The task; 0 when the step left it unborn.
    pub task: TaskId,
}

/// A step of the past.
#[derive(Debug, Clone, PartialEq)]
pub struct StepRow {
    /// Its place in the history of all tasks, in order of commits: what a follower reads on from.
    pub place: i64,
    /// The event.
    pub seq: Seq,
    /// The task; none when the step left it unborn.
    pub task: Option<TaskId>,
    /// The project.
    pub project: Name,
    /// The tracker's id of the issue.
    pub issue: Option<String>,
    /// When the event was recorded.
    pub at: Millis,
    /// When the step was decided.
    pub decided_at: Millis,
    /// Who did it.
    pub actor: Actor,
    /// The event it followed from.
    pub cause: Option<Seq>,
    /// What happened.
    pub body: Body,
    /// What followed.
    pub decisions: Vec<Decision>,
    /// Why.
    pub because: Vec<Because>,
    /// What was known.
    pub facts: Facts,
    /// The stage before.
    pub stage_before: Name,
    /// The stage afterwards.
    pub stage_after: Name,
    /// The visit afterwards.
    pub visit: u32,
    /// Content hash of the rules.
    pub rules: String,
    /// Version of the engine's meaning.
    pub semantics: u32,
}

/// How far a job has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobState {
    /// Its time has not come.
    Scheduled,
    /// It may be claimed.
    Queued,
    /// A run works on it.
    Running,
    /// Ended well.
    Done,
    /// Ended badly.
    Failed,
    /// Withdrawn; never queued again.
    Cancelled,
}

impl JobState {
    /// All states, in the order of a job's life.
    pub const ALL: [Self; 6] = [
        Self::Scheduled,
        Self::Queued,
        Self::Running,
        Self::Done,
        Self::Failed,
        Self::Cancelled,
    ];

    /// Its name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Scheduled => "scheduled",
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }
}

/// A job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobRow {
    /// Row id.
    pub id: JobId,
    /// Its task.
    pub task: TaskId,
    /// The task's project.
    pub project: Name,
    /// The visit it belongs to.
    pub visit: u32,
    /// Agent, or gate for a gate's command.
    pub slot: Name,
    /// What it runs.
    pub kind: JobKind,
    /// The stage, for people.
    pub stage: Name,
    /// How far it has come.
    pub state: JobState,
    /// What the agent is told besides its prompt.
    pub note: Option<String>,
    /// Whether its claim was to take the task past a guard of the serial gate when it was queued.
    pub entry: bool,
    /// How often it was claimed.
    pub attempts: u32,
    /// Not before.
    pub available_at: Millis,
    /// When it was queued first.
    pub created_at: Millis,
    /// When it ended.
    pub ended_at: Option<Millis>,
    /// Why it was put back or withdrawn.
    pub why: Option<String>,
    /// The run that works on it, or worked on it last.
    pub run: Option<RunId>,
}

/// A claim of a queued job.
#[derive(Debug, Clone, PartialEq)]
pub struct Claim {
    /// The job.
    pub job: JobId,
    /// What the run's verdicts must repeat.
    pub nonce: String,
    /// The checkout it works in: one run at a time.
    pub checkout: String,
    /// The agent command it is for.
    pub guard: Option<Guard>,
    /// The newest dependency that was known when the job was found free to start; 0 for none.
    pub seen: i64,
    /// The repository afterwards, when the claim takes the task past a guard; its version is the one read.
    pub repo: Option<Repo>,
    /// When.
    pub now: Millis,
}

/// A process, told apart from a later one with the same number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessId {
    /// Process id.
    pub pid: i32,
    /// Its start time, in clock ticks since boot.
    pub start: u64,
    /// The boot it belongs to.
    pub boot_id: String,
    /// How firmly the run is held, where that is known.
    pub containment: Option<Containment>,
}

/// How far a run has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunState {
    /// Claimed; its process is being started.
    Starting,
    /// Its process was started.
    Running,
    /// Its process is gone; what it left is being settled.
    Exited,
    /// Settled. It never changes again.
    Ended,
}

/// A run.
#[derive(Debug, Clone, PartialEq)]
pub struct RunRow {
    /// Row id, never reused: the fencing token.
    pub id: RunId,
    /// Its job.
    pub job: JobId,
    /// Its task.
    pub task: TaskId,
    /// The task's project.
    pub project: Name,
    /// The visit the job belongs to.
    pub visit: u32,
    /// Agent, or gate for a gate's command.
    pub slot: Name,
    /// What it runs.
    pub kind: JobKind,
    /// The stage, for people.
    pub stage: Name,
    /// What its verdicts must repeat.
    pub nonce: String,
    /// The checkout it works in.
    pub checkout: String,
    /// How far it has come.
    pub state: RunState,
    /// Its process id.
    pub pid: Option<i32>,
    /// The process's start time, in clock ticks since boot.
    pub pid_start: Option<u64>,
    /// The boot the process belongs to.
    pub boot_id: Option<String>,
    /// The agent command it was claimed for.
    pub command: Option<String>,
    /// How firmly it is held.
    pub containment: Option<Containment>,
    /// The commit it started from.
    pub start_sha: Option<String>,
    /// When its job was claimed.
    pub claimed_at: Millis,
    /// When its process was started.
    pub started_at: Option<Millis>,
    /// When its process was found gone.
    pub exited_at: Option<Millis>,
    /// When it was settled.
    pub ended_at: Option<Millis>,
    /// What the shim recorded.
    pub exit: Option<Json>,
    /// How it ended.
    pub end: Option<RunEnd>,
    /// Why it is to be killed, once that is so.
    pub kill: Option<Kill>,
    /// What it cost.
    pub usage: Option<Usage>,
    /// What its agent told of itself.
    pub notes: Option<AgentNotes>,
    /// The machine it runs on.
    pub host: String,
}

impl RunRow {
    /// Its process, once it was started.
    #[must_use]
    pub fn process(&self) -> Option<ProcessId> {
        Some(ProcessId {
            pid: self.pid?,
            start: self.pid_start?,
            boot_id: self.boot_id.clone()?,
            containment: self.containment,
        })
    }
}

/// What scheduling looks at, at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct QueueView {
    /// Scheduled and queued jobs, by id.
    pub waiting: Vec<JobRow>,
    /// Running jobs, by id.
    pub running: Vec<JobRow>,
    /// Tasks that are not over, by id.
    pub tasks: Vec<Task>,
    /// Dependencies of those tasks.
    pub depends: Vec<Dependency>,
    /// The newest dependency of any task, over or not; 0 for none.
    pub newest: i64,
    /// Repositories, by id.
    pub repos: Vec<Repo>,
    /// Runs that have not ended, by id.
    pub open_runs: Vec<RunRow>,
    /// Breakers, by command.
    pub breakers: BTreeMap<String, Breaker>,
    /// What the tasks of waiting jobs of agents have cost.
    pub spent: BTreeMap<TaskId, SpentTask>,
    /// The day (since the epoch, UTC) of the moment at which it was looked.
    pub day: i64,
    /// What each project of a waiting job has cost on that day; one that has cost nothing is not in it.
    pub spent_today: BTreeMap<Name, Sum>,
    /// What is wrong now, and known to be.
    pub notices: Vec<NoticeRow>,
    /// What was tried before for waiting jobs.
    pub past: BTreeMap<JobId, Past>,
    /// The command whose usage limit a scheduled job's last run met.
    pub limited: BTreeMap<JobId, String>,
    /// Jobs by state; every state is there.
    pub counts: BTreeMap<String, i64>,
}

impl QueueView {
    /// A task that is not over.
    #[must_use]
    pub fn task(&self, id: TaskId) -> Option<&Task> {
        let at = self.tasks.binary_search_by_key(&id, |task| task.id).ok()?;
        self.tasks.get(at)
    }

    /// A job that waits.
    #[must_use]
    pub fn job(&self, id: JobId) -> Option<&JobRow> {
        let at = self.waiting.binary_search_by_key(&id, |job| job.id).ok()?;
        self.waiting.get(at)
    }
}

/// What the board is known to hold because of us, and because of people.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Projection {
    /// The status that we wrote last.
    pub written: Option<String>,
    /// The status that was last taken as a person's signal.
    pub consumed: Option<String>,
    /// The status that the board was last known to show, written or taken.
    pub stands: Option<String>,
    /// Up to here its changes were looked at, by the board's own clock.
    pub seen: Option<Millis>,
    /// Up to here its comments were read, by the board's own clock.
    pub heard: Option<Millis>,
    /// Entries of its history that were examined; none where nobody has looked at that yet.
    pub examined: Option<Vec<String>>,
}

/// What was found in an issue's history on the board.
#[derive(Debug, Clone)]
pub struct BoardChanges {
    /// What the board was known to show when it was found.
    pub before: Option<String>,
    /// What it shows now, if a person brought it there.
    pub stands: Option<String>,
    /// Up to here its changes are known, by the board's own clock.
    pub seen: Option<Millis>,
    /// All entries of its history that were examined by now.
    pub examined: Vec<String>,
    /// What follows, in the order in which it was done.
    pub events: Vec<NewEvent>,
    /// Whether the board is to show again what we wrote last.
    pub again: bool,
}
