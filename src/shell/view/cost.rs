//! `/api/runs`, `/api/cost`: what ran, and what it cost.

use crate::engine::budget::Budget;
use crate::engine::model::{Millis, RunId, TaskId};
use crate::shell::door::{DoorError, Found};
use crate::shell::service::Service;
use crate::shell::store::{By, StoreError, day, day_ends};

use super::show::run_view;
use super::{BudgetView, CostLine, CostView, RunsView};

/// Runs, newest first: of one task, or of all.
///
/// # Errors
/// When the store cannot be read.
pub async fn runs(service: &Service, found: Option<&Found>, open: bool, before: Option<i64>, limit: u32) -> Result<RunsView, DoorError> {
    // An issue without a task has had no runs.
    let task = found.map(|found| found.task.as_ref().map_or(TaskId(-1), |t| t.id));
    let rows = service.store.recent_runs(task, open, before.map(RunId), limit).await?;
    let mut runs = Vec::with_capacity(rows.len());
    for row in &rows {
        let label = service.store.item_label(row.task).await?.unwrap_or_default();
        runs.push(run_view(row, &label));
    }
    Ok(RunsView {
        now: service.now().into(),
        next: rows
            .last()
            .map(|r| r.id.0)
            .filter(|_| rows.len() == usize::try_from(limit).unwrap_or(usize::MAX)),
        runs,
    })
}

/// What agents cost since, by what is asked; and how the budgets of the day stand.
///
/// # Errors
/// When the store cannot be read.
pub async fn cost(service: &Service, by: By, since: Millis) -> Result<CostView, StoreError> {
    let rows = service.store.costs(by, since).await?;
    let now = service.now();
    let lines: Vec<CostLine> = rows
        .into_iter()
        .map(|row| CostLine {
            key: row.key,
            runs: row.runs,
            input_tokens: row.input_tokens,
            output_tokens: row.output_tokens,
            cost_usd: row.usd,
        })
        .collect();
    Ok(CostView {
        now: now.into(),
        since: since.into(),
        runs: lines.iter().map(|l| l.runs).sum(),
        cost_usd: lines.iter().map(|l| l.cost_usd).sum(),
        lines,
        budgets: budgets(service, now).await?,
    })
}

/// How the budgets of the day stand, by project.
async fn budgets(service: &Service, now: Millis) -> Result<Vec<BudgetView>, StoreError> {
    let today = day(now);
    let spent = service.store.spent_on(today, service.projects.keys().cloned().collect()).await?;
    let view = |project: &crate::shell::service::Project| {
        let Budget {
            run_usd,
            task_usd,
            task_runs,
            day_usd,
            day_runs,
        } = project.rules().budget;
        let spent = spent.get(&project.name).copied().unwrap_or_default();
        BudgetView {
            project: project.name.to_string(),
            day_usd: spent.usd,
            day_runs: spent.runs,
            day_ends: day_ends(today).into(),
            max_run_usd: run_usd,
            max_task_usd: task_usd,
            max_task_runs: task_runs,
            max_day_usd: day_usd,
            max_day_runs: day_runs,
        }
    };
    Ok(service.projects.values().map(view).collect())
}
