//! Playing the demo: a scripted person files a task and decides; the steps are told as they happen.

use std::sync::Arc;
use std::time::Duration;

use crate::engine::model::{Actor, Code, Millis, Phase, Role, Task, Via};
use crate::shell::clock;
use crate::shell::service::Service;
use crate::shell::store::StepRow;

use super::timeline;

const PROJECT: &str = "demo";
const TITLE: &str = "Greet people by name";
const TEXT: &str =
    "The greeting should contain the name of whoever is greeted.\n\nAcceptance: a feature file with the new greeting, tests green.";

/// The scripted person.
fn person() -> Actor {
    Actor::Person {
        name: "demo".to_owned(),
        via: Via::Cli,
        roles: vec![Role::Viewer, Role::Operator, Role::Approver],
    }
}

/// The default branch before anything was done.
pub async fn base(service: &Arc<Service>) -> Result<String, String> {
    let project = service.projects.get(PROJECT).ok_or("the demo's project is gone")?;
    project.vault.fetch().await.map_err(|e| e.to_string())?;
    project.vault.base().await.map_err(|e| e.to_string())
}

/// Files the demo's task.
pub async fn begin(service: &Arc<Service>) -> Result<String, String> {
    let made = service
        .issue_new(PROJECT, TITLE, TEXT, &[], true, person())
        .await
        .map_err(|e| e.to_string())?;
    Ok(made.item)
}

/// Follows the task to its end and decides where a person is awaited.
pub async fn to_the_end(service: &Arc<Service>, item: &str) -> Result<(), String> {
    let mut follower = Follower::new();
    let mut commits = service.store.commits();
    loop {
        commits.borrow_and_update();
        follower.tell(service).await?;
        if let Some(task) = service.store.task_by_item(item).await.map_err(|e| e.to_string())? {
            if task.terminal() {
                return ended(&task);
            }
            decide(service, &task).await?;
        }
        if tokio::time::timeout(Duration::from_secs(5), commits.changed())
            .await
            .is_ok_and(|r| r.is_err())
        {
            return Err("the database was closed".to_owned());
        }
    }
}

fn ended(task: &Task) -> Result<(), String> {
    if task.control.phase == Phase::Done {
        Ok(())
    } else {
        Err(format!("{} ended at {}, not done", task.item, task.control.stage))
    }
}

/// Says what a person would say: yes, where someone is asked; no other way out of a dead end is taken.
async fn decide(service: &Arc<Service>, task: &Task) -> Result<(), String> {
    let all = service.blockers(std::slice::from_ref(task)).await.map_err(|e| e.to_string())?;
    let blockers = all.get(&task.id).map_or(&[][..], Vec::as_slice);
    if let Some(first) = blockers.first() {
        timeline::progress(&first.text);
    }
    if let Some(parked) = blockers
        .iter()
        .find(|b| matches!(b.code, Code::Escalated | Code::NeedsInput | Code::ChecksFailed))
    {
        return Err(format!("{} needs a person at {}: {}", task.item, task.control.stage, parked.text));
    }
    if blockers.iter().any(|b| b.code == Code::ApprovalWait) {
        // Refused means that the task moved on meanwhile: the next look sees it.
        if let Err(refusal) = service.signal(&task.item, "approve", None, person()).await {
            tracing::debug!("not approved: {refusal}");
        }
    }
    Ok(())
}

/// Tells the steps of every task until the caller stops listening.
pub async fn watch(service: &Arc<Service>) -> Result<(), String> {
    let mut follower = Follower::new();
    let mut commits = service.store.commits();
    loop {
        commits.borrow_and_update();
        follower.tell(service).await?;
        if commits.changed().await.is_err() {
            return Ok(());
        }
    }
}

/// Why the demo did not get through in time.
pub async fn stuck(service: &Arc<Service>, item: &str, limit: u64) -> String {
    let task = service.store.task_by_item(item).await.ok().flatten();
    let Some(task) = task else {
        return format!("the task did not begin within {limit} s");
    };
    let all = service.blockers(std::slice::from_ref(&task)).await.unwrap_or_default();
    let why: Vec<String> = all
        .get(&task.id)
        .into_iter()
        .flatten()
        .map(|b| format!("{} {}", b.code.as_str(), b.text))
        .collect();
    let why = if why.is_empty() {
        "its agent is at work".to_owned()
    } else {
        why.join("; ")
    };
    format!("{item} stands at {} after {limit} s: {why}", task.control.stage)
}

/// Stops every task that is not over and waits until nothing runs; returns how many runs are left.
pub async fn end_all(service: &Arc<Service>) -> usize {
    for task in service.store.tasks(false).await.unwrap_or_default() {
        if let Err(refusal) = service.signal(&task.item, "stop", None, person()).await {
            tracing::warn!("{}: {refusal}", task.item);
        }
    }
    let mut commits = service.store.commits();
    let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
    loop {
        commits.borrow_and_update();
        let tasks = service.store.tasks(false).await.unwrap_or_default();
        let open = service.store.open_runs().await.unwrap_or_default();
        let effects = service.store.outbox_open().await.unwrap_or_default();
        let late = tokio::time::Instant::now() > deadline;
        if (tasks.is_empty() && open.is_empty() && effects.is_empty()) || late {
            return open.len();
        }
        // Woken by the next commit; the time-out only makes the deadline hold.
        if tokio::time::timeout(Duration::from_secs(1), commits.changed())
            .await
            .is_ok_and(|r| r.is_err())
        {
            return open.len();
        }
    }
}

/// Tells each step once.
struct Follower {
    place: i64,
    began: Millis,
}

impl Follower {
    fn new() -> Self {
        Self {
            place: 0,
            began: clock::now(),
        }
    }

    async fn tell(&mut self, service: &Service) -> Result<(), String> {
        loop {
            let rows: Vec<StepRow> = service.store.history_since(self.place, 100).await.map_err(|e| e.to_string())?;
            if rows.is_empty() {
                return Ok(());
            }
            for row in rows {
                self.place = row.place;
                timeline::step(&row, self.began);
            }
        }
    }
}
