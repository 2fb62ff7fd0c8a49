//! What can go wrong between us and a Plane server, one variant per reaction.

use std::time::Duration;

use crate::engine::model::Millis;
use crate::shell::tracker::TrackerError;

/// Why a Plane server did not do what was asked. None of them ever holds a key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlaneError {
    /// 401, or 403 for a key that is not valid.
    #[error("the server does not accept the key ({0}): make a new one in Plane under Settings → API tokens, and see that `token` names it")]
    Key(String),
    /// 403: the key is good, its owner may not.
    #[error("the key's owner may not do that ({0}): make the owner a member of the project")]
    Forbidden(String),
    /// 404 in Plane's own words: it is deleted, archived or waits in intake.
    #[error("there is no such thing on the board")]
    NotFound,
    /// Neither spelling of the path knows the project.
    #[error("the server has no such workspace or project, or does not show it to the key's owner: see `workspace` and `project`")]
    NoProject,
    /// The board lacks the status.
    #[error("the board has no status {0:?}: add it under Project settings → States, or change the rules")]
    NoStatus(String),
    /// 409: something with this external id is there already.
    #[error("it is there already")]
    Exists,
    /// Another 4xx: the same request will be refused again.
    #[error("the server refuses the request ({status}): {words}")]
    Refused {
        /// Status code.
        status: u16,
        /// The server's words, cut short.
        words: String,
    },
    /// 429, or our own count says that it would be one.
    #[error("the key's requests of this minute are used up: again in {} s", after.as_secs().max(1))]
    Limited {
        /// How long.
        after: Duration,
    },
    /// 5xx.
    #[error("the server fails with {status}")]
    Server {
        /// Status code.
        status: u16,
    },
    /// 3xx: we never follow, for a POST would become a GET.
    #[error("the server redirects to {to:?}: `url` must be the address it redirects to, without a path")]
    Redirect {
        /// Where to, cut short.
        to: String,
    },
    /// A page instead of an answer: a proxy, a login page, another program.
    #[error("the address answers {status} with a page, not with JSON: is `url` the Plane server itself?")]
    NotJson {
        /// Status code.
        status: u16,
    },
    /// JSON, but not what we know; or longer than we read.
    #[error("the server's answer cannot be understood: {why}")]
    Malformed {
        /// What is wrong with it.
        why: String,
    },
    /// No answer in time.
    #[error("the server does not answer in time")]
    Timeout,
    /// No connection, or it broke.
    #[error("the server cannot be reached: {0}")]
    Unreachable(String),
}

impl PlaneError {
    /// Turns it into what the callers of a tracker react to; `id` is the issue that was asked about.
    pub(in crate::shell::tracker) fn about(self, id: &str) -> TrackerError {
        match self {
            Self::NotFound => TrackerError::Gone(id.to_owned()),
            Self::NoStatus(_) => TrackerError::Lacking(self.to_string()),
            Self::Refused { .. } | Self::Exists => TrackerError::Refused(self.to_string()),
            Self::Key(_) | Self::Forbidden(_) | Self::NoProject => TrackerError::Denied(self.to_string()),
            Self::Limited { after } => TrackerError::Limited(Millis(i64::try_from(after.as_millis()).unwrap_or(60_000).max(50))),
            // A person can mend the rest while it is tried again.
            other => TrackerError::Unreachable(other.to_string()),
        }
    }
}
