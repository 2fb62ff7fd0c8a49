//! The scheduler's hands: asks `schedule`, claims what may start, launches it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures_util::future::join_all;

use crate::engine::breaker::Command;
use crate::engine::budget::Bounds;
use crate::engine::model::{At, Blocker, Code, Dependency, JobId, Name, Repo, RepoId, Source, StopState, Task, TaskId, Who, lasting};
use crate::engine::rules::{LaneScope, Ruleset};
use crate::engine::schedule::{OpenRun, Queue, WaitingJob, schedule, waits};
use crate::shell::commands::{self, Known};
use crate::shell::service::Service;
use crate::shell::store::{Among, Claim, Effect, Guard, JobRow, OutboxRow, QueueView, RunState, StoreError};
use crate::shell::{bounds, by_hand, clock, launch, unsettled};

#[cfg(test)]
mod tests;

/// Jobs that wait, up to which the queue is read whole each time.
const FEW: u32 = 256;
/// Jobs of a longer queue that are looked at together.
const HEAD: u32 = 64;
/// So many reads in a row in which nothing may start, and the rest of a long queue is left to the next time it is
/// read whole: where all wait for one, looking for others costs what the whole queue does, at each commit.
const BARREN: u32 = 4;
/// A longer queue is read whole at most this often, and for a part of the time only.
const WHOLE_EVERY: Duration = Duration::from_secs(1);
/// Which part of the time: the inverse.
const WHOLE_PART: u32 = 20;

/// When a long queue was last read whole, and how long that took.
#[derive(Debug, Default)]
pub struct Pace(Mutex<Option<(Instant, Duration)>>);

impl Pace {
    fn last(&self) -> std::sync::MutexGuard<'_, Option<(Instant, Duration)>> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// How long until it may be read whole again.
    fn rest(&self) -> Duration {
        self.last().map_or(Duration::ZERO, |(at, took)| {
            WHOLE_EVERY.max(took * WHOLE_PART).saturating_sub(at.elapsed())
        })
    }
}

/// Starts every job that nothing holds back.
///
/// A short queue is read whole. Of a long one only as much is read as there are places for, as often
/// as something changes, and no further where nothing may start for long. Now and then it is read
/// whole: then whoever waits behind many that may not start is found, and whom its jobs must tell.
pub async fn start_what_may(service: &Arc<Service>) -> Result<(), StoreError> {
    if service.draining() {
        return Ok(());
    }
    let crowd = service.store.crowd(FEW + 1).await?;
    if crowd.waiting == 0 && crowd.notices == 0 {
        return Ok(());
    }
    if crowd.waiting <= FEW {
        return start_of_all(service).await;
    }
    let rest = service.pace.rest();
    if rest.is_zero() {
        let begun = Instant::now();
        start_of_all(service).await?;
        *service.pace.last() = Some((Instant::now(), begun.elapsed()));
        return Ok(());
    }
    look_later(service, rest);
    if crowd.runs < service.config().max_concurrency {
        start_heads(service, HEAD).await?;
    }
    Ok(())
}

/// Reads the whole queue, starts what may start, and tells whom the others must tell.
async fn start_of_all(service: &Arc<Service>) -> Result<(), StoreError> {
    let view = service.store.queue(clock::now()).await?;
    let (held, _) = start_in(service, &view).await?;
    bounds::tell(service, &view, &held, clock::now()).await
}

/// Starts jobs from the head of the queue, so many looked at together, until every place is taken or, among projects
/// of the same priority, too many in a row may not start. Tells how often it read.
async fn start_heads(service: &Arc<Service>, together: u32) -> Result<u32, StoreError> {
    let config = service.config();
    let limit = config.max_concurrency as usize;
    let mut reads = 0;
    for among in in_turn(config.projects.iter().map(|(name, p)| (name, p.priority))) {
        let (mut after, mut barren) = (JobId(0), 0);
        while barren < BARREN {
            let view = service.store.queue_head(among.clone(), after, together, clock::now()).await?;
            reads += 1;
            let Some(last) = view.waiting.last() else { break };
            after = last.id;
            if reaches_beyond(service, &view).await {
                // Who comes first is decided among all tasks of all repositories: when all is read.
                return Ok(reads);
            }
            let (_, started) = start_in(service, &view).await?;
            if view.open_runs.len() + started >= limit {
                return Ok(reads);
            }
            barren = if started == 0 { barren + 1 } else { 0 };
        }
    }
    Ok(reads)
}

/// Projects in the order in which their jobs start, those of the same priority together.
fn in_turn<'a>(priorities: impl Iterator<Item = (&'a Name, i32)>) -> Vec<Among> {
    let mut ranks: BTreeMap<std::cmp::Reverse<i32>, Vec<Name>> = BTreeMap::new();
    for (name, priority) in priorities.filter(|(_, priority)| *priority != 0) {
        ranks.entry(std::cmp::Reverse(priority)).or_default().push(name.clone());
    }
    // A project that is not configured any more has none: it is among the others.
    let others: Vec<Name> = ranks.values().flatten().cloned().collect();
    let mut all: Vec<(std::cmp::Reverse<i32>, Among)> = ranks.into_iter().map(|(rank, names)| (rank, Among::These(names))).collect();
    all.push((std::cmp::Reverse(0), Among::Others(others)));
    all.sort_by_key(|(rank, _)| *rank);
    all.into_iter().map(|(_, among)| among).collect()
}

/// Whether a lane of these jobs reaches over all repositories.
async fn reaches_beyond(service: &Service, view: &QueueView) -> bool {
    for task in &view.tasks {
        if let Some(rules) = service.rules_of(task).await
            && rules.serial_gate.scope == LaneScope::Service
        {
            return true;
        }
    }
    false
}

/// Looks again after `rest`, also if nothing happens until then.
fn look_later(service: &Arc<Service>, rest: Duration) {
    let Some(held) = service.busy.take("whole queue".to_owned()) else {
        return;
    };
    let service = Arc::clone(service);
    tokio::spawn(async move {
        tokio::time::sleep(rest).await;
        drop(held);
        service.wake();
    });
}

/// Notices by key: the task through which people are told, and the text.
type Notices = BTreeMap<String, (TaskId, String)>;

/// Starts what may start of these jobs; what operators are told of the others, and how many were started.
async fn start_in(service: &Arc<Service>, view: &QueueView) -> Result<(Notices, usize), StoreError> {
    let Judged {
        verdicts,
        commands,
        bounds,
    } = verdicts(service, view).await;
    let mut held = BTreeMap::new();
    let mut claims = Vec::new();
    for (job, blockers) in verdicts {
        let command = commands.get(&job);
        if let Some(known) = command.filter(|_| !blockers.is_empty() && blockers.iter().all(|b| b.code == Code::Preflight)) {
            commands::look(service, known);
        }
        let Some(row) = view.job(job) else { continue };
        if blockers.is_empty() {
            claims.push(claim(service, view, row, command.map(|c| c.guard.clone())));
        } else {
            let told = view
                .task(row.task)
                .and_then(|t| Some((t.id, bounds::notice(&bounds, t, row, &blockers, view.day)?)));
            held.extend(told.map(|(task, (key, text))| (key, (task, text))));
        }
    }
    // Handed over in order, so that they are claimed in order, and together on disk.
    let mut started = 0;
    for outcome in join_all(claims).await {
        match outcome {
            Ok(()) => started += 1,
            // Someone was quicker, or the repository moved: the next look decides again.
            Err(StoreError::Conflict) => service.wake(),
            Err(error) => return Err(error),
        }
    }
    Ok((held, started))
}

async fn claim(service: &Arc<Service>, view: &QueueView, job: &JobRow, guard: Option<Guard>) -> Result<(), StoreError> {
    let Some(task) = view.task(job.task) else {
        return Ok(());
    };
    let rules = service.rules_of(task).await;
    let repo = view.repos.iter().find(|r| r.id == task.repo);
    let repo = repo
        .zip(rules.as_ref())
        .and_then(|(repo, rules)| entered(repo, task, rules.gate(repo, task.id, &job.stage)?));
    let nonce = service.nonce();
    let checkout = format!("t{}/{}", task.id, job.slot);
    let run = service
        .store
        .claim(Claim {
            job: job.id,
            nonce,
            checkout,
            guard,
            seen: view.newest,
            repo,
            now: clock::now(),
        })
        .await?;
    tracing::info!(task = %task.item, run = %run.id, slot = %run.slot, "claimed");
    launch::spawn(service, run);
    Ok(())
}

/// The repository with the task past this guard of the serial gate.
fn entered(repo: &Repo, task: &Task, guard: &Name) -> Option<Repo> {
    let mut repo = repo.clone();
    repo.lane.iter_mut().find(|seat| seat.task == task.id)?.enter(guard);
    Some(repo)
}

/// What was decided of waiting jobs, and on what.
struct Judged {
    /// For each job what holds it back.
    verdicts: Vec<(JobId, Vec<Blocker>)>,
    /// What is known of its command.
    commands: BTreeMap<JobId, Known>,
    bounds: Bounds,
}

/// Judges every waiting job: what starts jobs, and what explains why others wait.
async fn verdicts(service: &Service, view: &QueueView) -> Judged {
    let mut rules: BTreeMap<String, Option<Arc<Ruleset>>> = BTreeMap::new();
    for task in &view.tasks {
        if !rules.contains_key(&task.rules) {
            rules.insert(task.rules.clone(), service.rules_of(task).await);
        }
    }
    let waiting: Vec<WaitingJob> = in_order(service, view)
        .into_iter()
        .map(|job| waiting(job, view.limited.get(&job.id)))
        .collect();
    let open: Vec<OpenRun> = view
        .open_runs
        .iter()
        .map(|run| OpenRun {
            run: run.id,
            task: run.task,
            slot: run.slot.clone(),
            since: run.claimed_at,
            ending: run.kill.is_some(),
        })
        .collect();
    let tasks: BTreeMap<TaskId, Task> = view.tasks.iter().map(|t| (t.id, t.clone())).collect();
    let repos: BTreeMap<RepoId, Repo> = view.repos.iter().map(|r| (r.id, r.clone())).collect();
    let config = service.config();
    let project_limits: BTreeMap<Name, u32> = config
        .projects
        .iter()
        .filter_map(|(name, p)| p.max_concurrency.map(|max| (name.clone(), max)))
        .collect();
    let agents = commands::of_waiting(service, view, |task| rules.get(&task.rules).cloned().flatten());
    let commands: BTreeMap<JobId, Command> = agents.iter().map(|(job, k)| (*job, k.command.clone())).collect();
    let depends = known(service, &view.depends);
    let mut bounds = bounds::of(service, view, |task| rules.get(&task.rules).cloned().flatten());
    bounds.held = service.held();
    let queue = Queue {
        waiting: &waiting,
        open: &open,
        tasks: &tasks,
        depends: &depends,
        repos: &repos,
        rules: &|task| rules.get(&task.rules).cloned().flatten(),
        limit: config.max_concurrency,
        project_limits: &project_limits,
        commands: &commands,
        bounds: &bounds,
    };
    let verdicts = schedule(&queue, clock::now());
    Judged {
        verdicts,
        commands: agents,
        bounds,
    }
}

/// Waiting jobs in the order in which they may start: by their project's priority, then first in, first out.
pub fn in_order<'v>(service: &Service, view: &'v QueueView) -> Vec<&'v JobRow> {
    let config = service.config();
    ordered(&view.waiting, |project| config.projects.get(project).map_or(0, |p| p.priority))
}

fn ordered(rows: &[JobRow], priority: impl Fn(&Name) -> i32) -> Vec<&JobRow> {
    let mut rows: Vec<&JobRow> = rows.iter().collect();
    rows.sort_by_key(|job| (std::cmp::Reverse(priority(&job.project)), job.id));
    rows
}

fn waiting(job: &JobRow, limited: Option<&String>) -> WaitingJob {
    WaitingJob {
        id: job.id,
        task: job.task,
        slot: job.slot.clone(),
        stage: job.stage.clone(),
        available_at: job.available_at,
        since: job.created_at,
        why: job.why.clone(),
        limited: limited.cloned(),
    }
}

/// The dependencies that count: a work item id that no project of ours could have given is only a
/// word that looks like one (`RFC-2119`), and nobody could ever start it.
fn known(service: &Service, all: &[Dependency]) -> Vec<Dependency> {
    let ours = |name: &str| {
        let prefix = name.rsplit_once('-').map_or(name, |(prefix, _)| prefix);
        service.projects.values().any(|p| p.prefix().eq_ignore_ascii_case(prefix))
    };
    let counts = |d: &&Dependency| d.on.is_some() || d.source == Source::Relation || ours(&d.name);
    all.iter().filter(counts).cloned().collect()
}

/// The dependencies that hold a task back now, as the scheduler sees them.
pub async fn dependencies(service: &Service, view: &QueueView) -> Vec<Dependency> {
    let tasks: BTreeMap<TaskId, &Task> = view.tasks.iter().map(|t| (t.id, t)).collect();
    let mut open = Vec::new();
    for dependency in known(service, &view.depends) {
        let over = dependency.on.is_some_and(|on| tasks.get(&on).is_none_or(|t| t.terminal()));
        let Some(task) = tasks.get(&dependency.task).filter(|_| !over) else {
            continue;
        };
        if service
            .rules_of(task)
            .await
            .is_some_and(|rules| rules.depends.counts(dependency.source))
        {
            open.push(dependency);
        }
    }
    open
}

/// All blockers of tasks: of their waiting jobs, and of the tasks themselves.
pub async fn blockers(service: &Service, tasks: &[Task]) -> Result<BTreeMap<TaskId, Vec<Blocker>>, StoreError> {
    let view = service.store.queue(clock::now()).await?;
    let Judged { verdicts, .. } = verdicts(service, &view).await;
    let mut found: BTreeMap<TaskId, Vec<Blocker>> = BTreeMap::new();
    let stopping = tasks.iter().any(|t| t.control.stop != StopState::No);
    let exited = view.open_runs.iter().any(|run| run.state == RunState::Exited);
    let effects = match stopping || exited || tasks.iter().any(acts) {
        true => service.store.outbox_open().await?,
        false => Vec::new(),
    };
    for task in tasks.iter().filter(|t| !t.terminal()) {
        let list = found.entry(task.id).or_default();
        if task.control.stop == StopState::No {
            list.extend(unsettled::blockers(task.id, &effects));
        }
        match service.rules_of(task).await {
            Some(rules) => {
                let repo = view.repos.iter().find(|r| r.id == task.repo).cloned().unwrap_or_default();
                list.extend(waits(&rules, task, &repo));
                if by_hand::awaits(&rules, task)
                    && let Some(change) = service.store.change_by_branch(task.repo, &task.branch).await?
                    && let Some(project) = service.project_of(task)
                    && let Some(first) = by_hand::blocker(task, &change, project.vault.remote().default_branch())
                {
                    list.insert(0, first);
                }
                let stops = task.control.stop != StopState::No;
                if let Some(shown) = list.iter_mut().find(|b| stops || b.code == Code::ActionRunning) {
                    failing(shown, task, &effects);
                }
            }
            None => list.push(Blocker {
                code: Code::RulesError,
                text: format!("the rules {} that it runs under cannot be used", task.rules),
                since: task.ledger.visit.entered_at,
                who: Who::Operator,
                clear: None,
            }),
        }
    }
    for (job, blockers) in verdicts {
        let Some(row) = view.job(job) else { continue };
        if let Some(list) = found.get_mut(&row.task) {
            list.extend(blockers);
        }
    }
    Ok(found)
}

/// Whether an engine action of the task is at work.
fn acts(task: &Task) -> bool {
    matches!(task.control.at, At::Action { running: true, .. } | At::Updating { .. })
}

/// What keeps a stop or an engine action from being completed, when it is an effect that fails: the cause, since when, the next try.
fn failing(blocker: &mut Blocker, task: &Task, effects: &[OutboxRow]) {
    let stop = task.control.stop;
    let concerns = |row: &&OutboxRow| row.target.task == Some(task.id) && row.attempts > 0;
    let holds = |row: &&OutboxRow| match &row.effect {
        Effect::Act(_) => true,
        // Without a stop, what cannot be settled is a blocker of its own.
        Effect::CleanUp(_) | Effect::Settle { .. } => stop != StopState::No,
        _ => false,
    };
    let Some(row) = effects.iter().filter(concerns).find(holds) else {
        return;
    };
    let what = match &row.effect {
        Effect::CleanUp(_) => "the clean-up".to_owned(),
        Effect::Act(intent) if stop == StopState::No => format!("the {}", intent.action),
        Effect::Act(_) => "the irreversible step".to_owned(),
        _ => "the end of a run".to_owned(),
    };
    let why = row.last_error.clone().unwrap_or_default();
    let wait = lasting(row.next_at.since(clock::now()));
    let (was, times) = (blocker.text.clone(), row.attempts);
    blocker.text = format!("{was}; {what} has failed {times} time(s): {why}; the next try is in {wait}");
    blocker.since = row.created_at;
    if stop == StopState::No && times >= unsettled::QUIET {
        // A peer may only be away: that is over by itself.
        blocker.who = Who::Operator;
    }
    if stop == StopState::Cleaning {
        blocker.who = Who::Operator;
        blocker.clear = Some(format!(
            "signalbox retry {}    # tries it at once, when the cause is mended",
            task.item
        ));
    }
}
