//! Standing orders: labels that pass a human gate count only from those who may pass it.

use crate::engine::model::{Issue, Role};
use crate::engine::rules::{People, Ruleset};
use crate::shell::store::Projection;
use crate::shell::tracker::Tracker;
use crate::shell::tracker::plane::{PlaneError, PlaneTracker, User};

use super::history::History;
use super::who;

/// The issue without those labels that would pass a gate and were put there by someone who may not; those of which that
/// cannot be told yet are named apart.
///
/// # Errors
/// Who put them there cannot be read.
pub async fn standing_orders(tracker: &Tracker, rules: &Ruleset, people: &People, mut issue: Issue) -> Result<Issue, PlaneError> {
    let Tracker::Plane(plane) = tracker else { return Ok(issue) };
    let order = |label: &str| rules.auto.values().any(|order| order.label.eq_ignore_ascii_case(label));
    let mut kept = Vec::with_capacity(issue.labels.len());
    for label in std::mem::take(&mut issue.labels) {
        if !order(&label) {
            kept.push(label);
            continue;
        }
        match allowed(plane, people, &issue, &label).await? {
            Some(true) => kept.push(label),
            Some(false) => {}
            None => issue.unsettled.push(label),
        }
    }
    issue.labels = kept;
    Ok(issue)
}

/// Whether the label counts; `None` where the history does not tell yet who put it there.
async fn allowed(plane: &PlaneTracker, people: &People, issue: &Issue, label: &str) -> Result<Option<bool>, PlaneError> {
    // The labels were read a moment ago, and by that reading: the history is asked for once for all of them.
    let plane = &plane.lately(&issue.id);
    let item = plane.item(&issue.id).await?;
    let known = Projection::default();
    let history = History::new(plane.activities(&issue.id).await?, &known);
    let Some(put) = history.labelled(label, &item, plane.skew()) else {
        tracing::info!(issue = %issue.id, label, "the history of the issue does not tell yet who put the label there: it does not count yet");
        return Ok(None);
    };
    let by = put.map_or(issue.author.as_str(), |by| by.id());
    let by = User {
        id: by.to_owned(),
        ..User::default()
    };
    let actor = who::person(plane, people, &by).await?;
    let may = actor.holds(Role::Approver);
    if !may {
        tracing::warn!(issue = %issue.id, label, by = %actor.label(), "a label that passes a gate counts for nothing: who put it there is no approver");
    }
    Ok(Some(may))
}
