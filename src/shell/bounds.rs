//! What bounds single tasks and jobs: budgets from the rules in force now, against what was spent.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::engine::budget::{Bounds, Spent};
use crate::engine::model::{Blocker, Code, Millis, Task, TaskId};
use crate::engine::progress::stuck;
use crate::engine::rules::Ruleset;
use crate::shell::service::Service;
use crate::shell::store::{JobRow, QueueView, StoreError, day_ends};

/// The bounds of what waits. Budgets are the project's of today, not those that a task began with:
/// money is the operator's, and raising a budget must reach the tasks that wait for it.
pub fn of(service: &Service, view: &QueueView, rules: impl Fn(&Task) -> Option<Arc<Ruleset>>) -> Bounds {
    let mut bounds = Bounds::default();
    for task in &view.tasks {
        let Some(spent) = view.spent.get(&task.id) else { continue };
        let Some(project) = service.project_of(task) else { continue };
        let today = view.spent_today.get(&task.project).copied().unwrap_or_default();
        let spent = spent.of_budget(project.rules().budget, today, day_ends(view.day));
        bounds.spent.insert(task.id, spent);
    }
    for job in &view.waiting {
        let Some(past) = view.past.get(&job.id) else { continue };
        let Some(rules) = view.task(job.task).and_then(&rules) else {
            continue;
        };
        let writer = rules.agents.get(&job.slot).is_some_and(|a| !a.writes.is_empty());
        if let Some(found) = rules.no_progress.and_then(|limit| stuck(limit, &job.slot, writer, past)) {
            bounds.stuck.insert(job.id, found);
        }
    }
    bounds
}

/// A job that is held back by what only an operator can clear: what operators are told, under which key.
pub fn notice(bounds: &Bounds, task: &Task, job: &JobRow, blockers: &[Blocker], day: i64) -> Option<(String, String)> {
    let blocker = blockers.iter().find(|b| matches!(b.code, Code::Budget | Code::NoProgress))?;
    let key = match blocker.code {
        Code::NoProgress => format!("no-progress-{}", job.id),
        // Of a day's money once a day and project, however many tasks wait.
        _ if bounds.spent.get(&task.id).is_some_and(Spent::within_its_own) => format!("budget-{}-{day}", task.project),
        _ => format!("budget-{}", task.id),
    };
    let go_on = blocker
        .clear
        .as_ref()
        .map(|clear| format!(". To go on: {clear}"))
        .unwrap_or_default();
    Some((key, format!("{}: {} is not run: {}{go_on}", task.item, job.slot, blocker.text)))
}

/// Tells operators once of each job that is held back so; `held` by key.
///
/// # Errors
/// As all of the store.
pub async fn tell(service: &Service, view: &QueueView, held: &BTreeMap<String, (TaskId, String)>, now: Millis) -> Result<(), StoreError> {
    // A write is a commit, and a commit wakes whoever looks: nothing is written that is known.
    for (key, (task, text)) in held {
        if !view.notices.iter().any(|n| n.key == *key) {
            service.store.raise(key, *task, text, now).await?;
        }
    }
    let ours = |key: &str| key.starts_with("budget-") || key.starts_with("no-progress-");
    for notice in view.notices.iter().filter(|n| ours(&n.key) && !held.contains_key(&n.key)) {
        service.store.lower(&notice.key, None, now).await?;
    }
    Ok(())
}
