//! The loop: pending events through `step`, waiting jobs through `schedule`, due effects through
//! `perform`. The only caller of `step` and `schedule`.
//!
//! Woken by commits, by the earliest due moment, and by a slow safety poll; nothing here polls
//! for work.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::engine::model::{Body, Decision, Event, Fact, FactKey, Facts, Kill, Name, Phase, Repo, StopState, Task};
use crate::engine::rules::Ruleset;
use crate::engine::step;
use crate::shell::service::{Project, Service};
use crate::shell::store::{Pending, StepCommit, StoreError, Target, day, day_ends};
use crate::shell::wake::Next;
use crate::shell::{alarm, card, clock, crash, degraded, gather, perform, queue, rescue, stopping, sweep, timekeeping};

/// Longest sleep when nothing is due: a safety net, not a way of noticing things.
pub const SAFETY_POLL: Duration = Duration::from_secs(30);
/// How long a target rests whose event cannot be decided now (rules that cannot be used, a
/// project that is not configured, a tracker that does not answer).
const REST: Duration = Duration::from_secs(5);

/// Shortest time from one look to the next: under load one look serves many commits.
const PACE: Duration = Duration::from_millis(2);

/// Work that is under way in this process, by key.
#[derive(Default)]
pub struct Busy(Mutex<BTreeSet<String>>);

impl Busy {
    /// Takes `key`; `None` while someone has it. It is given back on drop.
    pub fn take(self: &Arc<Self>, key: String) -> Option<Held> {
        let mut held = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        held.insert(key.clone()).then(|| Held {
            busy: Arc::clone(self),
            key,
        })
    }
}

impl Busy {
    /// Whether someone has `key`.
    pub fn has(&self, key: &str) -> bool {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner).contains(key)
    }
}

/// A key that is taken.
pub struct Held {
    busy: Arc<Busy>,
    key: String,
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut held = self.busy.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        held.remove(&self.key);
    }
}

/// Runs until `stop` is cancelled.
pub async fn run(service: Arc<Service>, stop: CancellationToken) {
    // What people pushed while nobody looked.
    if let Err(error) = sweep::branches(&service).await {
        tracing::error!(%error, "pushes could not be looked for");
    }
    if let Err(error) = sweep::verdicts(&service).await {
        tracing::error!(%error, "what the forge told meanwhile could not be looked for");
    }
    let looks = tokio::sync::Mutex::new(Looks {
        begun: tokio::time::Instant::now(),
        reaped: tokio::time::Instant::now(),
        trouble: service.store.trouble(),
        told: None,
    });
    let look = async || looks.lock().await.next(&service).await;
    tokio::select! {
        () = service.bell().attend(&stop, look, tokio::time::sleep) => {}
        () = trouble_rings(&service) => {}
        () = files_are_watched(&service) => {}
    }
}

/// The loop hears of trouble with the database, of its end, and of what came of its check, as of a commit.
async fn trouble_rings(service: &Service) {
    let (mut trouble, mut integrity) = (service.store.trouble(), service.store.integrity());
    loop {
        tokio::select! {
            Ok(()) = trouble.changed() => {}
            Ok(()) = integrity.changed() => {}
            else => break,
        }
        service.wake();
    }
    std::future::pending::<()>().await;
}

/// A service without anything to commit notices as well that its database was moved away or replaced.
async fn files_are_watched(service: &Service) {
    let trouble = service.store.trouble();
    loop {
        tokio::time::sleep(degraded::PAUSE).await;
        // While something is wrong it is tried again anyway whether all is well.
        let known = trouble.borrow().is_some();
        if !known && let Err(error) = service.store.watch_files().await {
            tracing::debug!(%error, "the loop is told of it");
        }
    }
}

/// What one look leaves to the next.
struct Looks {
    /// When the last one began.
    begun: tokio::time::Instant,
    /// When it was last looked for what nobody tells of.
    reaped: tokio::time::Instant,
    trouble: watch::Receiver<Option<String>>,
    told: Option<StoreError>,
}

impl Looks {
    /// One look at everything; what nobody tells of is looked for as well when the last time was long ago.
    async fn next(&mut self, service: &Arc<Service>) -> Next {
        tokio::time::sleep_until(self.begun + PACE).await;
        self.begun = tokio::time::Instant::now();
        if let Err(error) = self.look(service).await {
            if self.told.as_ref() != Some(&error) {
                tracing::error!(%error, "the database does not serve: nothing is started until it does; agents go on, and it is tried again");
            }
            self.told = Some(error);
            return Next::NotBefore(degraded::PAUSE);
        }
        self.told = None;
        if self.reaped.elapsed() >= SAFETY_POLL {
            self.reaped = tokio::time::Instant::now();
            if let Err(error) = rescue::recover(service).await {
                tracing::error!(%error, "runs without a follower could not be looked for");
            }
            if let Err(error) = sweep::branches(service).await {
                tracing::error!(%error, "pushes could not be looked for");
            }
            if let Err(error) = alarm::look(service).await {
                tracing::error!(%error, "whether work stands still could not be looked at");
            }
        }
        Next::Within(nap(service).await)
    }

    /// One look at what may be due, unless the database is out of order: then only at orders to end a run.
    async fn look(&mut self, service: &Arc<Service>) -> Result<(), StoreError> {
        // Whoever holds the database holds up a recording for seconds, and the agents would be at work meanwhile.
        if !service.stopping.is_empty() {
            // Where even reading fails it is told of below.
            let _ = stopping::carry_out(service).await;
        }
        // Before anything else is taken up again: nobody is to begin for a task that was stopped meanwhile.
        stopping::record(service).await;
        if let Err(error) = degraded::mend(service, &mut self.trouble).await {
            service.degraded.looked(&Err(error.clone()));
            perform::kills(service).await?;
            stopping::carry_out(service).await?;
            return Err(error);
        }
        timekeeping::keep(service).await?;
        let result = round(service).await;
        service.degraded.looked(&result);
        result
    }
}

/// One look at everything that may be due.
async fn round(service: &Arc<Service>) -> Result<(), StoreError> {
    let now = clock::now();
    if service.store.next_due().await?.is_some_and(|due| due <= now) {
        service.store.promote(now).await?;
        service.store.fire_timers(now).await?;
    }
    for pending in service.store.pending().await? {
        spawn_target(service, pending);
    }
    queue::start_what_may(service).await?;
    perform::pump(service).await
}

async fn nap(service: &Service) -> Duration {
    let now = clock::now();
    let due = [
        service.store.next_due().await.ok().flatten(),
        service.store.breaker_due(now).await.ok().flatten(),
        service.commands.due(now),
        // A new day has a budget of its own.
        Some(day_ends(day(now))),
    ];
    let due = due.into_iter().flatten().min();
    let wait = due.map_or(SAFETY_POLL, |due| Duration::from_millis(due.since(clock::now()).0.unsigned_abs()));
    wait.clamp(Duration::from_millis(5), SAFETY_POLL)
}

/// Works off the events of one target, in order; a stop does not wait for its turn.
fn spawn_target(service: &Arc<Service>, pending: Pending) {
    let key = format!("target {}", target_key(&pending.target));
    let held = match service.busy.take(key.clone()) {
        Some(held) => held,
        None if pending.stop => match service.busy.take(format!("stop {key}")) {
            Some(held) => held,
            None => return,
        },
        None => return,
    };
    // Issues become tasks in the order in which they were started: who came first is first in line.
    let target = &pending.target;
    let birth = match (target.task, &target.issue) {
        (None, Some(_)) => match service.busy.take(format!("births of {}", target.project)) {
            Some(turn) => Some(turn),
            None => return,
        },
        _ => None,
    };
    let service = Arc::clone(service);
    tokio::spawn(async move {
        let rest = match work_off(&service, &pending.target, pending.stop).await {
            Ok(all) => !all,
            Err(error) => {
                tracing::error!(%error, target = target_key(&pending.target), "an event could not be decided");
                true
            }
        };
        drop(birth);
        if rest {
            // One that cannot be born yet holds up no other.
            service.wake();
            tokio::time::sleep(REST).await;
        }
        drop(held);
        service.wake();
    });
}

fn target_key(target: &Target) -> String {
    match (&target.task, &target.issue) {
        (Some(task), _) => format!("task {task}"),
        (None, Some(issue)) => format!("{} issue {issue}", target.project),
        (None, None) => format!("{} repository", target.project),
    }
}

/// True when nothing is left to decide.
async fn work_off(service: &Arc<Service>, target: &Target, stop: bool) -> Result<bool, StoreError> {
    let mut conflicts = 0;
    while let Some(event) = service.store.next_event(target, stop).await? {
        match decide(service, target, event).await {
            Ok(true) => conflicts = 0,
            Ok(false) => return Ok(false),
            Err(StoreError::Conflict) if conflicts < 50 => conflicts += 1,
            Err(error) => return Err(error),
        }
    }
    Ok(true)
}

/// What follows from an event, and from what.
struct Decided {
    task: Task,
    repo: Repo,
    facts: Facts,
    taken: step::Step,
}

/// Decides one event; nothing when it must wait for something outside.
async fn follows(service: &Service, target: &Target, event: &Event) -> Result<Option<Decided>, StoreError> {
    let Some(project) = service.projects.get(&target.project) else {
        tracing::error!(project = %target.project, seq = event.seq.0, "no such project is configured: its events wait");
        return Ok(None);
    };
    let task = find(service, target, project.repo, &project.rules().hash).await?;
    let Some(rules) = rules_for(service, &task, event).await else {
        tracing::error!(task = %task.item, rules = %task.rules, "the rules the task runs under cannot be used");
        return Ok(None);
    };
    let repo = service.store.repo_by_id(project.repo).await?;
    let keys = step::needs(&rules, &task, event);
    let facts = gather::gather(project, &service.config().people, &rules, &task, event, &keys).await;
    if task.control.phase == Phase::Unborn && matches!(facts.get(&FactKey::Issue), Some(Fact::Unreachable { .. })) {
        return Ok(None);
    }
    let taken = step::step(&rules, &task, &repo, event, &facts);
    Ok(Some(Decided { task, repo, facts, taken }))
}

/// Whether the runs of its task are ended by this event, as things stand.
///
/// # Errors
/// When the store cannot be read.
pub async fn ends_runs(service: &Service, target: &Target, event: &Event) -> Result<bool, StoreError> {
    let ends = |decision: &Decision| {
        matches!(
            decision,
            Decision::Withdraw {
                visit: None,
                why: Kill::Stop
            }
        )
    };
    let decided = follows(service, target, event).await?;
    Ok(decided.is_some_and(|decided| decided.taken.decisions.iter().any(ends)))
}

/// Decides one event and commits what follows; false when it must wait for something outside.
async fn decide(service: &Arc<Service>, target: &Target, event: Event) -> Result<bool, StoreError> {
    let now = clock::now();
    let Some(Decided { task, repo, facts, taken }) = follows(service, target, &event).await? else {
        return Ok(false);
    };
    let line = Line::of(&taken);
    let put_off = task.control.stop != StopState::Deferred && taken.task.control.stop == StopState::Deferred;
    let card = service.chat.room().is_some() && card::changes(&task, &taken.task);
    let commit = StepCommit {
        seq: event.seq,
        before: (task.version, repo.version),
        stage_before: task.control.stage.clone(),
        task: taken.task,
        repo: taken.repo.unwrap_or(repo),
        decisions: taken.decisions,
        because: taken.because,
        facts,
        follow: taken.follow,
        now,
        semantics: crate::engine::SEMANTICS,
        host: service.host.clone(),
        card,
    };
    service.store.commit_step(commit).await?;
    // Not before: a step that met another commit is decided again.
    line.log(&event);
    if put_off {
        // A merge that only waits for its next try is not to keep the stop waiting.
        service.store.effects_now(task.id, now).await?;
    }
    crash::after_event();
    Ok(true)
}

/// Branches on the forge: a task that follows one that was stopped takes none that is left of it.
/// While the forge cannot be reached those count that were there when it last could.
async fn taken(project: &Project) -> Vec<String> {
    if let Err(error) = project.vault.fetch().await {
        tracing::warn!(%error, project = %project.name, "branches on the forge could not be looked for");
    }
    match project.vault.branches().await {
        Ok(names) => names,
        Err(error) => {
            tracing::warn!(%error, project = %project.name, "branches could not be listed");
            Vec::new()
        }
    }
}

/// The rules the event is decided under: the task's own, unless it is to follow others.
async fn rules_for(service: &Service, task: &Task, event: &Event) -> Option<Arc<Ruleset>> {
    if let Body::RulesChanged { to, .. } = &event.body
        && let Some(rules) = service.rules_at(to).await
    {
        return Some(rules);
    }
    service.rules_of(task).await
}

/// The task the event is about; an issue without one is a task that is not born yet.
async fn find(service: &Service, target: &Target, repo: crate::engine::model::RepoId, rules: &str) -> Result<Task, StoreError> {
    let found = match (&target.task, &target.issue) {
        (Some(id), _) => service.store.task(*id).await?,
        (None, Some(issue)) => service.store.live_task_by_issue(&target.project, issue).await?,
        (None, None) => None,
    };
    if let Some(task) = found {
        return Ok(task);
    }
    let mut unborn = Task::unborn(target.project.clone(), repo, target.issue.as_deref().unwrap_or_default(), rules);
    if let Some(issue) = &target.issue {
        unborn.ledger.stopped_before = service.store.last_stop(&target.project, issue).await?;
        if unborn.ledger.stopped_before.is_some()
            && let Some(project) = service.projects.get(&target.project)
        {
            unborn.ledger.taken = taken(project).await;
        }
    }
    let prefix = service.projects.get(&target.project).map(Project::prefix).unwrap_or_default();
    unborn.item = format!("{prefix}-{:03}", service.store.next_item_number(&target.project).await?);
    Ok(unborn)
}

/// What the log says of a step.
struct Line {
    item: String,
    stage: Name,
    why: String,
}

impl Line {
    fn of(taken: &step::Step) -> Self {
        Self {
            item: match taken.task.control.phase {
                // Its number is the next that is free, and may be another's in a moment.
                Phase::Unborn => format!("issue {}", taken.task.issue),
                _ => taken.task.item.clone(),
            },
            stage: taken.task.control.stage.clone(),
            why: taken.because.iter().map(|b| b.0.as_str()).collect::<Vec<_>>().join("; "),
        }
    }

    fn log(&self, event: &Event) {
        tracing::info!(task = %self.item, stage = %self.stage, event = event.body.kind(), seq = event.seq.0, "{}", self.why);
    }
}

#[cfg(test)]
mod tests;
