//! Why: reasons stored with decisions, and blockers shown while something waits.

use serde::{Deserialize, Serialize};

use super::Millis;

/// One sentence of explanation, stored with the decision it explains.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Because(pub String);

impl<T: Into<String>> From<T> for Because {
    fn from(text: T) -> Self {
        Self(text.into())
    }
}

/// A reason why something waits: never empty while something waits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Blocker {
    /// Stable code.
    pub code: Code,
    /// One sentence.
    pub text: String,
    /// Since when.
    pub since: Millis,
    /// Who can clear it.
    pub who: Who,
    /// The command that clears it, where one does.
    pub clear: Option<String>,
}

/// Stable codes of blockers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Code {
    /// An earlier task of the repository holds the lane.
    LaneHeld,
    /// A task that it depends on is not over.
    DepOpen,
    /// Another task holds the merge lease.
    LeaseHeld,
    /// The repository is frozen.
    Frozen,
    /// A gate waits for something outside.
    GateWait,
    /// A person's approval is awaited.
    ApprovalWait,
    /// A person's answer is awaited.
    NeedsInput,
    /// An agent is at work, or every place for agents is taken.
    RunnerBusy,
    /// A failed run is tried again later.
    Backoff,
    /// Checks on the forge have not reported yet.
    ChecksPending,
    /// A gate failed and no edge leads on.
    ChecksFailed,
    /// The forge or tracker cannot be reached.
    ForgeUnreachable,
    /// A stop has been put off until an irreversible step has ended.
    StopDeferred,
    /// A stop is being carried out: processes, then the clean-up.
    Stopping,
    /// The task is parked for a person.
    Escalated,
    /// An engine action is at work.
    ActionRunning,
    /// The breaker of the agent's command is open.
    BreakerOpen,
    /// The account of the agent's command has reached its usage limit.
    UsageLimit,
    /// The agent's command cannot be used.
    Preflight,
    /// What agents may cost is spent.
    Budget,
    /// The same failure again and again, or work that changes nothing.
    NoProgress,
    /// The rules of the task cannot be used.
    RulesError,
    /// The database is being read whole after the start, or was found damaged.
    DbCheck,
    /// The service is ending, and waits for the runs under way.
    Draining,
}

impl Code {
    /// The code as people and scripts read it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::LaneHeld => "LANE_HELD",
            Self::DepOpen => "DEP_OPEN",
            Self::LeaseHeld => "LEASE_HELD",
            Self::Frozen => "FROZEN",
            Self::GateWait => "GATE_WAIT",
            Self::ApprovalWait => "APPROVAL_WAIT",
            Self::NeedsInput => "NEEDS_INPUT",
            Self::RunnerBusy => "RUNNER_BUSY",
            Self::Backoff => "BACKOFF",
            Self::ChecksPending => "CHECKS_PENDING",
            Self::ChecksFailed => "CHECKS_FAILED",
            Self::ForgeUnreachable => "FORGE_UNREACHABLE",
            Self::StopDeferred => "STOP_DEFERRED",
            Self::Stopping => "STOPPING",
            Self::Escalated => "ESCALATED",
            Self::ActionRunning => "ACTION_RUNNING",
            Self::BreakerOpen => "BREAKER_OPEN",
            Self::UsageLimit => "USAGE_LIMIT",
            Self::Preflight => "PREFLIGHT",
            Self::Budget => "BUDGET",
            Self::NoProgress => "NO_PROGRESS",
            Self::RulesError => "RULES_ERROR",
            Self::DbCheck => "DB_CHECK",
            Self::Draining => "DRAINING",
        }
    }
}

/// Who can clear a blocker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Who {
    /// It clears by itself.
    Itself,
    /// Someone who may approve.
    Approver,
    /// An operator.
    Operator,
    /// Whoever follows the issue.
    Anyone,
    /// The other task.
    OtherTask,
}
