//! The local tracker: issues, statuses, comments and labels in the service's own database.

use crate::engine::model::{Issue, Name};
use crate::shell::clock;
use crate::shell::store::{NewComment, Store};

use super::{Said, Standing, TrackerError};

/// The tracker of one project for people without one.
#[derive(Clone)]
pub struct LocalTracker {
    store: Store,
    project: Name,
}

/// The name under which the service writes.
const SELF: &str = "signalbox";

impl LocalTracker {
    /// The tracker of `project`.
    #[must_use]
    pub fn new(store: Store, project: Name) -> Self {
        Self { store, project }
    }

    pub(super) async fn issue(&self, id: &str) -> Result<Option<Issue>, TrackerError> {
        let Some(row) = self.store.issue(&self.project, id).await? else {
            return Ok(None);
        };
        Ok(Some(Issue {
            id: row.id,
            number: Some(row.number),
            title: row.title,
            description: row.description,
            labels: row.labels,
            author: row.author,
            // The service's own board knows no relations: the text and the command line do.
            blocked_by: Vec::new(),
            unsettled: Vec::new(),
        }))
    }

    pub(super) async fn standing(&self, id: &str) -> Result<Option<Standing>, TrackerError> {
        let row = self.store.issue(&self.project, id).await?;
        Ok(row.map(|row| Standing {
            status: row.status,
            closed: false,
            changed_at: None,
        }))
    }

    pub(super) async fn set_status(&self, id: &str, status: &str) -> Result<(), TrackerError> {
        self.store
            .issue_set_status(&self.project, id, status, SELF, None, clock::now())
            .await?;
        Ok(())
    }

    pub(super) async fn comment(&self, id: &str, said: &Said<'_>) -> Result<(), TrackerError> {
        let new = NewComment {
            key: Some(said.key.to_owned()),
            author: SELF.to_owned(),
            body: said.text.to_owned(),
        };
        self.store.issue_comment(&self.project, id, new, None, clock::now()).await?;
        Ok(())
    }
}
