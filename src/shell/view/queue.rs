//! `/queue`: one block that fails never breaks the others.

use std::collections::BTreeMap;
use std::path::Path;

use crate::engine::model::{FreezeLevel, Name, Repo, StopState, Task, TaskId};
use crate::shell::queue::in_order;
use crate::shell::service::{Project, Service};
use crate::shell::store::{FreezeRow, JobRow, JobState, QueueView as Rows, StoreError};
use crate::shell::volume;

use super::show::job_view;
use super::status::{degraded, label, reasons};
use super::{
    AutoLabelView, DeferredView, DiskView, FreezeView, JobView, MaintenanceView, Part, PostDeployView, ProblemView, QueueView,
    ReconcileView, SerialGateView, StopView, WaitingView,
};
use super::{deps, resilience};

/// Jobs and cancelled tasks shown as recent.
const RECENT: usize = 10;
/// Freezes and thaws shown of each project.
const HISTORY: u32 = 10;

/// The queue.
pub async fn queue(service: &Service, poll_interval: u64) -> QueueView {
    let rows = service.store.queue(service.now()).await;
    QueueView {
        held: held(service),
        counts: rows.as_ref().map(counts).map_err(Clone::clone).into(),
        max_concurrency: service.config().max_concurrency,
        poll_interval,
        resilience: rows
            .as_ref()
            .map(|rows| resilience::resilience(service, rows))
            .map_err(Clone::clone)
            .into(),
        reconcile: ReconcileView {
            enabled: false,
            plane_enabled: false,
            interval: None,
            last_run_ts: None,
            unblocked_total: 0,
            last_unblocked: None,
            skipped_terminal_total: 0,
        },
        post_deploy: PostDeployView {
            enabled: false,
            watching: Vec::new(),
        },
        maintenance: MaintenanceView {
            enabled: false,
            last_run_ts: None,
            last_error: None,
        },
        disk: disk(&service.data),
        reaper: rows
            .as_ref()
            .map(|rows| resilience::reaper(rows, poll_interval))
            .map_err(Clone::clone)
            .into(),
        task_deps: match &rows {
            Ok(rows) => Part::Known(deps::task_deps(service, rows).await),
            Err(e) => Part::Failed { error: e.to_string() },
        },
        serial_gate: match &rows {
            Ok(rows) => serial_gate(service, rows).await.into(),
            Err(e) => Part::Failed { error: e.to_string() },
        },
        stop: stop(service).await.into(),
        auto_labels: Part::Known(auto_labels(service)),
        waiting: match &rows {
            Ok(rows) => waiting(service, rows).await.into(),
            Err(e) => Part::Failed { error: e.to_string() },
        },
        recent: recent(service).await.into(),
    }
}

/// The database out of order, a drain, or the look at a large database after a start.
fn held(service: &Service) -> Option<ProblemView> {
    degraded(service).or_else(|| {
        service.held().map(|held| ProblemView {
            text: held.text,
            since: held.since.into(),
        })
    })
}

fn disk(data: &Path) -> Part<DiskView> {
    match volume::room(data) {
        Ok(room) => Part::Known(DiskView {
            path: data.display().to_string(),
            free_bytes: room.free,
            total_bytes: room.total,
        }),
        Err(error) => Part::Failed {
            error: format!("{}: {error}", data.display()),
        },
    }
}

fn counts(rows: &Rows) -> BTreeMap<String, u64> {
    let count = |state: JobState| rows.counts.get(state.as_str()).copied().unwrap_or(0);
    JobState::ALL
        .iter()
        .map(|state| (state.as_str().to_owned(), u64::try_from(count(*state)).unwrap_or(0)))
        .collect()
}

async fn serial_gate(service: &Service, rows: &Rows) -> Result<BTreeMap<String, SerialGateView>, StoreError> {
    let repos: BTreeMap<_, &Repo> = rows.repos.iter().map(|r| (r.id, r)).collect();
    let none = Repo::default();
    let mut views = BTreeMap::new();
    for project in service.projects.values() {
        let repo = repos.get(&project.repo).copied().unwrap_or(&none);
        let history = service.store.freezes(project.repo, HISTORY).await?;
        views.insert(project.name.to_string(), gate(project, repo, &history));
    }
    Ok(views)
}

fn gate(project: &Project, repo: &Repo, history: &[FreezeRow]) -> SerialGateView {
    let seats = |inside: bool| repo.lane.iter().filter(|s| s.inside == inside).map(|s| s.item.clone()).collect();
    let frozen = repo.freeze.as_ref().map(|f| {
        let level = match f.level {
            FreezeLevel::Merge => "no merge and no entry",
            FreezeLevel::All => "nothing starts",
        };
        format!("{level}: {} (by {})", f.reason, f.by)
    });
    let past = history.iter().map(|row| FreezeView {
        what: row.what.clone(),
        level: match row.level {
            FreezeLevel::Merge => "merge",
            FreezeLevel::All => "all",
        }
        .to_owned(),
        reason: row.reason.clone(),
        who: row.who.clone(),
        at: row.at.into(),
        evidence: row.evidence.clone(),
    });
    let rules = project.rules();
    SerialGateView {
        enabled: rules.serial_gate.enabled,
        inside: seats(true),
        waiting: seats(false),
        frozen,
        frozen_since: repo.freeze.as_ref().map(|f| f.since.into()),
        history: past.collect(),
        scope: rules.serial_gate.scope.word().to_owned(),
        failures: repo.failures,
        guards: rules.serial_gate.guards.iter().map(ToString::to_string).collect(),
        lease: repo.lease.as_ref().map(|l| l.item.clone()),
    }
}

async fn stop(service: &Service) -> Result<StopView, StoreError> {
    let with_stop = |p: &&Project| p.rules().stop.enabled && p.rules().signals.status.values().any(|s| s == "stop");
    let repos: Vec<String> = service.projects.values().filter(with_stop).map(|p| p.name.to_string()).collect();
    let (cancelled_count, cancelled) = service.store.cancelled(u32::try_from(RECENT).unwrap_or(10)).await?;
    let mut recent = Vec::new();
    for task in &cancelled {
        recent.push(label(service, task).await?);
    }
    let tasks = service.store.tasks(false).await?;
    let those = |state: StopState| tasks.iter().filter(move |t| t.control.stop == state).filter_map(asked).collect();
    let deferred: Vec<DeferredView> = those(StopState::Deferred);
    Ok(StopView {
        enabled: !repos.is_empty(),
        repos,
        cancelled_count,
        deferred_pending: deferred.len() as u64,
        deferred,
        stopping: those(StopState::Cleaning),
        recent,
    })
}

/// The stop that was asked for, if one was.
pub(super) fn asked(task: &Task) -> Option<DeferredView> {
    let (who, since, until) = task.ledger.stop.clone()?;
    Some(DeferredView {
        item: task.item.clone(),
        who,
        since: since.into(),
        until: until.map(Into::into),
        reason: task.ledger.stop_reason.clone(),
    })
}

fn auto_labels(service: &Service) -> BTreeMap<String, Vec<AutoLabelView>> {
    let views = |rules: &crate::engine::rules::Ruleset| {
        let view = |(name, rule): (&Name, &crate::engine::rules::AutoRule)| AutoLabelView {
            name: name.to_string(),
            label: rule.label.clone(),
            suspended_by: rule.suspended_by.to_vec(),
        };
        rules.auto.iter().map(view).collect()
    };
    service.projects.values().map(|p| (p.name.to_string(), views(&p.rules()))).collect()
}

/// Waiting jobs. The blockers are the task's: its jobs of one visit wait for the same things.
async fn waiting(service: &Service, rows: &Rows) -> Result<Vec<WaitingView>, StoreError> {
    let ids: std::collections::BTreeSet<TaskId> = rows.waiting.iter().map(|j| j.task).collect();
    let tasks: Vec<Task> = rows.tasks.iter().filter(|t| ids.contains(&t.id)).cloned().collect();
    let reasons = reasons(service, &tasks).await?;
    let view = |job: &JobRow| WaitingView {
        job: job_view(job, tasks.iter().find(|t| t.id == job.task).map_or("", |t| t.item.as_str())),
        blockers: reasons.get(&job.task).cloned().unwrap_or_default(),
    };
    Ok(in_order(service, rows).into_iter().map(view).collect())
}

async fn recent(service: &Service) -> Result<Vec<JobView>, StoreError> {
    let jobs = service.store.recent_jobs(u32::try_from(RECENT).unwrap_or(10)).await?;
    let mut views = Vec::with_capacity(jobs.len());
    for job in &jobs {
        let item = service.store.item_label(job.task).await?.unwrap_or_default();
        let mut view = job_view(job, &item);
        if let (None, JobState::Failed, Some(run)) = (&job.why, job.state, job.run) {
            let run = service.store.run(run).await?;
            view.why = run.and_then(|run| run.end).map(|end| end.detail()).filter(|why| !why.is_empty());
        }
        views.push(view);
    }
    Ok(views)
}
