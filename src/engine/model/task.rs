//! A task: Control, which decisions branch on, and Ledger, which they only copy into texts.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{Head, Millis, Name, RepoId, RunId, TaskId};

/// One tracker issue being driven through a pipeline.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Task {
    /// Row id, never reused.
    pub id: TaskId,
    /// Raised by every commit; a commit that saw an older version is decided again.
    pub version: i64,
    /// The project, as configured.
    pub project: Name,
    /// Its repository.
    pub repo: RepoId,
    /// Work item id, `ORCH-090`.
    pub item: String,
    /// The tracker's id of the issue.
    pub issue: String,
    /// The issue's title when the task was made.
    pub title: String,
    /// Task branch, short name.
    pub branch: String,
    /// Content hash of the rules the task runs under.
    pub rules: String,
    /// When it was made.
    pub created_at: Millis,
    /// What decisions branch on.
    pub control: Control,
    /// What decisions write down.
    pub ledger: Ledger,
}

impl Task {
    /// A task that is not born yet: what a `start` on an unknown issue is decided about.
    #[must_use]
    pub fn unborn(project: Name, repo: RepoId, issue: &str, rules: &str) -> Self {
        Self {
            id: TaskId(0),
            version: 0,
            project,
            repo,
            item: String::new(),
            issue: issue.to_owned(),
            title: String::new(),
            branch: String::new(),
            rules: rules.to_owned(),
            created_at: Millis(0),
            control: Control::default(),
            ledger: Ledger::default(),
        }
    }

    /// Whether the task is over: THE terminal predicate, by way of [`Phase::life`].
    #[must_use]
    pub fn terminal(&self) -> bool {
        self.control.phase.life() == Life::Over
    }

    /// Whether jobs of the present stage are queued or running.
    #[must_use]
    pub fn busy(&self) -> bool {
        self.control.slots.values().any(|s| s.state == SlotState::Queued)
    }
}

/// The finite part of a task's state: enums, bounded counters, names from the rules.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub struct Control {
    /// Where in its life the task is.
    pub phase: Phase,
    /// A stop, if one was asked for.
    pub stop: StopState,
    /// The stage it stands at.
    pub stage: Name,
    /// Where in the stage.
    pub at: At,
    /// Whether it moves by itself or a person is needed.
    pub mode: Mode,
    /// The visit's jobs: by agent, or by gate for gate commands.
    pub slots: BTreeMap<Name, Slot>,
    /// Returns used up, by counter; never reset.
    pub counters: BTreeMap<Name, u8>,
    /// Human gates passed in this visit.
    pub approved: BTreeSet<Name>,
    /// The `gate.outcome` that was last reported to people in this visit.
    pub reported: Option<Name>,
}

/// Where in its life a task is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// An issue whose start is being decided.
    #[default]
    Unborn,
    /// On its way.
    Live,
    /// Arrived.
    Done,
    /// Stopped, its clean-up verified.
    Cancelled,
}

impl Phase {
    /// What of a life the phase is: the only place that says which phases are the end of one. A test
    /// reads the sources and refuses any other.
    #[must_use]
    pub const fn life(self) -> Life {
        match self {
            Self::Unborn => Life::Unborn,
            Self::Live => Life::Live,
            Self::Done | Self::Cancelled => Life::Over,
        }
    }
}

/// Whether a task is on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Life {
    /// Not born yet.
    Unborn,
    /// On its way.
    Live,
    /// Over: nothing moves it any more, and nobody waits for it.
    Over,
}

/// How far a stop has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StopState {
    /// Nobody asked.
    #[default]
    No,
    /// Asked for inside a critical window; applied when the window is provably closed.
    Deferred,
    /// Being carried out: processes die, the checkout and the branch go.
    Cleaning,
}

/// Where in its stage a task is.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum At {
    /// The stage was chosen; its `Entered` event is under way.
    #[default]
    Entering,
    /// Agents are to work or at work.
    Work,
    /// The gates are being asked.
    Gates,
    /// An engine action is next.
    Action {
        /// Its place in the stage's `do`.
        index: u8,
        /// Whether it was started; else the merge lease is awaited.
        running: bool,
    },
    /// The base is being merged into the branch before the edge of this name is taken.
    Updating {
        /// `gate.outcome` of that edge.
        edge: Name,
    },
}

/// Whether a task moves by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// It does, as far as its gates allow.
    #[default]
    Active,
    /// An agent asked something; an answer is awaited.
    Question,
    /// Parked for a person; a retry, reject, stop or push ends it.
    Escalated,
}

/// One job of a visit, as the engine sees it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub struct Slot {
    /// How far it has come.
    pub state: SlotState,
    /// Tries used up, the first included.
    pub attempts: u8,
    /// Requeues for weather used up.
    pub transient: u8,
    /// Requeues after a lost process used up.
    pub rescues: u8,
    /// Usage limits that its runs have met.
    #[serde(default, skip_serializing_if = "none")]
    pub limits: u8,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "the form that serde asks for")]
fn none(count: &u8) -> bool {
    *count == 0
}

/// How far a job has come.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SlotState {
    /// In the queue or running: the queue knows which.
    #[default]
    Queued,
    /// Ended well.
    Ok,
    /// Ended badly with its tries used up; the outcome's name.
    Failed(Name),
}

/// The rest of a task's state: ids, times, texts. No decision branches on it except through a
/// relation (same subject, same rules, due) named in `step`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Ledger {
    /// The present visit.
    pub visit: Visit,
    /// The branch's head, as recorded after the last accepted commit.
    pub head: Option<Head>,
    /// When the head's subject last moved.
    pub subject_since: Millis,
    /// The head against which "written in this round" is measured.
    pub round_base: Option<String>,
    /// The same for an agent that was run again while others of its stage were not.
    #[serde(default)]
    pub bases: BTreeMap<Name, String>,
    /// The visit's last ended run, by slot.
    pub runs: BTreeMap<Name, RunRef>,
    /// Results of gate commands, by gate.
    pub commands: BTreeMap<Name, CommandResult>,
    /// Approvals given in this visit, by gate.
    pub approvals: BTreeMap<Name, Vec<Approval>>,
    /// Gate cards shown in this visit, by gate: what an approval answers.
    pub cards: BTreeMap<Name, Card>,
    /// The subject with which each stage was last passed.
    pub passed: BTreeMap<Name, String>,
    /// Requests for changes on the forge that have cost their round.
    #[serde(default, skip_serializing_if = "std::collections::BTreeSet::is_empty")]
    pub reviews: std::collections::BTreeSet<String>,
    /// What the agents of the next round are told, besides what people said.
    pub note: Option<String>,
    /// What people said, the oldest first, until a run that was told it has ended well.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub said: Vec<super::Said>,
    /// The last comment of a person, at most 500 characters.
    pub last_comment: Option<String>,
    /// Human review time.
    pub review: Review,
    /// What is waited for, in one sentence, and since when.
    pub waiting: Option<(String, Millis)>,
    /// Why the task is escalated, and since when.
    pub escalated: Option<(String, Millis)>,
    /// The open question, and since when.
    pub question: Option<(String, Millis)>,
    /// Who asked for the stop, when, and until when it may be put off.
    pub stop: Option<(String, Millis, Option<Millis>)>,
    /// The reason given for the stop.
    #[serde(default)]
    pub stop_reason: Option<String>,
    /// Whether operators were told that a stop waits for longer than the rules foresee.
    #[serde(default)]
    pub stop_overdue: bool,
    /// Heads that were found on the branch and that no run or action of the task had reported, oldest first.
    #[serde(default)]
    pub adopted: Vec<String>,
    /// Branches that were on the forge when a task was started whose issue had a task that was stopped; for the birth only.
    #[serde(default)]
    pub taken: Vec<String>,
    /// The last failure of a run in this visit.
    pub failure: Option<String>,
    /// A `start` that came while the stop was being carried out: taken up when the task is over.
    pub restart: Option<super::Signal>,
    /// When a person stopped the last task of its issue: a start older than that is ignored.
    #[serde(default)]
    pub stopped_before: Option<Millis>,
    /// What the issue said last that the task waits for.
    #[serde(default)]
    pub depends: Vec<super::Wanted>,
    /// When it ended.
    pub ended_at: Option<Millis>,
}

/// An entry into a stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Visit {
    /// Its number, from 1.
    pub number: u32,
    /// When it began.
    pub entered_at: Millis,
}

/// The run whose word counts for a slot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunRef {
    /// The run.
    pub run: RunId,
    /// What its verdict must repeat.
    pub nonce: String,
}

/// What a gate's command answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommandResult {
    /// The subject it ran on.
    pub subject: String,
    /// Exit status.
    pub code: i32,
    /// The last lines it printed.
    pub tail: String,
}

/// A person's approval of a gate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approval {
    /// Who.
    pub by: String,
    /// When.
    pub at: Millis,
    /// The subject it covers.
    pub subject: String,
    /// The hash of the rules it was given under.
    pub rules: String,
}

/// What people were shown when a gate began to wait for them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Card {
    /// The subject shown.
    pub subject: String,
    /// The default branch's commit at that time.
    pub base: String,
    /// The hash of the rules in force.
    pub rules: String,
    /// When.
    pub at: Millis,
}

/// Human review time: periods add up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Review {
    /// When the open period began.
    pub started_at: Option<Millis>,
    /// When the last period ended.
    pub ended_at: Option<Millis>,
    /// Sum of the closed periods.
    pub total: Millis,
}
