//! Trackers: where issues come from and where people read what happens.

mod local;

use crate::engine::model::Issue;
use crate::shell::store::StoreError;

pub use local::LocalTracker;

/// A tracker of one project.
#[derive(Clone)]
pub enum Tracker {
    /// Issues in the service's own database, for people without a tracker.
    Local(LocalTracker),
}

impl Tracker {
    /// The issue, read now; `None` when the tracker has no such issue.
    pub async fn issue(&self, id: &str) -> Result<Option<Issue>, TrackerError> {
        match self {
            Self::Local(local) => local.issue(id).await,
        }
    }

    /// The status on the board, read now.
    pub async fn status(&self, id: &str) -> Result<Option<String>, TrackerError> {
        match self {
            Self::Local(local) => local.status(id).await,
        }
    }

    /// Writes a status to the board. Desired state: writing it twice is writing it once.
    pub async fn set_status(&self, id: &str, status: &str) -> Result<(), TrackerError> {
        match self {
            Self::Local(local) => local.set_status(id, status).await,
        }
    }

    /// Writes a comment once: the same key never makes a second one.
    pub async fn comment(&self, id: &str, key: &str, text: &str) -> Result<(), TrackerError> {
        match self {
            Self::Local(local) => local.comment(id, key, text).await,
        }
    }
}

/// Why a tracker did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum TrackerError {
    /// The issue is gone: repeating is no use.
    #[error("the tracker has no issue `{0}`")]
    Gone(String),
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
