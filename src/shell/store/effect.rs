//! Effects: what is to be done outside, in which lane, and what may be promised about it.

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::Target;
use crate::engine::model::{ActionIntent, CleanUp, Kill, Millis, Name, RunId, Seq};

/// Something to be done outside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// Show this status on the board.
    Status {
        /// Status name.
        status: String,
    },
    /// Write a comment on the issue.
    Comment {
        /// Idempotency key.
        key: String,
        /// Text, Markdown.
        text: String,
        /// The agent whose words it tells, where it is an agent's.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        agent: Option<Name>,
    },
    /// Tell the operators.
    Alert {
        /// Idempotency key, where the channel knows one.
        key: String,
        /// Text.
        text: String,
    },
    /// Show on the task's card in the chat how it stands when this is carried out.
    Card,
    /// Settle a run whose process is gone.
    Settle {
        /// The run.
        run: RunId,
    },
    /// Kill a run's processes, and see that they are gone.
    Kill {
        /// The run.
        run: RunId,
        /// Why.
        why: Kill,
    },
    /// Carry out an engine action.
    Act(ActionIntent),
    /// Clean up after the task.
    CleanUp(CleanUp),
}

impl Effect {
    /// What may be promised about it.
    #[must_use]
    pub fn class(&self) -> Class {
        match self {
            Self::Status { .. } | Self::Card | Self::Kill { .. } => Class::DesiredState,
            Self::Comment { .. } => Class::Keyed,
            Self::Alert { .. } => Class::MayRepeat,
            Self::Settle { .. } | Self::Act(_) | Self::CleanUp(_) => Class::Lookup,
        }
    }

    /// The lane it waits in.
    #[must_use]
    pub fn lane(&self) -> Lane {
        match self {
            Self::Status { .. } | Self::Comment { .. } => Lane::Board,
            Self::Alert { .. } | Self::Card => Lane::Chat,
            Self::Settle { .. } | Self::Act(_) | Self::CleanUp(_) => Lane::Work,
            Self::Kill { .. } => Lane::Kill,
        }
    }

    /// A short name for logs and tables.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Status { .. } => "status",
            Self::Comment { .. } => "comment",
            Self::Alert { .. } => "alert",
            Self::Card => "card",
            Self::Settle { .. } => "settle",
            Self::Kill { .. } => "kill",
            Self::Act(_) => "act",
            Self::CleanUp(_) => "clean_up",
        }
    }
}

/// What may be promised about an effect. The first three happen once as seen from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// It carries an idempotency key.
    Keyed,
    /// The outside is looked up before a repeat.
    Lookup,
    /// Only the newest matters.
    DesiredState,
    /// Never repeated.
    AtMostOnce,
    /// It may be seen twice.
    MayRepeat,
}

/// Effects of one task (on the board: of one issue) in one lane happen one after the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Lane {
    /// Tracker.
    Board,
    /// Chat.
    Chat,
    /// Git and forge.
    Work,
    /// Processes.
    Kill,
}

/// An effect on its way.
#[derive(Debug, Clone, PartialEq)]
pub struct OutboxRow {
    /// Row id.
    pub id: i64,
    /// What it is about.
    pub target: Target,
    /// What may be promised about it.
    pub class: Class,
    /// The lane it waits in.
    pub lane: Lane,
    /// What is to be done.
    pub effect: Effect,
    /// The event it follows from; 0 when it follows from none.
    pub seq: Seq,
    /// Attempts that failed.
    pub attempts: u32,
    /// Not before.
    pub next_at: Millis,
    /// What was written down before the outside was touched.
    pub progress: Option<Json>,
    /// What the last attempt said.
    pub last_error: Option<String>,
    /// When it was decided.
    pub created_at: Millis,
}
