//! What Plane tells. Plane sends a change once, whatever we answer, with the state of a later
//! moment, in no order, and some changes never: a delivery only says where to look.

mod catch_up;
mod comments;
mod hint;
mod history;
mod labels;
mod moved;
mod order;
mod sync;
mod who;

use std::sync::Arc;
use std::time::Duration;

use crate::engine::model::{Millis, Name};
use crate::shell::service::{Project, Service};
use crate::shell::store::{DeliveryRow, StoreError};
use crate::shell::tracker::plane::{Haste, PlaneError, PlaneTracker};
use crate::shell::tracker::{Tracker, TrackerError};

use super::Understood;
use hint::{Hint, What};

pub use catch_up::{Missed, run as catch_up};
pub use order::standing_orders;
pub use sync::{take_between, take_board, turn};

/// How often a server is asked again that does not show yet what it has told: half a minute.
const BEHIND: u32 = 6;
/// How soon a server is asked again that does not show yet what was done.
const BEHIND_PAUSE: Millis = Millis(1500);

/// Why a delivery waits whose key has no requests left.
const USED_UP: &str = "the key's requests of this minute are used up, it is tried again as soon as there are more";

fn pause(after: Duration) -> Millis {
    Millis(i64::try_from(after.as_millis()).unwrap_or(60_000).max(50))
}

/// Why the board could not be looked at.
#[derive(Debug, thiserror::Error)]
pub enum LookError {
    /// The server.
    #[error(transparent)]
    Plane(#[from] PlaneError),
    /// The server's answer is older than what it has told.
    #[error("the server does not show yet what it has told")]
    Behind,
    /// Another look at the same issue takes long.
    #[error("the issue is being looked at already")]
    Busy,
    /// Nobody can be told there what came of it.
    #[error(transparent)]
    Tracker(#[from] TrackerError),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<LookError> for TrackerError {
    fn from(error: LookError) -> Self {
        match error {
            LookError::Store(error) => error.into(),
            LookError::Tracker(error) => error,
            // No outage: the server takes a moment.
            LookError::Behind => Self::Limited(BEHIND_PAUSE),
            LookError::Plane(PlaneError::Limited { after }) => Self::Limited(pause(after)),
            other => Self::Unreachable(other.to_string()),
        }
    }
}

/// Of the projects that a delivery may speak for those that it is about: one webhook, with one secret, tells of all projects
/// of a workspace. All of them where it names none.
#[must_use]
pub fn about(service: &Service, mut signed: Vec<Name>, event: &str, body: &[u8]) -> Vec<Name> {
    if let Some(named) = hint::read(event, body).ok().and_then(|hint| hint.project) {
        signed.retain(|name| on(service, name).is_some_and(|(_, plane)| plane.project().eq_ignore_ascii_case(&named)));
    }
    signed
}

/// A project, where it is on a Plane board.
fn on<'a>(service: &'a Service, name: &Name) -> Option<(&'a Project, &'a PlaneTracker)> {
    let project = service.projects.get(name)?;
    match &project.tracker {
        Tracker::Plane(plane) => Some((project, plane)),
        Tracker::Local(_) => None,
    }
}

/// Reads a delivery and does what follows from it.
///
/// # Errors
/// The database.
pub(super) async fn understand(service: &Arc<Service>, delivery: &DeliveryRow) -> Result<Understood, StoreError> {
    let hint = match hint::read(&delivery.event, &delivery.body) {
        Ok(hint) => hint,
        Err(why) => return Ok(Understood::Nothing(why)),
    };
    if let What::Noise(what) = &hint.what {
        return Ok(Understood::Nothing(what.clone()));
    }
    let Some(issue) = hint.issue.clone() else {
        return Ok(Understood::Nothing("it names no issue".to_owned()));
    };
    let Some((project, plane)) = meant(service, &delivery.projects, &hint, &issue).await? else {
        let project = hint.project.as_deref().unwrap_or("none");
        return Ok(Understood::Nothing(format!(
            "no project here is bound to Plane's project {project}"
        )));
    };
    match look(service, project, plane, &issue, &hint).await {
        Ok(understood) => Ok(understood),
        Err(LookError::Store(error)) => Err(error),
        Err(LookError::Behind) if delivery.attempts >= BEHIND => Ok(Understood::Nothing("what it tells is not there any more".to_owned())),
        Err(LookError::Plane(PlaneError::Limited { after })) => Ok(Understood::Held(USED_UP.to_owned(), pause(after))),
        Err(LookError::Tracker(TrackerError::Limited(after))) => Ok(Understood::Held(USED_UP.to_owned(), after)),
        Err(other) => Ok(Understood::Later(other.to_string())),
    }
}

async fn look(service: &Arc<Service>, project: &Project, plane: &PlaneTracker, issue: &str, hint: &Hint) -> Result<Understood, LookError> {
    // Others may wait for the same issue: what is read for one of them after this serves this one as well.
    let haste = if tells_stop(project, plane, hint) {
        Haste::STOP
    } else {
        Haste::PERSON
    };
    let plane = plane.at(haste).since(plane.news_of(issue));
    if let Some(actor) = &hint.actor
        && plane.own().await?.contains(&actor.id)
    {
        return Ok(Understood::Nothing("our own writing".to_owned()));
    }
    // Not while the issue is ours alone: a STOP of it must not wait for that.
    plane.room(1, haste.patience).await?;
    let turn = turn(service, project, issue).await?;
    let found = sync::with_hint(service, project, &plane, issue, hint).await?;
    drop(turn);
    Ok(match found {
        Some(what) => Understood::Done(what),
        None => Understood::Nothing("the board holds nothing new".to_owned()),
    })
}

/// Whether it is said to tell of a STOP. It is believed no more than anything else that is told, only looked at sooner.
fn tells_stop(project: &Project, plane: &PlaneTracker, hint: &Hint) -> bool {
    let What::State(Some(to)) = &hint.what else { return false };
    let name = plane.known_state(to).unwrap_or_else(|| to.clone());
    project.rules().signals.status.get(&name).is_some_and(|signal| signal == "stop")
}

/// The project that a delivery is about: one of those whose secret it was signed with.
async fn meant<'a>(
    service: &'a Service,
    signed: &[Name],
    hint: &Hint,
    issue: &str,
) -> Result<Option<(&'a Project, &'a PlaneTracker)>, StoreError> {
    for name in signed {
        let Some((project, plane)) = on(service, name) else { continue };
        let same = match &hint.project {
            Some(id) => plane.project().eq_ignore_ascii_case(id),
            // A deletion names nothing but the issue.
            None => service.store.live_task_by_issue(name, issue).await?.is_some(),
        };
        if same {
            return Ok(Some((project, plane)));
        }
    }
    Ok(None)
}
