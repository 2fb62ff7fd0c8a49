//! What was decided, and why: a task's history, and the timeline of all.

use std::collections::BTreeMap;

use crate::engine::model::{Because, TaskId};
use crate::shell::door::Found;
use crate::shell::service::Service;
use crate::shell::store::{StepRow, StoreError};

use super::words::{decision_words, what_happened};
use super::{HistoryRow, HistoryView, TimelineView};

/// Rows of one answer of the timeline.
const PAGE: u32 = 200;

/// The history of what was found; an issue without a task has none of its own.
///
/// # Errors
/// When the store cannot be read.
pub async fn history(service: &Service, found: &Found) -> Result<HistoryView, StoreError> {
    let steps = match &found.task {
        Some(task) => service.store.history(task.id).await?,
        None => Vec::new(),
    };
    let rows = steps.iter().map(|step| row(step, Some(found.label.clone()))).collect();
    Ok(HistoryView {
        item: found.label.clone(),
        rows,
    })
}

/// What was decided after this place.
///
/// # Errors
/// When the store cannot be read.
pub async fn timeline(service: &Service, after: i64) -> Result<TimelineView, StoreError> {
    let steps = service.store.history_since(after, PAGE).await?;
    let mut labels: BTreeMap<TaskId, Option<String>> = BTreeMap::new();
    let mut rows = Vec::with_capacity(steps.len());
    for step in &steps {
        let label = match step.task {
            None => None,
            Some(id) => match labels.get(&id) {
                Some(label) => label.clone(),
                None => labels.entry(id).or_insert(service.store.item_label(id).await?).clone(),
            },
        };
        rows.push(row(step, label));
    }
    let next = rows.last().map_or(after, |r| r.place);
    Ok(TimelineView { rows, next })
}

fn row(step: &StepRow, item: Option<String>) -> HistoryRow {
    HistoryRow {
        place: step.place,
        seq: step.seq.0,
        at: step.at.into(),
        item,
        project: step.project.to_string(),
        actor: step.actor.label(),
        what: what_happened(&step.body),
        from: step.stage_before.to_string(),
        to: step.stage_after.to_string(),
        visit: step.visit,
        because: step.because.iter().map(|Because(text)| text.clone()).collect(),
        decisions: step.decisions.iter().map(decision_words).collect(),
    }
}
