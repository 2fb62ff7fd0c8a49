//! Trackers: where issues come from and where people read what happens.

mod local;
pub mod plane;

use crate::engine::model::{Issue, Millis, Name};
use crate::shell::store::StoreError;

pub use local::LocalTracker;
pub use plane::PlaneTracker;

/// A tracker of one project.
#[derive(Clone)]
pub enum Tracker {
    /// Issues in the service's own database, for people without a tracker.
    Local(LocalTracker),
    /// A project on a Plane server.
    Plane(PlaneTracker),
}

/// Where an issue stands on the board.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// The status.
    pub status: String,
    /// Whether the board counts it among those that are over, whatever its name.
    pub closed: bool,
    /// When the issue was changed last, by the tracker's clock; none where nobody but us can.
    pub changed_at: Option<Millis>,
}

/// What is to be said on an issue.
#[derive(Debug, Clone, Copy)]
pub struct Said<'a> {
    /// The same key, decided at the same time, never makes a second comment.
    pub key: &'a str,
    /// When it was decided.
    pub at: Millis,
    /// Text, Markdown.
    pub text: &'a str,
    /// The agent whose words it tells, where it is an agent's.
    pub agent: Option<&'a Name>,
}

impl Tracker {
    /// The same tracker, asked with this haste; everything is read anew.
    #[must_use]
    pub fn at(&self, haste: plane::Haste) -> Self {
        match self {
            Self::Local(local) => Self::Local(local.clone()),
            Self::Plane(plane) => Self::Plane(plane.at(haste)),
        }
    }

    /// Waits for nothing: whether so many requests in a row can be made now.
    ///
    /// # Errors
    /// [`TrackerError::Limited`] says when they can be.
    pub async fn room(&self, requests: usize) -> Result<(), TrackerError> {
        match self {
            Self::Local(_) => Ok(()),
            Self::Plane(plane) => plane.room(requests, std::time::Duration::ZERO).await.map_err(|e| e.about("")),
        }
    }

    /// The issue, read now; `None` when the tracker has no such issue.
    pub async fn issue(&self, id: &str) -> Result<Option<Issue>, TrackerError> {
        match self {
            Self::Local(local) => local.issue(id).await,
            Self::Plane(plane) => plane.issue(id).await,
        }
    }

    /// Where it stands on the board, read now; `None` when the tracker has no such issue.
    pub async fn standing(&self, id: &str) -> Result<Option<Standing>, TrackerError> {
        match self {
            Self::Local(local) => local.standing(id).await,
            Self::Plane(plane) => plane.standing(id).await,
        }
    }

    /// Writes a status to the board. Desired state: writing it twice is writing it once.
    pub async fn set_status(&self, id: &str, status: &str) -> Result<(), TrackerError> {
        match self {
            Self::Local(local) => local.set_status(id, status).await,
            Self::Plane(plane) => plane.set_status(id, status).await,
        }
    }

    /// Writes a comment once.
    pub async fn comment(&self, id: &str, said: &Said<'_>) -> Result<(), TrackerError> {
        match self {
            Self::Local(local) => local.comment(id, said).await,
            Self::Plane(plane) => plane.comment(id, said).await,
        }
    }
}

/// Why a tracker did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum TrackerError {
    /// The issue is gone: repeating is no use.
    #[error("the tracker has no issue `{0}`")]
    Gone(String),
    /// The tracker refuses it, and would again: repeating is no use.
    #[error("{0}")]
    Refused(String),
    /// The board has no such status: it is left out.
    #[error("{0}")]
    Lacking(String),
    /// A person has to mend it first: the key, its rights, the name of the project.
    #[error("{0}")]
    Denied(String),
    /// Not before this long.
    #[error("the tracker takes no more requests for the next {} s", (.0.0 / 1000).max(1))]
    Limited(Millis),
    /// It may work later.
    #[error("the tracker does not answer: {0}")]
    Unreachable(String),
}

impl From<StoreError> for TrackerError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Gone => Self::Gone(error.to_string()),
            other => Self::Unreachable(other.to_string()),
        }
    }
}
