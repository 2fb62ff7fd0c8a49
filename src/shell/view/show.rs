//! Everything about a task, and about a run.

use crate::engine::model::{Actor, Because, Body, Millis, Name, Task};
use crate::engine::rules::Ruleset;
use crate::shell::door::{DoorError, Found, Possible, possible, replaced};
use crate::shell::service::Service;
use crate::shell::store::{ChangeRow, ChangeState, CommentRow, JobRow, RunRow, RunState, StepRow, StoreError};

use super::queue;
use super::status::{line, reasons};
use super::words::first_line;
use super::{ActView, BlockerView, ChangeView, CommentView, GateView, JobView, RunView, ShowView, TaskLine, VisitView};

/// Acts that are offered, in the order in which they are shown.
const ACTS: [&str; 6] = ["approve", "reject", "answer", "retry", "start", "stop"];

/// Everything about what was found, as `actor` may act on it.
///
/// # Errors
/// When the store cannot be read.
pub async fn show(service: &Service, found: &Found, actor: &Actor) -> Result<ShowView, StoreError> {
    let now = service.now();
    let comments = match &found.issue {
        Some(issue) => service.store.comments(&found.project, &issue.id).await?,
        None => Vec::new(),
    };
    let Some(task) = &found.task else {
        return Ok(issue_only(found, &comments, now));
    };
    let rules = service.rules_of(task).await;
    let rules = rules.as_deref();
    // What a board outside shows is known from the last look at it.
    let board = service.store.projection(&found.project, &task.issue).await?.stands;
    let blockers = reasons(service, std::slice::from_ref(task))
        .await?
        .remove(&task.id)
        .unwrap_or_default();
    let history = service.store.history(task.id).await?;
    let runs: Vec<RunView> = service
        .store
        .runs(task.id)
        .await?
        .iter()
        .map(|r| run_view(r, &found.label))
        .collect();
    let jobs = service.store.jobs(task.id).await?;
    let change = if task.branch.is_empty() {
        None
    } else {
        service.store.change_by_branch(task.repo, &task.branch).await?
    };
    Ok(ShowView {
        task: line(task, found.label.clone(), rules, blockers.first().cloned(), now),
        pipeline: rules.map(|r| r.pipeline.to_string()),
        rules: task.rules.clone(),
        branch: task.branch.clone(),
        head: task.ledger.head.as_ref().map(|h| h.sha.clone()),
        change: change.as_ref().map(change_view),
        repository: service.project_of(task).map(|p| p.vault.remote().url().to_owned()),
        created_at: task.created_at.into(),
        ended_at: task.ledger.ended_at.map(Into::into),
        review_started_at: task.ledger.review.started_at.map(Into::into),
        review_ended_at: task.ledger.review.ended_at.map(Into::into),
        question: task.ledger.question.as_ref().map(|(text, _)| text.clone()),
        blockers,
        timeline: visits(task, &history, now),
        gates: gates(task, rules, &history),
        jobs: jobs.iter().map(|j| job_view(j, &found.label)).collect(),
        cost_usd: runs.iter().map(|r| r.cost_usd).sum(),
        runs,
        acts: acts(rules, task, &found.label, actor, service.living(task).await?.as_deref()),
        stop: queue::asked(task),
        status: found.issue.as_ref().map(|i| i.status.clone()).or(board),
        ..issue_only(found, &comments, now)
    })
}

/// What an issue alone tells.
fn issue_only(found: &Found, comments: &[CommentRow], now: Millis) -> ShowView {
    let issue = found.issue.as_ref();
    let since = issue.map_or(now, |i| i.updated_at);
    let title = issue.map(|i| i.title.clone()).unwrap_or_default();
    let task = TaskLine {
        id: 0,
        item: found.label.clone(),
        project: found.project.to_string(),
        title,
        stage: "none".to_owned(),
        visit: 0,
        mode: "no_task".to_owned(),
        at: "not started".to_owned(),
        since: since.into(),
        blocker: None,
        counters: std::collections::BTreeMap::new(),
        review_ms: 0,
    };
    let named = issue.map(|i| format!("{}#{}", found.project, i.number));
    ShowView {
        now: now.into(),
        task,
        issue: named.or_else(|| found.task.as_ref().map(|t| t.issue.clone())).unwrap_or_default(),
        status: issue.map(|i| i.status.clone()),
        labels: issue.map(|i| i.labels.clone()).unwrap_or_default(),
        description: issue.map(|i| i.description.clone()).unwrap_or_default(),
        branch: String::new(),
        head: None,
        change: None,
        repository: None,
        pipeline: None,
        rules: String::new(),
        created_at: issue.map_or(now, |i| i.created_at).into(),
        ended_at: None,
        stop: None,
        review_started_at: None,
        review_ended_at: None,
        question: None,
        blockers: Vec::<BlockerView>::new(),
        timeline: Vec::new(),
        gates: Vec::new(),
        jobs: Vec::new(),
        runs: Vec::new(),
        comments: comments.iter().map(comment_view).collect(),
        acts: Vec::new(),
        cost_usd: 0.0,
    }
}

fn comment_view(c: &CommentRow) -> CommentView {
    CommentView {
        author: c.author.clone(),
        at: c.created_at.into(),
        text: c.body.clone(),
    }
}

fn change_view(c: &ChangeRow) -> ChangeView {
    let state = match c.state {
        ChangeState::Open => "open",
        ChangeState::Merged => "merged",
        ChangeState::Closed => "closed",
    };
    ChangeView {
        number: c.number,
        state: state.to_owned(),
        title: c.title.clone(),
        base: c.base.clone(),
        head: c.head.clone(),
        merged: c.merged_sha.clone(),
    }
}

/// Visits from the history: a visit begins with its `Entered` and ends where the next begins.
fn visits(task: &Task, history: &[StepRow], now: Millis) -> Vec<VisitView> {
    let entries: Vec<(u32, Name, Millis)> = history
        .iter()
        .filter_map(|step| match &step.body {
            Body::Entered { visit } => Some((*visit, step.stage_before.clone(), step.at)),
            _ => None,
        })
        .collect();
    let end = task.ledger.ended_at;
    let next_at = |i: usize| entries.get(i + 1).map(|(.., at)| *at).or(end);
    let view = |(i, (visit, stage, at)): (usize, &(u32, Name, Millis))| {
        let left = next_at(i);
        VisitView {
            visit: *visit,
            stage: stage.to_string(),
            entered_at: (*at).into(),
            left_at: left.map(Into::into),
            duration_ms: left.unwrap_or(now).since(*at).0,
        }
    };
    entries.iter().enumerate().map(view).collect()
}

/// The last words of the present stage's gates in this visit, as the steps recorded them.
fn gates(task: &Task, rules: Option<&Ruleset>, history: &[StepRow]) -> Vec<GateView> {
    let Some(stage) = rules.and_then(|r| r.stages.get(&task.control.stage)) else {
        return Vec::new();
    };
    let visit = task.ledger.visit.number;
    let said = |gate: &Name| {
        let head = format!("gate `{gate}` ");
        let sentences = history
            .iter()
            .rev()
            .take_while(|s| s.visit == visit)
            .flat_map(|s| s.because.iter().rev());
        sentences
            .map(|Because(text)| text)
            .find(|text| text.starts_with(&head))
            .map(|text| first_line(text))
    };
    stage
        .pass
        .iter()
        .map(|gate| GateView {
            gate: gate.to_string(),
            said: said(gate),
        })
        .collect()
}

fn acts(rules: Option<&Ruleset>, task: &Task, label: &str, actor: &Actor, living: Option<&str>) -> Vec<ActView> {
    ACTS.iter()
        .map(|act| {
            let asked = match living.filter(|_| *act == "start") {
                Some(living) => Err(replaced(label, living)),
                None => possible(rules, task, label, act, actor),
            };
            let (possible, why) = match asked {
                Ok(Possible::Signal(_, words) | Possible::Retry(words)) => (true, words),
                Ok(Possible::Already(words)) => (false, words),
                Err(DoorError::Forbidden { why, .. } | DoorError::NotNow { why, .. }) => (false, why),
                Err(other) => (false, other.to_string()),
            };
            ActView {
                act: (*act).to_owned(),
                possible,
                why,
            }
        })
        .collect()
}

/// A job as it is shown.
pub(super) fn job_view(job: &JobRow, item: &str) -> JobView {
    let kind = match job.kind {
        crate::engine::model::JobKind::Agent => "agent",
        crate::engine::model::JobKind::Command => "command",
    };
    JobView {
        id: job.id.0,
        item: item.to_owned(),
        slot: job.slot.to_string(),
        kind: kind.to_owned(),
        stage: job.stage.to_string(),
        visit: job.visit,
        state: job.state.as_str().to_owned(),
        attempts: job.attempts,
        available_at: job.available_at.into(),
        created_at: job.created_at.into(),
        ended_at: job.ended_at.map(Into::into),
        why: job.why.clone(),
    }
}

/// A run.
///
/// # Errors
/// When the store cannot be read.
pub async fn run(service: &Service, row: &RunRow) -> Result<RunView, StoreError> {
    let item = service.store.item_label(row.task).await?.unwrap_or_default();
    Ok(run_view(row, &item))
}

/// A run as it is shown.
pub(super) fn run_view(run: &RunRow, item: &str) -> RunView {
    let state = match run.state {
        RunState::Starting => "starting",
        RunState::Running => "running",
        RunState::Exited => "exited",
        RunState::Ended => "ended",
    };
    let usage = run.usage.unwrap_or_default();
    let notes = run.notes.clone().unwrap_or_default();
    RunView {
        id: run.id.0,
        item: item.to_owned(),
        job: run.job.0,
        slot: run.slot.to_string(),
        stage: run.stage.to_string(),
        visit: run.visit,
        state: state.to_owned(),
        claimed_at: run.claimed_at.into(),
        started_at: run.started_at.map(Into::into),
        containment: run.containment.map(|level| level.as_str().to_owned()),
        ended_at: run.ended_at.map(Into::into),
        outcome: run.end.as_ref().map(|e| e.outcome().to_owned()),
        detail: run.end.as_ref().map(crate::engine::model::RunEnd::detail).filter(|d| !d.is_empty()),
        input_tokens: usage.input_tokens,
        output_tokens: usage.output_tokens,
        cost_usd: usage.cost_usd,
        cached_tokens: notes.cached_tokens,
        turns: notes.turns,
        agent_ms: notes.millis,
        model: notes.model,
        session: notes.session,
        denied: notes.denied,
        denials: notes.denials,
        doubted: notes.doubted,
        log: format!("/api/runs/{}/log", run.id),
    }
}
