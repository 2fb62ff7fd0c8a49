//! What people see on the board: statuses, comments.

use std::sync::Arc;

use serde_json::json;

use crate::engine::model::{Millis, Phase, StopState};
use crate::shell::clock;
use crate::shell::intake::plane;
use crate::shell::service::{Project, Service};
use crate::shell::store::{OutboxRow, Projection};
use crate::shell::tracker::plane::Haste;
use crate::shell::tracker::{Said, Tracker, TrackerError};

use super::Failure;

/// How soon a status is looked at again that waits for a person's signal to be decided.
const AFTER_SIGNAL: Millis = Millis(50);
/// The same for a board outside: each look is a request.
const AFTER_CHANGE: Millis = Millis(500);
/// What an effect notes before it writes: when.
const WRITTEN: &str = "written";
/// Requests of one status: where it stands, the writing, the history after it.
const REQUESTS: usize = 3;

fn place<'a>(service: &'a Service, row: &'a OutboxRow) -> Result<(&'a Project, &'a str), Failure> {
    let project = service.projects.get(&row.target.project);
    let project = project.ok_or_else(|| Failure::Nowhere(format!("no project `{}` is configured", row.target.project)))?;
    let issue = row
        .target
        .issue
        .as_deref()
        .ok_or_else(|| Failure::Never("it names no issue".to_owned()))?;
    Ok((project, issue))
}

/// Read, compare, write: what a person put on the board is first decided, then written over.
pub(super) async fn status(service: &Arc<Service>, row: &OutboxRow, status: &str) -> Result<(), Failure> {
    let (project, issue) = place(service, row)?;
    let tracker = project.tracker.at(Haste::OURS);
    // Before anything is read, so that it can be written at once, and while the issue is nobody's yet.
    tracker.room(if written(row).is_some() { 1 } else { REQUESTS }).await?;
    let _turn = plane::turn(service, project, issue).await.map_err(TrackerError::from)?;
    let known = service.store.projection(&project.name, issue).await?;
    if let Some(written) = written(row).filter(|_| known.stands.as_deref() == Some(status)) {
        return look_back(service, project, row, status, written).await;
    }
    let since = tokio::time::Instant::now();
    let Some(board) = tracker.standing(issue).await? else {
        return Err(TrackerError::Gone(issue.to_owned()).into());
    };
    let outside = !matches!(project.tracker, Tracker::Local(_));
    if board.status != status {
        if outside && known.stands.as_ref() != Some(&board.status) {
            // Nobody has told us of it yet: it is taken now, and its event goes before our word.
            plane::take_board(service, project, issue, since)
                .await
                .map_err(TrackerError::from)?;
            service.wake();
            return Err(Failure::NotYet(AFTER_CHANGE));
        }
        if known.written.as_ref() != Some(&board.status) && service.store.next_event(&row.target, false).await?.is_some() {
            return Err(Failure::NotYet(if outside { AFTER_CHANGE } else { AFTER_SIGNAL }));
        }
        if board.closed && known.consumed.as_ref() == Some(&board.status) && !project.rules().signals.status.contains_key(&board.status) {
            tracing::info!(
                issue,
                "a person closed the issue as {:?}: it is left there, and not moved to {status:?}",
                board.status
            );
            return Ok(service.store.effect_done(row.id, None, clock::now()).await?);
        }
        if outside && stopped_there(service, project, row, &known, &board.status).await? {
            tracing::info!(
                issue,
                "the board shows the stop of the task: it is left there, and not moved to {status:?}"
            );
            return Ok(service.store.effect_done(row.id, None, clock::now()).await?);
        }
    }
    let now = clock::now();
    // Where an earlier try wrote and its answer was lost, that is looked back upon as well.
    let writes = board.status != status || known.stands.as_deref() != Some(status);
    if outside && writes {
        service.store.effect_progress(row.id, json!({ WRITTEN: now.0 })).await?;
    }
    if board.status != status {
        tracker.set_status(issue, status).await?;
    }
    service.store.save_projection(&project.name, issue, status, now).await?;
    if let (None, Some(seen)) = (&known.examined, board.changed_at) {
        service.store.save_seen(&project.name, issue, seen).await?;
    }
    if outside && writes {
        return look_back(service, project, row, status, now).await;
    }
    Ok(service.store.effect_done(row.id, None, clock::now()).await?)
}

/// When this effect wrote on the board.
fn written(row: &OutboxRow) -> Option<Millis> {
    Some(Millis(row.progress.as_ref()?.get(WRITTEN)?.as_i64()?))
}

/// What a person did between our reading and our writing is gone from the board, and Plane may never
/// tell of it: the history does, as soon as it shows what we wrote.
async fn look_back(service: &Arc<Service>, project: &Project, row: &OutboxRow, status: &str, written: Millis) -> Result<(), Failure> {
    let (_, issue) = place(service, row)?;
    let found = plane::take_between(service, project, issue, status, written)
        .await
        .map_err(TrackerError::from)?;
    if let Some(what) = found {
        tracing::info!(issue, "{what}");
        service.wake();
    }
    Ok(service.store.effect_done(row.id, None, clock::now()).await?)
}

/// Whether the board shows the stop that ended the task, or the start that is taken up when that stop is complete: what the
/// task had to show before is out of date.
async fn stopped_there(service: &Service, project: &Project, row: &OutboxRow, known: &Projection, shows: &str) -> Result<bool, Failure> {
    let rules = project.rules();
    let signal = rules.signals.status.get(shows).map(|signal| signal.as_str());
    let (Some(id), Some("stop" | "start")) = (row.target.task.filter(|_| known.consumed.as_deref() == Some(shows)), signal) else {
        return Ok(false);
    };
    let Some(task) = service.store.task(id).await? else {
        return Ok(false);
    };
    let cleaning = task.control.stop == StopState::Cleaning;
    Ok(match signal {
        Some("stop") => cleaning || task.control.phase == Phase::Cancelled,
        _ => cleaning && task.ledger.restart.is_some(),
    })
}

pub(super) async fn comment(service: &Service, row: &OutboxRow, said: &Said<'_>) -> Result<(), Failure> {
    let (project, issue) = place(service, row)?;
    project.tracker.comment(issue, said).await?;
    Ok(service.store.effect_done(row.id, None, clock::now()).await?)
}

impl From<TrackerError> for Failure {
    fn from(error: TrackerError) -> Self {
        match error {
            TrackerError::Gone(_) => Self::Nowhere(error.to_string()),
            TrackerError::Refused(_) => Self::Never(error.to_string()),
            TrackerError::Lacking(_) => Self::LeftOut(error.to_string()),
            TrackerError::Limited(pause) => Self::NotYet(pause),
            TrackerError::Denied(_) | TrackerError::Unreachable(_) => Self::Later(error.to_string()),
        }
    }
}
