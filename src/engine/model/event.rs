//! What happened: events, in the past tense.

use serde::{Deserialize, Serialize};

use super::{Millis, Name, RunReport, Seq};

/// Something that happened, written down before anyone was answered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Its place in the inbox; events of one task apply in this order (STOP excepted).
    pub seq: Seq,
    /// When it was recorded.
    pub at: Millis,
    /// The event that this one follows from.
    pub cause: Option<Seq>,
    /// Who did it.
    pub actor: Actor,
    /// What happened.
    pub body: Body,
}

/// Who did something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Actor {
    /// A person, known at the door: the roles were looked up when the event was recorded.
    Person {
        /// Login name, as the door knows it.
        name: String,
        /// The door.
        via: Via,
        /// What the person may decide.
        roles: Vec<Role>,
    },
    /// An agent's process, by its run id.
    Agent(i64),
    /// The service itself: timers, effects, follow-ups.
    Service,
}

impl Actor {
    /// Whether this is a person holding `role`.
    #[must_use]
    pub fn holds(&self, role: Role) -> bool {
        matches!(self, Self::Person { roles, .. } if roles.contains(&role))
    }

    /// How people read it.
    #[must_use]
    pub fn label(&self) -> String {
        match self {
            Self::Person { name, .. } => name.clone(),
            Self::Agent(run) => format!("run {run}"),
            Self::Service => "signalbox".to_owned(),
        }
    }
}

/// The door a person came through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Via {
    /// The command line, over the service's socket (the peer's uid is the actor).
    Cli,
    /// The HTTP API with a bearer token.
    Api,
    /// The tracker's board or comments.
    Tracker,
    /// The forge.
    Forge,
}

/// What a person may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// May look.
    Viewer,
    /// May stop, retry, freeze.
    Operator,
    /// May approve, reject, confirm.
    Approver,
}

/// A logical signal of a person: one change on the board, one comment, one command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signal {
    /// The signal's name in the rules: `start`, `approve`, `reject`, `stop`, `answer` …
    pub name: Name,
    /// What the person wrote with it.
    pub text: Option<String>,
    /// The activity it was read from; one activity is one signal, consumed once.
    pub activity: String,
    /// When the person acted, by the tracker's clock.
    pub acted_at: Millis,
}

/// The tracker issue a task is born from.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Issue {
    /// The tracker's own id.
    pub id: String,
    /// The tracker's sequence number within the project, when it has one.
    pub number: Option<i64>,
    /// Title.
    pub title: String,
    /// Description as plain text.
    pub description: String,
    /// Labels.
    pub labels: Vec<String>,
    /// Who wrote it.
    pub author: String,
    /// Issues of the same tracker project that block this one, by the tracker's ids.
    #[serde(default)]
    pub blocked_by: Vec<String>,
    /// Labels that would pass a gate, of which nobody can tell yet who put them there: they do not count, and are asked
    /// for again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unsettled: Vec<String>,
}

/// The body of an event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Body {
    /// A person signalled.
    Signalled(Signal),
    /// A stage was entered: the follow-up of an advance, a roll back or a start.
    Entered {
        /// The visit that began.
        visit: u32,
    },
    /// A run of a job ended and was settled: its commits are in the vault, its branch pushed.
    RunEnded(RunReport),
    /// An engine action of the stage ended.
    ActionEnded {
        /// The visit it belongs to.
        visit: u32,
        /// Its name: `merge`, `update`, `hook:NAME`.
        action: Name,
        /// Its outcome: `ok`, or what an edge must exist for.
        outcome: Name,
        /// What people should know: files in conflict, the forge's words.
        detail: String,
        /// The branch's head afterwards, where the action moved it.
        head: Option<super::Head>,
    },
    /// A timer of the visit fired.
    TimerFired {
        /// The visit it belongs to.
        visit: u32,
        /// What it was set for: the gate's or action's name.
        timer: Name,
    },
    /// Something outside may have changed: look again.
    Poked {
        /// What woke us, for the record.
        by: Name,
    },
    /// An operator asks to take an escalated or failed task up again.
    Retried {
        /// Why, in the operator's words.
        note: Option<String>,
    },
    /// The project's rules were changed, and the task is to follow them.
    RulesChanged {
        /// Content hash of the rules it ran under.
        from: String,
        /// Content hash of the new ones: the step is taken under these, where they can be had.
        to: String,
    },
    /// The issue names a dependency that would close a circle: it is not made.
    CircleRefused {
        /// The circle, from the task round to itself.
        circle: Vec<String>,
    },
    /// The clean-up after a stop has been carried out and verified.
    CleanedUp {
        /// What was done and what could not be, for the record.
        report: String,
    },
}

impl Body {
    /// A short name for logs and tables.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Signalled(_) => "signalled",
            Self::Entered { .. } => "entered",
            Self::RunEnded(_) => "run_ended",
            Self::ActionEnded { .. } => "action_ended",
            Self::TimerFired { .. } => "timer_fired",
            Self::Poked { .. } => "poked",
            Self::Retried { .. } => "retried",
            Self::RulesChanged { .. } => "rules_changed",
            Self::CircleRefused { .. } => "circle_refused",
            Self::CleanedUp { .. } => "cleaned_up",
        }
    }
}
