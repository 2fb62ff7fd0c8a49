//! Looking for what nobody told us about: a person's commit on a task's branch takes an escalated task up again, and voids
//! what was approved before it; checks and reviews of the time when the service was down.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::engine::model::{Actor, At, Body, Event, FactKey, Millis, Mode, Name, Seq, Task};
use crate::engine::step;
use crate::shell::clock;
use crate::shell::service::Service;
use crate::shell::store::{NewEvent, StoreError, Target};

/// One look at the branches of all tasks that wait; one fetch per project that has any.
///
/// # Errors
/// The database; a forge that does not answer is only logged.
pub async fn branches(service: &Arc<Service>) -> Result<(), StoreError> {
    let tasks: Vec<Task> = service.store.tasks(false).await?.into_iter().filter(waits).collect();
    let projects: BTreeSet<Name> = tasks.iter().map(|t| t.project.clone()).collect();
    for name in projects {
        let Some(project) = service.projects.get(&name) else { continue };
        if let Err(error) = project.vault.fetch().await {
            tracing::warn!(project = %name, %error, "its branches could not be looked at");
            continue;
        }
        for task in tasks.iter().filter(|t| t.project == name) {
            match project.vault.branch(&task.branch).await {
                Ok(Some(sha)) if task.ledger.head.as_ref().is_some_and(|h| h.sha != sha) => moved(service, task, &sha).await?,
                Ok(None) => gone(service, task).await?,
                Ok(_) => {}
                Err(error) => tracing::warn!(task = %task.item, %error, "its branch could not be looked at"),
            }
        }
    }
    Ok(())
}

/// One look at all tasks that wait for what a forge outside tells, when the service starts: what it told meanwhile, it told
/// nobody, and it will not say it again.
///
/// # Errors
/// The database.
pub async fn verdicts(service: &Arc<Service>) -> Result<(), StoreError> {
    let now = clock::now();
    for task in service.store.tasks(false).await? {
        let outside = service.project_of(&task).is_some_and(|project| project.forge.gitea().is_some());
        if !outside || task.control.mode != Mode::Active || task.control.at != At::Gates {
            continue;
        }
        let Some(rules) = service.rules_of(&task).await else { continue };
        let keys = step::needs(&rules, &task, &look(now));
        if keys.iter().any(|key| matches!(key, FactKey::Checks | FactKey::Reviews)) {
            let dedupe = format!("start {} {}", now.0, task.id);
            poke(service, &task, "the service has started", dedupe).await?;
        }
    }
    Ok(())
}

/// An event that only asks what there is to be looked at.
pub fn look(at: Millis) -> Event {
    Event {
        seq: Seq(0),
        at,
        cause: None,
        actor: Actor::Service,
        body: Body::Poked { by: Name::new("look") },
    }
}

/// Whether a push can change anything for the task: no agent of its own is at work.
fn waits(task: &Task) -> bool {
    task.ledger.head.is_some() && (task.control.mode == Mode::Escalated || task.control.at == At::Gates)
}

async fn moved(service: &Service, task: &Task, sha: &str) -> Result<(), StoreError> {
    // One push is one look, however often it is found.
    poke(service, task, "its branch moved", format!("push {} {sha}", task.id)).await
}

/// Said once for each head: every look at the gates finds it out again.
async fn gone(service: &Service, task: &Task) -> Result<(), StoreError> {
    let at = task.ledger.head.as_ref().map_or("", |h| h.sha.as_str());
    poke(service, task, "its branch is gone", format!("gone {} {at}", task.id)).await
}

async fn poke(service: &Service, task: &Task, by: &str, dedupe: String) -> Result<(), StoreError> {
    let target = Target {
        project: task.project.clone(),
        repo: task.repo,
        task: Some(task.id),
        issue: Some(task.issue.clone()),
    };
    let event = NewEvent {
        target,
        at: clock::now(),
        cause: None,
        actor: Actor::Service,
        body: Body::Poked {
            by: Name::from(by.to_owned()),
        },
        dedupe: Some(dedupe),
    };
    service.store.record(event).await?;
    Ok(())
}
