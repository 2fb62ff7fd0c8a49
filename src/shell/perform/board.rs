//! What people see on the board: statuses, comments.

use crate::engine::model::Millis;
use crate::shell::clock;
use crate::shell::service::{Project, Service};
use crate::shell::store::OutboxRow;
use crate::shell::tracker::TrackerError;

use super::Failure;

/// How soon a status is looked at again that waits for a person's signal to be decided.
const AFTER_SIGNAL: Millis = Millis(50);

fn place<'a>(service: &'a Service, row: &'a OutboxRow) -> Result<(&'a Project, &'a str), Failure> {
    let project = service.projects.get(&row.target.project);
    let project = project.ok_or_else(|| Failure::Never(format!("no project `{}` is configured", row.target.project)))?;
    let issue = row
        .target
        .issue
        .as_deref()
        .ok_or_else(|| Failure::Never("it names no issue".to_owned()))?;
    Ok((project, issue))
}

/// Read, compare, write: what a person put on the board is first decided, then written over.
pub(super) async fn status(service: &Service, row: &OutboxRow, status: &str) -> Result<(), Failure> {
    let (project, issue) = place(service, row)?;
    let current = project.tracker.status(issue).await?;
    if current.as_deref() != Some(status) {
        let written = service.store.projection(&project.name, issue).await?.written;
        if written != current && service.store.next_event(&row.target, false).await?.is_some() {
            return Err(Failure::NotYet(AFTER_SIGNAL));
        }
        project.tracker.set_status(issue, status).await?;
    }
    service.store.save_projection(&project.name, issue, status, clock::now()).await?;
    Ok(service.store.effect_done(row.id, None, clock::now()).await?)
}

pub(super) async fn comment(service: &Service, row: &OutboxRow, key: &str, text: &str) -> Result<(), Failure> {
    let (project, issue) = place(service, row)?;
    project.tracker.comment(issue, key, text).await?;
    Ok(service.store.effect_done(row.id, None, clock::now()).await?)
}

impl From<TrackerError> for Failure {
    fn from(error: TrackerError) -> Self {
        match error {
            TrackerError::Gone(_) => Self::Never(error.to_string()),
            TrackerError::Unreachable(_) => Self::Later(error.to_string()),
        }
    }
}
