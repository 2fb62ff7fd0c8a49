//! Stops while the database cannot be written: the agents are ended all the same, as that needs no disk, and an agent that
//! fills it ends in no other way. What follows a stop waits until it can be recorded.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::engine::model::{Blocker, Code, Event, Kill, Seq, TaskId, Who};
use crate::shell::process::Alive;
use crate::shell::service::Service;
use crate::shell::store::{NewEvent, RunState, StoreError, Target};
use crate::shell::{launch, run};

/// Stops that could not be recorded, by task: the first of each, kept until it can be or this process ends.
#[derive(Default)]
pub struct Stopping(Mutex<BTreeMap<TaskId, NewEvent>>);

impl Stopping {
    fn kept(&self) -> MutexGuard<'_, BTreeMap<TaskId, NewEvent>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps a stop that could not be recorded.
    pub fn keep(&self, task: TaskId, stop: NewEvent) {
        self.kept().entry(task).or_insert(stop);
    }

    /// It is on record after all.
    pub fn recorded(&self, task: TaskId) {
        self.kept().remove(&task);
    }

    /// Whether none is kept.
    pub fn is_empty(&self) -> bool {
        self.kept().is_empty()
    }
}

/// Records the stops that could not be, if they can be by now.
pub async fn record(service: &Service) {
    let kept = service.stopping.kept().clone();
    for (task, stop) in kept {
        match service.store.record(stop).await {
            // Nobody will be able to who could not.
            Err(StoreError::Degraded { .. } | StoreError::Closed) => return,
            Err(error) => tracing::error!(%error, task = %task, "a stop that waited for the database could not be recorded"),
            Ok(_) => tracing::info!(task = %task, "a stop that waited for the database is recorded"),
        }
        service.stopping.recorded(task);
    }
}

/// Ends the runs of tasks whose stop cannot be applied because nothing can be recorded.
///
/// # Errors
/// When the store cannot be read.
pub async fn carry_out(service: &Service) -> Result<(), StoreError> {
    let mut open = service.store.open_runs().await?;
    open.retain(|run| run.state != RunState::Exited);
    for (task, target, stop) in asked(service).await? {
        // As ever, what may not be cut off now is not.
        if !open.iter().any(|run| run.task == task) || !run::ends_runs(service, &target, &stop).await? {
            continue;
        }
        for run in &open {
            let Some(process) = run.process().filter(|_| run.task == task) else {
                continue;
            };
            if service.supervisor.ordered(&service.run_dir(run.id)) {
                continue;
            }
            let alive = Alive {
                pid: process.pid,
                start: process.start,
                boot_id: process.boot_id,
            };
            launch::stop(service, run, &alive, Kill::Stop).await;
        }
    }
    Ok(())
}

/// Stops that were not applied yet, of tasks: those on record, and those that could not be recorded.
async fn asked(service: &Service) -> Result<Vec<(TaskId, Target, Event)>, StoreError> {
    let mut found = BTreeMap::new();
    for pending in service.store.pending().await?.into_iter().filter(|pending| pending.stop) {
        if let Some(task) = pending.target.task
            && let Some(event) = service.store.next_event(&pending.target, true).await?
        {
            found.insert(task, (pending.target, event));
        }
    }
    for (task, stop) in service.stopping.kept().clone() {
        let event = Event {
            seq: Seq::default(),
            at: stop.at,
            cause: stop.cause,
            actor: stop.actor,
            body: stop.body,
        };
        found.entry(task).or_insert((stop.target, event));
    }
    Ok(found.into_iter().map(|(task, (target, event))| (task, target, event)).collect())
}

/// With the stops that wait for the database before everything else.
///
/// # Errors
/// When the store cannot be read.
pub async fn shown(service: &Service, mut found: BTreeMap<TaskId, Vec<Blocker>>) -> Result<BTreeMap<TaskId, Vec<Blocker>>, StoreError> {
    if service.trouble().is_none() {
        return Ok(found);
    }
    for (task, _, stop) in asked(service).await? {
        let Some(list) = found.get_mut(&task) else { continue };
        let first = Blocker {
            code: Code::Stopping,
            text: format!(
                "{} asked for a stop: its agents are ended now, and the clean-up follows once the database can be written",
                stop.actor.label()
            ),
            since: stop.at,
            who: Who::Operator,
            clear: None,
        };
        list.insert(0, first);
    }
    Ok(found)
}
