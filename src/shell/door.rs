//! The doors: every act of a person becomes an event in the store, durable before the answer.
//!
//! A door checks first whether the act is possible, on the task as it stands, and refuses it
//! otherwise with the reason. The check is advice for the person, not the law: the event is
//! decided by `step`, on the state that it meets. Two acts that answer the same state are one:
//! the key under which the event is recorded names the version that was looked at.

mod allow;
mod board;
mod change;
mod depend;
mod find;
mod freeze;
mod people;
mod possible;
mod signal;

#[cfg(test)]
pub(crate) mod tests;

pub use board::{INITIAL, Made, known_statuses};
pub(crate) use board::{comment_signal, known_signal, may_signal};
pub use find::Found;
pub use freeze::Frozen;
pub use people::{Door, person};
pub use possible::{Possible, possible};
pub(crate) use signal::replaced;

use crate::engine::model::{Actor, Role, Seq};
use crate::shell::store::StoreError;

/// Longest text of a person, in bytes.
pub const MAX_TEXT: usize = 100 * 1024;

/// An act that was taken in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Done {
    /// The task or issue, for people.
    pub item: String,
    /// What was done, in one sentence.
    pub message: String,
    /// The event, where one had to be recorded and its place is known.
    pub seq: Option<Seq>,
    /// Number of the issue, where it has one.
    pub number: Option<i64>,
}

/// An act that was not taken in; nothing was recorded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DoorError {
    /// There is no such thing.
    #[error("{what}")]
    NotFound {
        /// What was looked for.
        what: String,
        /// What might have been meant.
        help: String,
    },
    /// Not possible as things stand.
    #[error("{why}")]
    NotNow {
        /// Why: who, when, what.
        why: String,
        /// What is possible instead.
        help: Option<String>,
    },
    /// The person may not.
    #[error("{why}")]
    Forbidden {
        /// Who may not what.
        why: String,
        /// Who may.
        help: String,
    },
    /// What was asked for makes no sense.
    #[error("{why}")]
    Bad {
        /// Why.
        why: String,
        /// What does.
        help: Option<String>,
    },
    /// A stop that cannot be recorded now: it is carried out as far as that goes.
    #[error("{why}")]
    Kept {
        /// Why it cannot be.
        why: String,
        /// What happens all the same, and what does not.
        help: String,
    },
    /// The store does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl DoorError {
    pub(crate) fn bad(why: impl Into<String>) -> Self {
        Self::Bad {
            why: why.into(),
            help: None,
        }
    }

    pub(crate) fn not_now(why: impl Into<String>, help: impl Into<String>) -> Self {
        Self::NotNow {
            why: why.into(),
            help: Some(help.into()),
        }
    }
}

/// Refuses whoever holds none of `roles`.
pub(crate) fn require(actor: &Actor, roles: &[Role], what: &str) -> Result<(), DoorError> {
    if roles.iter().any(|role| actor.holds(*role)) {
        return Ok(());
    }
    let names: Vec<&str> = roles
        .iter()
        .map(|role| match role {
            Role::Viewer => "viewer",
            Role::Operator => "operator",
            Role::Approver => "approver",
        })
        .collect();
    let who = actor.label();
    Err(DoorError::Forbidden {
        why: format!("{who} may not {what}: that takes the role {}", names.join(" or ")),
        help: format!("add {who:?} to [people] in signalbox.toml, or ask someone who is listed there"),
    })
}

/// Refuses a text that is too long, and an empty one where something must be said.
pub(crate) fn check_text(text: &str, what: &str, needed: bool) -> Result<(), DoorError> {
    if needed && text.trim().is_empty() {
        return Err(DoorError::bad(format!("{what} is empty")));
    }
    if text.len() > MAX_TEXT {
        return Err(DoorError::bad(format!("{what} is longer than {} KiB", MAX_TEXT / 1024)));
    }
    Ok(())
}
