//! Reading an issue again, and taking what people did to it since.

use std::sync::Arc;
use std::time::Duration;

use crate::engine::model::{Actor, Body, Millis, Mode, Name, Signal, Task};
use crate::engine::render::{self, Words};
use crate::engine::rules::{GateKind, Ruleset};
use crate::shell::clock;
use crate::shell::door::{known_signal, may_signal};
use crate::shell::run::Held;
use crate::shell::service::{Project, Service};
use crate::shell::store::{NewEvent, Target};
use crate::shell::tracker::plane::{Haste, Item, PlaneError, PlaneTracker, User, time};
use crate::shell::tracker::{Said, Tracker, TrackerError};

use super::LookError;
use super::hint::{Hint, What};
use super::who;

/// Longest wait for another look at the same issue.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long a look that nothing asks for waits until there is room for it.
const ROOM: Duration = Duration::from_secs(60);
/// Requests of one look: the issue, its history, its comments.
const REQUESTS: usize = 3;

/// One look at an issue of a board: what is read, and by which rules it is understood.
pub(super) struct Look<'a> {
    pub service: &'a Arc<Service>,
    pub project: &'a Project,
    pub plane: &'a PlaneTracker,
    pub issue: &'a str,
    /// Its task, unless that is cancelled.
    pub task: Option<Task>,
    pub rules: Arc<Ruleset>,
}

/// The only look at an issue until it is dropped: what is read must not be written over meanwhile.
///
/// # Errors
/// [`LookError::Busy`] when another look takes too long.
pub async fn turn(service: &Service, project: &Project, issue: &str) -> Result<Held, LookError> {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        if let Some(held) = service.busy.take(format!("board {} {issue}", project.name)) {
            return Ok(held);
        }
        if tokio::time::Instant::now() >= deadline {
            return Err(LookError::Busy);
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Looks at an issue without having been told of anything: what was missed becomes an event.
/// What was found, for the record; none when it is in step, or no issue of a Plane board.
///
/// # Errors
/// [`LookError`]; it can be tried again.
pub(super) async fn sync(service: &Arc<Service>, project: &Project, issue: &str) -> Result<Option<String>, LookError> {
    let Tracker::Plane(plane) = &project.tracker else { return Ok(None) };
    let plane = plane.at(Haste::SWEEP);
    // Not while the issue is ours alone: a person's word about it must not wait for that.
    plane.room(REQUESTS, ROOM).await?;
    let _turn = turn(service, project, issue).await?;
    // What one part of the look has read serves the others.
    let plane = plane.since(tokio::time::Instant::now());
    let look = Look::new(service, project, &plane, issue).await?;
    let Some(item) = look.item().await? else {
        return look.gone().await;
    };
    let moved = look.state(&item, None).await?;
    let heard = look.comments(None).await?;
    let labelled = look.orders(&item, false).await?;
    Ok(moved.or(heard).or(labelled))
}

/// Takes a person's change of the status that nobody told us of, as the issue stood at `since` or stands now. Whoever calls
/// has the [`turn`], and has had it since then.
///
/// # Errors
/// [`LookError`]; it can be tried again.
pub async fn take_board(
    service: &Arc<Service>,
    project: &Project,
    issue: &str,
    since: tokio::time::Instant,
) -> Result<Option<String>, LookError> {
    let Tracker::Plane(plane) = &project.tracker else { return Ok(None) };
    let plane = plane.at(Haste::OURS).since(since);
    let look = Look::new(service, project, &plane, issue).await?;
    match look.item().await? {
        Some(item) => look.state(&item, None).await,
        None => look.gone().await,
    }
}

/// Takes what people did to the status before we wrote `status` over it at `written`: nobody may ever tell us of it.
/// Whoever calls has the [`turn`].
///
/// # Errors
/// [`LookError`]; it can be tried again. [`LookError::Behind`] as long as the board's history does not show our writing.
pub async fn take_between(
    service: &Arc<Service>,
    project: &Project,
    issue: &str,
    status: &str,
    written: Millis,
) -> Result<Option<String>, LookError> {
    let Tracker::Plane(plane) = &project.tracker else { return Ok(None) };
    let plane = plane.at(Haste::OURS);
    Look::new(service, project, &plane, issue).await?.between(status, written).await
}

/// Looks at an issue because of a delivery.
pub(super) async fn with_hint(
    service: &Arc<Service>,
    project: &Project,
    plane: &PlaneTracker,
    issue: &str,
    hint: &Hint,
) -> Result<Option<String>, LookError> {
    let look = Look::new(service, project, plane, issue).await?;
    let Some(item) = look.item().await? else {
        return look.gone().await;
    };
    // A server that reads from a copy of its database may not know yet what it told.
    let read = item.updated_at.as_deref().and_then(time);
    if !matches!(hint.what, What::Comment(_)) && hint.at.is_some_and(|told| read.is_some_and(|read| read < told)) {
        return Err(LookError::Behind);
    }
    let moved = look.state(&item, Some(hint)).await?;
    // Of whatever it tells: words whose own delivery was lost are heard now.
    let told = match &hint.what {
        What::Comment(new) => new.as_deref(),
        _ => None,
    };
    let heard = look.comments(told).await?;
    let labelled = match &hint.what {
        What::Labels => look.labels(&item).await?,
        // A comment touches its issue, and no entry of the history tells of that.
        what => look.orders(&item, matches!(what, What::Comment(_))).await?,
    };
    Ok(moved.or(heard).or(labelled))
}

impl<'a> Look<'a> {
    async fn new(service: &'a Arc<Service>, project: &'a Project, plane: &'a PlaneTracker, issue: &'a str) -> Result<Self, LookError> {
        let task = service.store.live_task_by_issue(&project.name, issue).await?;
        let own = match &task {
            Some(task) => service.rules_of(task).await,
            None => None,
        };
        Ok(Self {
            service,
            project,
            plane,
            issue,
            task,
            rules: own.unwrap_or_else(|| project.rules()),
        })
    }

    /// The issue, read now, or so lately that it is as good; none when the board has none such any more.
    async fn item(&self) -> Result<Option<Item>, LookError> {
        match self.plane.item(self.issue).await {
            Ok(item) => Ok(Some(item)),
            Err(PlaneError::NotFound) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// The signal of a status, where it means anything to the issue as it is.
    pub(super) fn meant(&self, status: &str) -> Option<Name> {
        self.means(status).filter(|name| self.reaches(name)).cloned()
    }

    /// The signal of a status.
    pub(super) fn means(&self, status: &str) -> Option<&Name> {
        let name = self.rules.signals.status.get(status)?;
        known_signal(&self.rules, name).then_some(name)
    }

    /// Whether a signal can do anything: an issue without a task, or with one that is over, can only be started.
    pub(super) fn reaches(&self, name: &Name) -> bool {
        name == "start" || self.task.as_ref().is_some_and(|t| !t.terminal())
    }

    /// The event of a person's signal; none when the person may not send it, and nobody has to be told.
    pub(super) async fn event(
        &self,
        name: &Name,
        text: Option<String>,
        by: &User,
        at: i64,
        activity: String,
    ) -> Result<Option<NewEvent>, LookError> {
        let config = self.service.config();
        let actor = who::person(self.plane, &config.people, by).await?;
        if let Err(why) = may_signal(&self.rules, self.task.as_ref(), name, &actor) {
            // What a gate waits for is answered on the board: the engine tells them.
            if self.task.is_none() || !told_by_engine(&self.rules, name) {
                tracing::info!(project = %self.project.name, issue = self.issue, "a signal of the board counts for nothing: {why}");
                if self.asked_for(name) {
                    self.tell_refused(name, by, &actor).await?;
                }
                return Ok(None);
            }
        }
        let signal = Signal {
            name: name.clone(),
            text,
            activity: activity.clone(),
            acted_at: Millis(at.saturating_add(self.plane.skew())),
        };
        Ok(Some(self.about(Body::Signalled(signal), actor, Some(activity))))
    }

    /// Whether whoever sends it means something by it: any comment is an answer, and while no question is open most are none.
    fn asked_for(&self, name: &Name) -> bool {
        match name.as_str() {
            "start" | "stop" => true,
            "answer" => self.task.as_ref().is_some_and(|t| t.control.mode == Mode::Question),
            _ => false,
        }
    }

    /// Whoever may not start, stop or answer is told so, once for each of them.
    async fn tell_refused(&self, name: &Name, by: &User, actor: &Actor) -> Result<(), LookError> {
        let board = render::board(&self.rules);
        let words = Words {
            item: self.task.as_ref().map_or(self.project.name.as_str(), |t| &t.item),
            who: &actor.label(),
            detail: name,
            board: &board,
            vars: &self.rules.vars,
            ..Words::default()
        };
        let (key, at) = (
            format!("refused-{name}-{}-{}", self.issue, by.id),
            self.task.as_ref().map_or(Millis(0), |t| t.created_at),
        );
        // The board takes it once anyway; but each look would ask it, and what was refused is seen by several.
        let told = format!("{key} {}", at.0);
        if self.plane.has_told(&told) {
            return Ok(());
        }
        let said = Said {
            key: &key,
            at,
            text: &render::message(&self.rules, "comment.not_allowed", &words),
            agent: None,
        };
        match Tracker::Plane(self.plane.clone()).comment(self.issue, &said).await {
            Err(error @ (TrackerError::Limited(_) | TrackerError::Unreachable(_))) => Err(error.into()),
            Err(error) => {
                tracing::warn!(issue = self.issue, %error, "nobody can be told on the board that they may not");
                Ok(())
            }
            Ok(()) => {
                self.plane.note_told(told);
                Ok(())
            }
        }
    }

    fn about(&self, body: Body, actor: Actor, dedupe: Option<String>) -> NewEvent {
        NewEvent {
            target: Target {
                project: self.project.name.clone(),
                repo: self.project.repo,
                task: None,
                issue: Some(self.issue.to_owned()),
            },
            at: clock::now(),
            cause: None,
            actor,
            body,
            dedupe,
        }
    }

    /// The issue was deleted, archived or put back into intake. Its task goes on: what it has done is not undone by that.
    async fn gone(&self) -> Result<Option<String>, LookError> {
        let told = self
            .poke("its issue is gone from the board", Some(format!("plane {} gone", self.issue)))
            .await?;
        if let (Some(_), Some(task)) = (&told, &self.task) {
            tracing::warn!(
                task = %task.item,
                issue = self.issue,
                "the issue is gone from the board: the task goes on, but nobody can follow or answer it there; stop it with signalbox stop {}",
                task.item
            );
        }
        Ok(told)
    }

    /// The task looks again; with `dedupe` once for each of them.
    pub(super) async fn poke(&self, by: &str, dedupe: Option<String>) -> Result<Option<String>, LookError> {
        if self.task.as_ref().is_none_or(Task::terminal) {
            return Ok(None);
        }
        let body = Body::Poked { by: Name::new(by) };
        let recorded = self.service.store.record(self.about(body, Actor::Service, dedupe)).await?;
        Ok(recorded.map(|_| format!("looked again: {by}")))
    }
}

/// Whether the engine itself answers whoever may not send it.
fn told_by_engine(rules: &Ruleset, name: &Name) -> bool {
    let gate = |kind: &GateKind| matches!(kind, GateKind::Human { signal, .. } if signal == name);
    name == "reject" || rules.gates.values().any(|g| gate(&g.kind))
}
