//! Signals and retries from the command line and the API.

use std::time::Duration;

use uuid::Uuid;

use crate::engine::model::{Actor, At, Body, Name, Phase, Role, Seq, Signal, StopState, Task, TaskId, Who};
use crate::engine::rules::Ruleset;
use crate::engine::step::irreversible;
use crate::shell::service::Service;
use crate::shell::stopping;
use crate::shell::store::{NewEvent, StoreError};

use super::possible::{Possible, possible};
use super::{Done, DoorError, Found, check_text, require};

/// How long a stop waits to be recorded before its agents are ended all the same.
const PATIENCE: Duration = Duration::from_millis(500);

/// Why an older task of an issue cannot be started: another has taken its place.
pub(crate) fn replaced(label: &str, living: &str) -> DoorError {
    DoorError::not_now(
        format!("{label} is over, and {living} has taken its place: there is nothing to start"),
        format!("signalbox show {living}"),
    )
}

impl Service {
    /// A person signals: `approve` (whatever the stage waits for), `reject`, `answer`, `stop`,
    /// `start`, or any other signal of the rules by name.
    ///
    /// # Errors
    /// [`DoorError`]; nothing was recorded then.
    pub async fn signal(&self, target: &str, name: &str, text: Option<&str>, actor: Actor) -> Result<Done, DoorError> {
        let actor = &actor;
        if let Some(text) = text {
            check_text(text, "the text", matches!(name, "reject" | "answer"))?;
        } else if matches!(name, "reject" | "answer") {
            return Err(DoorError::bad(format!("{name} needs a text")));
        }
        let found = self.find(target).await?;
        let Some(task) = &found.task else {
            return self.without_task(&found, name, text, actor).await;
        };
        let rules = self.rules_of(task).await;
        if name == "start"
            && let Some(living) = self.living(task).await?
        {
            return Err(replaced(&found.label, &living));
        }
        match self.able(rules.as_deref(), task, &found.label, name, actor).await? {
            Possible::Already(words) => Ok(done(&found, words, None)),
            // Nothing tells a retry from a signal of that name but the event it becomes.
            Possible::Retry(words) => self.retried(&found, task, text, actor, words).await,
            Possible::Signal(signal, words) => {
                let body = Body::Signalled(self.signed(&signal, text));
                let window = rules
                    .as_deref()
                    .filter(|_| name == "stop")
                    .and_then(|rules| irreversible(rules, task));
                let times = window.map(|(_, limit)| {
                    let (since, until) = (self.now(), self.now().plus(limit));
                    format!(": since {}, until {}", since.utc(), until.utc())
                });
                let words = format!("{words}{} ({})", times.unwrap_or_default(), actor.label());
                self.decided(&found, task, &signal, body, actor, words).await
            }
        }
    }

    /// An operator takes a task up again.
    ///
    /// # Errors
    /// [`DoorError`]; nothing was recorded then.
    pub async fn retry(&self, target: &str, note: Option<&str>, actor: Actor) -> Result<Done, DoorError> {
        let actor = &actor;
        check_text(note.unwrap_or_default(), "the note", false)?;
        let found = self.find(target).await?;
        let Some(task) = &found.task else {
            return Err(DoorError::NotNow {
                why: format!("{} is no task: nothing to retry", found.label),
                help: None,
            });
        };
        let rules = self.rules_of(task).await;
        match self.able(rules.as_deref(), task, &found.label, "retry", actor).await? {
            Possible::Retry(words) => self.retried(&found, task, note, actor, words).await,
            Possible::Already(words) | Possible::Signal(_, words) => Err(DoorError::NotNow { why: words, help: None }),
        }
    }

    /// As [`possible`]; a retry that is refused because agents are to work says what those wait for, where none is at work.
    async fn able(&self, rules: Option<&Ruleset>, task: &Task, label: &str, act: &str, actor: &Actor) -> Result<Possible, DoorError> {
        match possible(rules, task, label, act, actor) {
            Err(refused @ DoorError::NotNow { .. }) if act == "retry" => Err(self.queued(task, label).await?.unwrap_or(refused)),
            able => able,
        }
    }

    /// Why a task is not retried whose agents all wait in the queue: what for, until when, and what brings it forward.
    async fn queued(&self, task: &Task, label: &str) -> Result<Option<DoorError>, DoorError> {
        let waits = task.control.at == At::Work && task.control.stop == StopState::No && task.busy();
        if !waits || !self.store.recent_runs(Some(task.id), true, None, 1).await?.is_empty() {
            return Ok(None);
        }
        let blockers = self
            .blockers(std::slice::from_ref(task))
            .await?
            .remove(&task.id)
            .unwrap_or_default();
        let Some(first) = blockers.into_iter().next() else {
            return Ok(None);
        };
        let help = first.clear.unwrap_or_else(|| match first.who {
            Who::Itself => format!("it goes on by itself then: signalbox why {label}"),
            _ => format!("signalbox why {label}"),
        });
        let why = format!("{label} waits at {}: {}; nothing to retry", task.control.stage, first.text);
        Ok(Some(DoorError::not_now(why, help)))
    }

    async fn retried(&self, found: &Found, task: &Task, note: Option<&str>, actor: &Actor, words: String) -> Result<Done, DoorError> {
        if task.control.stop == StopState::Cleaning {
            self.store.effects_now(task.id, self.now()).await?;
            self.wake();
            return Ok(done(found, words, None));
        }
        let note = note.map(str::trim).filter(|n| !n.is_empty()).map(str::to_owned);
        self.decided(found, task, &Name::new("retry"), Body::Retried { note }, actor, words)
            .await
    }

    /// The task that has taken the place of one that was stopped, as people call it.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn living(&self, task: &Task) -> Result<Option<String>, StoreError> {
        if task.control.phase != Phase::Cancelled {
            return Ok(None);
        }
        let living = self.store.live_task_by_issue(&task.project, &task.issue).await?;
        Ok(living.map(|task| task.item))
    }

    /// A signal about an issue that is no task: only a start means something.
    async fn without_task(&self, found: &Found, name: &str, text: Option<&str>, actor: &Actor) -> Result<Done, DoorError> {
        let label = &found.label;
        if name != "start" {
            return Err(DoorError::not_now(
                format!("{label} is an issue without a task: nothing to {name}"),
                format!("start it: signalbox task status {label} with the status that starts work"),
            ));
        }
        require(actor, &[Role::Operator, Role::Approver], "start a task")?;
        let body = Body::Signalled(self.signed(&Name::new("start"), text));
        let seq = self.store.record(self.event(found, body, actor, None)).await?;
        self.wake();
        Ok(done(found, "started".to_owned(), seq))
    }

    /// Records what answers the task as it stood when it was looked at: once per version of it.
    async fn decided(&self, found: &Found, task: &Task, act: &str, body: Body, actor: &Actor, words: String) -> Result<Done, DoorError> {
        // A quorum takes several people; everything else is settled by whoever comes first.
        let settled = matches!(act, "stop" | "retry" | "reject" | "answer" | "start");
        let by = if settled { String::new() } else { actor.label() };
        let key = format!("act {act} {by} #{} v{}", task.id, task.version);
        let event = self.event(found, body, actor, Some(key));
        let recorded = if act == "stop" {
            self.stopped(task.id, &event).await
        } else {
            self.store.record(event.clone()).await
        };
        if let Err(error @ StoreError::Degraded { .. }) = &recorded
            && act == "stop"
        {
            return Err(self.kept(found, task.id, event, error).await);
        }
        let mut seq = recorded?;
        if seq.is_none() {
            // The same act is there already. While it waits this one comes second; if it was
            // dropped undecided, this one takes its place.
            if self.store.next_event(&event.target, false).await?.is_some() {
                if act == "stop" {
                    return Ok(done(found, "already being stopped".to_owned(), None));
                }
                let why = format!("someone did the same to {} a moment ago; it is being decided", found.label);
                return Err(DoorError::not_now(why, format!("signalbox show {}", found.label)));
            }
            let now = self.store.task(task.id).await?;
            if now.is_none_or(|now| now.version != task.version) {
                let why = format!(
                    "{} has moved on since it was looked at: someone did the same a moment ago",
                    found.label
                );
                return Err(DoorError::not_now(why, format!("signalbox show {}", found.label)));
            }
            seq = self.store.record(NewEvent { dedupe: None, ..event }).await?;
        }
        self.wake();
        Ok(done(found, words, seq))
    }

    /// Records a stop. Where that takes its time, as another program holds the database, agents are ended meanwhile.
    async fn stopped(&self, task: TaskId, stop: &NewEvent) -> Result<Option<Seq>, StoreError> {
        let mut recording = std::pin::pin!(self.store.record(stop.clone()));
        if let Ok(recorded) = tokio::time::timeout(PATIENCE, &mut recording).await {
            return recorded;
        }
        self.stopping.keep(task, stop.clone());
        self.carried_out().await;
        let recorded = recording.await;
        if recorded.is_ok() {
            self.stopping.recorded(task);
        }
        recorded
    }

    async fn carried_out(&self) {
        if let Err(error) = stopping::carry_out(self).await {
            tracing::error!(%error, "which agents a stop ends could not be looked up; it is tried again");
        }
    }

    /// A stop does not wait for the disk: what needs none is done.
    async fn kept(&self, found: &Found, task: TaskId, stop: NewEvent, error: &StoreError) -> DoorError {
        self.stopping.keep(task, stop);
        self.carried_out().await;
        self.wake();
        let label = &found.label;
        DoorError::Kept {
            why: format!("the stop of {label} cannot be recorded: {error}"),
            help: format!(
                "the agents of {label} are ended all the same, and the stop is recorded by itself once that is mended; should the service \
                 be ended before, say it again"
            ),
        }
    }

    /// An event about what was found.
    pub(super) fn event(&self, found: &Found, body: Body, actor: &Actor, dedupe: Option<String>) -> NewEvent {
        let mut target = found.target();
        // A start on a task that is over meets the issue, not the task of old.
        if found.task.as_ref().is_some_and(|t| t.control.phase == Phase::Cancelled) {
            target.task = None;
        }
        NewEvent {
            target,
            at: self.now(),
            cause: None,
            actor: actor.clone(),
            body,
            dedupe,
        }
    }

    /// A signal with an activity of its own.
    fn signed(&self, name: &Name, text: Option<&str>) -> Signal {
        let text = text.map(str::trim).filter(|t| !t.is_empty()).map(str::to_owned);
        Signal {
            name: name.clone(),
            text,
            activity: format!("door {}", Uuid::now_v7()),
            acted_at: self.now(),
        }
    }
}

pub(super) fn done(found: &Found, message: String, seq: Option<Seq>) -> Done {
    Done {
        item: found.label.clone(),
        message,
        seq,
        number: found.issue.as_ref().map(|i| i.number),
    }
}
