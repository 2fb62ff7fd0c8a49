//! What people did on a board while the service was down, or could write nothing down. Plane repeats what nobody took for
//! less than an hour, then it switches the webhook off: the board itself is read.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::join_all;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::engine::model::{Millis, Name};
use crate::shell::clock;
use crate::shell::service::{Project, Service};
use crate::shell::tracker::Tracker;
use crate::shell::tracker::plane::{Haste, Item, PlaneError, PlaneTracker, standing, time};

use super::LookError;
use super::sync::sync;

/// Changes from so long before the last delivery are looked at again, in milliseconds: deliveries come in no order, and
/// the time of a change is written a moment after it.
const MARGIN: i64 = 15 * 60_000;
/// First pause before a board that does not answer is read again; it doubles.
const PAUSE: Duration = Duration::from_secs(1);
/// Longest pause.
const PAUSE_MAX: Duration = Duration::from_mins(5);

/// Reads every board at the start, and again whenever the database has been out of order: deliveries were refused then.
/// A board that has never told anything is left alone: what lies there from before is nobody's request to this service.
pub async fn run(service: Arc<Service>, stop: CancellationToken) {
    let mut trouble = service.store.trouble();
    let mut since = None;
    loop {
        boards(&service, since, &stop).await;
        if !turns(&mut trouble, true, &stop).await {
            return;
        }
        since = Some(clock::now());
        if !turns(&mut trouble, false, &stop).await {
            return;
        }
    }
}

/// Waits until there is trouble with the database, or none any more; false when the service ends.
async fn turns(trouble: &mut watch::Receiver<Option<String>>, wanted: bool, stop: &CancellationToken) -> bool {
    tokio::select! {
        () = stop.cancelled() => false,
        turned = trouble.wait_for(|why| why.is_some() == wanted) => turned.is_ok(),
    }
}

/// Reads every board once, however long that takes: what was changed since then, or since it was last heard of before the start.
async fn boards(service: &Arc<Service>, since: Option<Millis>, stop: &CancellationToken) {
    // Each board may be on a server of its own: one that does not answer holds up no other.
    join_all(service.boards.keys().map(|name| async move {
        if let Some(since) = told_until(service, name, since).await {
            board(service, name, Millis(since.0.saturating_sub(MARGIN)), stop).await;
        }
    }))
    .await;
}

/// From when on something may have been missed; nothing of a board that has never told anything.
async fn told_until(service: &Service, name: &Name, since: Option<Millis>) -> Option<Millis> {
    let Some(since) = since else {
        // As it was at the start: what has come since tells nothing of the time before.
        return service.boards.get(name)?.heard;
    };
    match service.store.board(name).await {
        Ok(known) => known?.heard.map(|_| since),
        Err(error) => {
            tracing::error!(project = %name, %error, "it cannot be told whether the board was ever heard of: what was missed is not looked for");
            None
        }
    }
}

/// Reads one board, however often that has to be tried; until it is read, whoever asks is told why not.
async fn board(service: &Arc<Service>, name: &Name, since: Millis, stop: &CancellationToken) {
    let mut pause = PAUSE;
    while let Err(error) = one(service, name, since, stop).await {
        tracing::warn!(project = %name, "what was missed on the board cannot be read yet: {error}");
        service.missed.note(name, clock::now(), error.to_string());
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(pause) => pause = pause.saturating_mul(2).min(PAUSE_MAX),
        }
    }
    service.missed.read(name);
}

/// Boards on which something may have been missed that cannot be read yet: since when, and why, by project.
#[derive(Default)]
pub struct Missed(Mutex<BTreeMap<Name, (Millis, String)>>);

impl Missed {
    fn note(&self, project: &Name, now: Millis, why: String) {
        let mut boards = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        boards.entry(project.clone()).or_insert((now, String::new())).1 = why;
    }

    fn read(&self, project: &Name) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(project);
    }

    /// That of one project.
    #[must_use]
    pub fn of(&self, project: &Name) -> Option<(Millis, String)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(project).cloned()
    }

    /// All of them.
    #[must_use]
    pub fn all(&self) -> BTreeMap<Name, (Millis, String)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

async fn one(service: &Arc<Service>, name: &Name, since: Millis, stop: &CancellationToken) -> Result<(), LookError> {
    let Some(project) = service.projects.get(name) else { return Ok(()) };
    let Tracker::Plane(plane) = &project.tracker else { return Ok(()) };
    for issue in changed(&plane.at(Haste::LISTING), since).await? {
        if let Some(what) = news(service, project, &issue, stop).await? {
            tracing::info!(project = %name, issue = issue.id, "missed meanwhile: {what}");
        }
    }
    Ok(())
}

/// Issues that were changed since, by our clock.
async fn changed(plane: &PlaneTracker, since: Millis) -> Result<Vec<Item>, LookError> {
    let mut found: Vec<Item> = Vec::new();
    let take = |item: Item| {
        let at = item.updated_at.as_deref().and_then(time);
        let new = at.is_none_or(|at| at.saturating_add(plane.skew()) >= since.0);
        // Items move from page to page while they are read.
        if new && found.iter().all(|known| known.id != item.id) {
            found.push(item);
        }
        new
    };
    plane.list(take).await?;
    Ok(found)
}

/// Looks at an issue where there may be something new: it stands elsewhere than it was known to, or it has a task, to
/// which something may have been said.
async fn news(service: &Arc<Service>, project: &Project, item: &Item, stop: &CancellationToken) -> Result<Option<String>, LookError> {
    let store = &service.store;
    let known = store.projection(&project.name, &item.id).await?.stands;
    let moved = standing(item).is_some_and(|now| known.as_deref() != Some(now.status.as_str()));
    if !moved && store.live_task_by_issue(&project.name, &item.id).await?.is_none() {
        return Ok(None);
    }
    loop {
        match sync(service, project, &item.id).await {
            // Others go first: the same issue later, and not the whole board again.
            Err(LookError::Plane(PlaneError::Limited { after })) => tokio::select! {
                () = stop.cancelled() => return Ok(None),
                () = tokio::time::sleep(after) => {}
            },
            done => return done,
        }
    }
}
